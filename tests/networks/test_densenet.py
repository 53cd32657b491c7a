from __future__ import annotations

import pytest
import torch

from regrow.networks.build import build
from regrow.networks.densenet import BottleneckLayer, Layer
from regrow.networks.groups import Slice

from .zoo_spec import CIFAR, DIGITS, spec_of


def groups_of(name: str) -> dict[str, tuple[int, tuple[Slice, ...]]]:
    network = build(spec_of(name), 0)
    return {group.name: (group.channels, group.slices) for group in network.channel_groups()}  # type: ignore[operator]


@pytest.mark.parametrize("layer", [Layer(6, 3), BottleneckLayer(6, 12, 3)])
def test_a_layer_appends_its_channels_to_what_it_read(layer: torch.nn.Module) -> None:
    stream = torch.randn(2, 6, 4, 4)
    result = layer(stream)
    assert result.shape == (2, 9, 4, 4)
    assert torch.equal(result[:, :6], stream)


def test_a_layers_channels_are_read_by_all_later_layers_of_its_block_and_by_the_transition() -> None:
    channels, slices = groups_of("densenet40")["block1.layer2.conv1"]
    start = 24 + 12  # behind the stem and layer 1
    assert channels == 12
    assert slices[0] == Slice("block1.layer2.conv1.weight", 0)
    assert [part.tensor for part in slices if part.axis == 1] == [
        *(f"block1.layer{layer}.conv1.weight" for layer in range(3, 13)),
        "transition1.conv.weight",
    ]
    assert {part.start for part in slices[1:]} == {start}


def test_what_the_last_block_appends_is_read_by_the_final_norm_and_the_classifier() -> None:
    _, slices = groups_of("densenet40")["block3.layer12.conv1"]
    assert [part.tensor for part in slices[1:]] == [
        "norm.weight",
        "norm.bias",
        "norm.running_mean",
        "norm.running_var",
        "classifier.weight",
    ]


def test_a_bottleneck_is_read_by_its_own_layer_only() -> None:
    channels, slices = groups_of("densenet-bc100")["block2.layer5.conv1"]
    assert channels == 48
    assert slices[-1] == Slice("block2.layer5.conv2.weight", 1)
    assert len(slices) == 6


@pytest.mark.parametrize("name", ["densenet40", "densenet-bc100"])
@pytest.mark.parametrize("shape", [DIGITS, CIFAR, (3, 9, 11)])
def test_images_become_one_logit_a_class(name: str, shape: tuple[int, int, int]) -> None:
    network = build(spec_of(name, width=0.1, shape=shape), 0).eval()
    with torch.no_grad():
        assert network(torch.randn(1, *shape)).shape == (1, 10)
