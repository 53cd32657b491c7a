from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from regrow.networks.build import blueprint, build
from regrow.networks.cost import cost

from .zoo_spec import CIFAR, DIGITS, spec_of


def pools(shape: tuple[int, int, int], name: str = "vgg16") -> int:
    return sum(isinstance(module, nn.MaxPool2d) for module in blueprint(spec_of(name, shape=shape)).modules())


@pytest.mark.parametrize(("side", "expected"), [(8, 2), (15, 2), (16, 3), (28, 3), (32, 4), (64, 4)])
def test_pools_are_left_out_where_fewer_than_two_pixels_a_side_would_remain(side: int, expected: int) -> None:
    assert pools((3, side, side)) == expected


def test_the_shorter_side_decides_over_the_pools() -> None:
    assert pools((3, 8, 64)) == 2


def test_no_tap_of_any_kernel_is_idle_at_eight_by_eight() -> None:
    network = build(spec_of("vgg19", width=0.1, shape=DIGITS), 0)
    network(torch.randn(8, *DIGITS)).square().sum().backward()
    for name, parameter in network.named_parameters():
        if parameter.ndim == 4:
            assert parameter.grad is not None
            assert bool((parameter.grad.abs().amax(dim=(0, 1)) > 0).all()), name


@pytest.mark.parametrize(("name", "layers"), [("vgg11", 1), ("vgg13", 1), ("vgg16", 2), ("vgg19", 1)])
def test_only_vgg16_has_a_hidden_layer_in_its_head(name: str, layers: int) -> None:
    network = blueprint(spec_of(name))
    assert sum(isinstance(module, nn.Linear) for module in network.modules()) == layers


def test_the_hidden_layer_is_as_wide_as_the_multiplier_says_and_not_pruned() -> None:
    spec = spec_of("vgg16", width=0.5)
    pruned = replace(spec, widths=tuple(width // 2 for width in spec.widths))
    hidden = blueprint(pruned).get_submodule("classifier.hidden")
    assert isinstance(hidden, nn.Linear)
    assert (hidden.in_features, hidden.out_features) == (128, 256)


def test_vgg16_gap_has_biases_in_the_place_of_norms_and_one_linear_layer() -> None:
    network = build(spec_of("vgg16-gap", width=0.25), 0)
    kinds = [type(module) for module in network.modules()]
    assert nn.BatchNorm2d not in kinds and kinds.count(nn.Linear) == 1
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert all(layer.bias is not None and not layer.bias.detach().any() for layer in convolutions)
    group = network.channel_groups()[2]  # type: ignore[operator]
    assert [part.tensor for part in group.slices] == [
        "features.conv3.weight",
        "features.conv3.bias",
        "features.conv4.weight",
    ]


def test_vgg16_gap_averages_a_map_of_fourteen_pixels_a_side_at_imagenets_size() -> None:
    assert (
        pools((3, 224, 224), "vgg16-gap") == 4
    )  # 224 / 2^4 = 14, so that its MACs are VGG-16's without the three linear layers
    macs = cost(spec_of("vgg16-gap", shape=(3, 224, 224), classes=1000)).macs
    assert macs == 15_470_264_320 - (25088 * 4096 + 4096 * 4096 + 4096 * 1000) + 512 * 1000


def test_images_become_one_logit_a_class() -> None:
    assert build(spec_of("vgg11", width=0.1, classes=7), 0)(torch.randn(2, *CIFAR)).shape == (2, 7)
