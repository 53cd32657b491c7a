from __future__ import annotations

import pytest
import torch

from regrow.networks.build import build
from regrow.networks.cost import cost
from regrow.networks.resnet import BasicBlock
from regrow.networks.zoo import NETWORKS

from .zoo_spec import CIFAR, DIGITS, spec_of


def test_the_shortcut_averages_two_by_two_pixels_and_adds_zero_channels_at_the_end() -> None:
    block = BasicBlock(1, 2, 3, stride=2)
    stream = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    assert block.shortcut(stream).flatten().tolist() == [3.0, 0.0, 0.0]


def test_the_gradient_flows_through_the_shortcut() -> None:
    stream = torch.ones(1, 1, 2, 2, requires_grad=True)
    BasicBlock(1, 2, 2, stride=2).shortcut(stream).sum().backward()
    assert stream.grad is not None
    assert stream.grad.flatten().tolist() == [0.25] * 4


def test_no_gradient_flows_through_a_detached_shortcut() -> None:
    stream = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]], requires_grad=True)
    block = BasicBlock(1, 2, 3, stride=2, detached=True)
    assert block.shortcut(stream).flatten().tolist() == [3.0, 0.0, 0.0]
    assert not block.shortcut(stream).requires_grad
    assert BasicBlock(2, 1, 2, stride=1, detached=True).shortcut(stream) is stream


def test_all_gradient_below_a_detached_shortcut_comes_through_the_branch() -> None:
    gradients = []
    for detached in (False, True):
        stream = torch.ones(1, 1, 2, 2, requires_grad=True)
        block = BasicBlock(1, 2, 2, stride=2, detached=detached).eval()
        torch.nn.init.zeros_(block.norm2.weight)  # the branch gives zeros, and passes no gradient back
        block(stream).sum().backward()
        assert stream.grad is not None
        gradients.append(stream.grad.flatten().tolist())
    assert gradients == [[0.25] * 4, [0.0] * 4]


@pytest.mark.parametrize("name", ["resnet20", "resnet56", "resnet110"])
def test_a_detached_network_is_the_plain_one_but_for_its_gradients(name: str) -> None:
    plain, cut = spec_of(name, width=0.25), spec_of(f"{name}-detached", width=0.25)
    assert NETWORKS[cut.name].groups() == NETWORKS[name].groups()
    assert NETWORKS[cut.name].removable == NETWORKS[name].removable
    assert cost(cut) == cost(plain)
    networks = [build(spec, 3, "dense") for spec in (plain, cut)]
    first, second = (network.state_dict() for network in networks)
    assert list(first) == list(second)
    assert all(torch.equal(first[key], second[key]) for key in first)
    images = torch.randn(4, *CIFAR, generator=torch.Generator().manual_seed(0))
    logits = [network(images) for network in networks]
    assert torch.equal(*logits)
    for one in logits:
        one.square().sum().backward()
    through, cut_off = (network.get_parameter("stem.conv.weight").grad for network in networks)
    assert through is not None and cut_off is not None and not torch.allclose(through, cut_off)
    behind, as_well = (network.get_parameter("stage3.block2.conv1.weight").grad for network in networks)
    assert behind is not None and as_well is not None and torch.equal(behind, as_well)


def test_only_the_detached_networks_are_called_a_defect() -> None:
    assert [name for name, row in NETWORKS.items() if "defect" in row.summary] == [
        "resnet20-detached",
        "resnet56-detached",
        "resnet110-detached",
    ]


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
