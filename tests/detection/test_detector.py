"""The detector: fresh layers that arms share, levels, anchors, normalisation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from regrow.detection.detector import Images, build_detector, trunk_of
from regrow.detection.settings import DetectionSettings
from regrow.networks.build import build
from tests.detection.networks import torchvision_network, zoo, zoo_spec

IMAGES = Images(channels=3, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
SMALL = DetectionSettings(root=Path("unused"), format="voc", image_size=64, channels=8, regions=16)


def detector_on(network: nn.Module, seed: int = 0) -> nn.Module:
    return build_detector(network, IMAGES, 2, SMALL, seed)


def fresh(detector: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in detector.state_dict().items() if "trunk" not in name}


def test_arms_of_a_seed_get_the_same_fresh_layers_wherever_their_widths_agree() -> None:
    spec = zoo_spec("vgg11", width=0.25)
    narrow = build(replace(spec, widths=tuple(width // 2 for width in spec.widths)), 0, "small")
    one, other = fresh(detector_on(zoo("vgg11", width=0.25))), fresh(detector_on(narrow))
    assert one.keys() == other.keys()
    different = {
        name for name in one if not (one[name].shape == other[name].shape and torch.equal(one[name], other[name]))
    }
    assert different == {f"backbone.pyramid.inner_blocks.{number}.0.weight" for number in range(4)}


def test_seeds_get_different_fresh_layers_and_one_seed_the_same_ones_again() -> None:
    one, again, other = (fresh(detector_on(zoo("resnet20"), seed)) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["roi_heads.box_head.fc6.weight"], other["roi_heads.box_head.fc6.weight"])
    assert not torch.equal(
        one["backbone.pyramid.layer_blocks.0.0.weight"], other["backbone.pyramid.layer_blocks.0.0.weight"]
    )


def test_building_moves_no_other_random_number() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    detector_on(zoo("resnet20"))
    assert torch.equal(torch.rand(1), expected)


def test_anchors_grow_with_the_stride_and_images_are_normalised_as_for_classification() -> None:
    detector = detector_on(torchvision_network("resnet18"))
    assert detector.get_submodule("rpn.anchor_generator").sizes == ((32,), (64,), (128,), (256,), (512,))
    transform: Any = detector.get_submodule("transform")
    assert (transform.image_mean, transform.image_std) == ([0.1, 0.2, 0.3], [0.5, 0.6, 0.7])
    assert (transform.min_size, transform.max_size, transform.size_divisible) == ((64,), 106, 32)


def test_the_classifier_is_inside_with_its_weights() -> None:
    network = zoo("resnet20")
    weights = network.get_parameter("stem.conv.weight").detach().clone()
    detector = detector_on(network)
    assert trunk_of(detector).network is network
    assert torch.equal(detector.get_parameter("backbone.trunk.network.stem.conv.weight"), weights)


@pytest.mark.parametrize("channels", [1, 3])
def test_it_finds_boxes_in_images_of_any_size(channels: int) -> None:
    images = Images(channels=channels, mean=(0.5,) * channels, std=(0.5,) * channels)
    detector = build_detector(zoo("vgg11", channels=channels), images, 2, SMALL, 0).eval()
    with torch.no_grad():
        found = detector([torch.rand(channels, 40, 64), torch.rand(channels, 64, 48)])
    assert [set(one) for one in found] == [{"boxes", "labels", "scores"}] * 2
