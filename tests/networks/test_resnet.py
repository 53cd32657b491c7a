from __future__ import annotations

import pytest
import torch

from regrow.networks.build import build
from regrow.networks.resnet import BasicBlock

from .zoo_spec import CIFAR, DIGITS, spec_of


def test_the_shortcut_averages_two_by_two_pixels_and_adds_zero_channels_at_the_end() -> None:
    block = BasicBlock(1, 2, 3, stride=2)
    stream = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    assert block.shortcut(stream).flatten().tolist() == [3.0, 0.0, 0.0]


def test_the_gradient_flows_through_the_shortcut() -> None:
    stream = torch.ones(1, 1, 2, 2, requires_grad=True)
    BasicBlock(1, 2, 2, stride=2).shortcut(stream).sum().backward()
    assert stream.grad is not None
    assert stream.grad.flatten().tolist() == [0.25] * 4  # the original code gives 0 here


def test_a_block_that_neither_halves_nor_widens_adds_the_stream_itself() -> None:
    stream = torch.randn(1, 2, 4, 4)
    assert BasicBlock(2, 1, 2, stride=1).shortcut(stream) is stream


@pytest.mark.parametrize("shape", [DIGITS, CIFAR, (3, 9, 9), (1, 28, 30)])
def test_odd_sides_are_rounded_up_in_both_branches(shape: tuple[int, int, int]) -> None:
    assert build(spec_of("resnet20", width=0.25, shape=shape), 0)(torch.randn(2, *shape)).shape == (2, 10)


def test_a_group_is_the_inside_of_a_block() -> None:
    network = build(spec_of("resnet20"), 0)
    group = network.channel_groups()[3]  # type: ignore[operator]
    assert group.name == "stage2.block1.conv1"
    assert [part.tensor for part in group.slices] == [
        "stage2.block1.conv1.weight",
        "stage2.block1.norm1.weight",
        "stage2.block1.norm1.bias",
        "stage2.block1.norm1.running_mean",
        "stage2.block1.norm1.running_var",
        "stage2.block1.conv2.weight",
    ]
