"""Channel matching: permutations that change nothing but the order, and the order found again."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from regrow.channels.trace import trace
from regrow.evaluation.matching import best_order, interchangeable, keeps_function, match, permute, places_of
from regrow.networks.build import build
from regrow.networks.foreign import made_up_images
from regrow.networks.groups import Group, Slice
from regrow.networks.settings import NetworkSettings
from regrow.networks.spec import NetworkSpec
from regrow.networks.zoo import dense_spec

SHAPE = (3, 16, 16)


def spec(name: str, width: float = 0.25) -> NetworkSpec:
    return dense_spec(NetworkSettings(name=name, width=width), classes=10, shape=SHAPE)


def lively(network: nn.Module) -> nn.Module:
    """Norm layers as a training leaves them: no two channels alike."""
    generator = torch.Generator().manual_seed(5)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                assert isinstance(tensor, Tensor)
                tensor.add_(0.3 * torch.rand(tensor.shape, generator=generator))
    return network.eval()


def tensors(network: nn.Module) -> dict[str, Tensor]:
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def shuffled(network: nn.Module, groups: tuple[Group, ...]) -> nn.Module:
    """The same function, every group in a random order."""
    copied, random = copy.deepcopy(network), np.random.default_rng(0)
    for group in groups:
        order = np.arange(group.channels)
        for alike in interchangeable(group):
            order[alike] = random.permutation(alike)
        permute(tensors(copied), group, order)
    return copied


@pytest.mark.parametrize("name", ["vgg11", "resnet20", "preresnet20", "densenet40"])
def test_permuting_channels_leaves_the_function_unchanged(name: str) -> None:
    one, images = lively(build(spec(name), 0, "a")), made_up_images(spec(name))
    groups = trace(one, images).groups
    other = shuffled(one, groups)
    with torch.no_grad():
        assert (other(images) - one(images)).abs().max() <= 1e-5 * one(images).abs().max().clamp(min=1)
    first = groups[0].slices[0].tensor
    assert not torch.equal(tensors(one)[first], tensors(other)[first])


@pytest.mark.parametrize("name", ["vgg11", "resnet20", "preresnet20"])
def test_a_shuffled_copy_is_put_back_exactly(name: str) -> None:
    one, images = lively(build(spec(name), 0, "a")), made_up_images(spec(name))
    groups = trace(one, images).groups
    other = shuffled(one, groups)
    found = match(one, other, groups, images)
    assert found.left == ()
    assert all(torch.equal(tensor, tensors(found.network)[key]) for key, tensor in tensors(one).items())
    assert found.moved is not None
    assert found.moved > 0.5
    assert not torch.equal(tensors(other)[groups[0].slices[0].tensor], tensors(one)[groups[0].slices[0].tensor])


def test_matching_two_trainings_changes_no_function_and_brings_weights_closer() -> None:
    one, two = (lively(build(spec("vgg11"), seed, "a")) for seed in (0, 1))
    images = made_up_images(spec("vgg11"))
    found = match(one, two, trace(one, images).groups, images)
    with torch.no_grad():
        assert (found.network(images) - two(images)).abs().max() <= 1e-5 * two(images).abs().max().clamp(min=1)

    def distance(network: nn.Module) -> float:
        pairs = zip(one.parameters(), network.parameters(), strict=True)
        return sum(float((a - b).detach().square().sum()) for a, b in pairs)

    assert distance(found.network) < 0.99 * distance(two)


def test_the_best_order_is_that_of_all_orders() -> None:
    torch.manual_seed(0)
    one, two = (nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)) for _ in range(2))
    group = Group("0", 5, (Slice("0.weight", 0), Slice("0.bias", 0), Slice("2.weight", 1)))
    first, second = dict(one.named_parameters()), dict(two.named_parameters())

    def agreement(order: tuple[int, ...]) -> float:
        at = list(order)
        pairs = [
            (first["0.weight"], second["0.weight"][at]),
            (first["0.bias"], second["0.bias"][at]),
            (first["2.weight"], second["2.weight"][:, at]),
        ]
        return sum(float((a.detach().double() * b.detach().double()).sum()) for a, b in pairs)

    best = max(itertools.permutations(range(5)), key=agreement)
    assert tuple(best_order(first, second, group).tolist()) == best


def test_a_channel_takes_all_its_places_along() -> None:
    part = Slice("w", 0, start=1, repeat=2, tile=2, order=(1, 0))
    assert [where.tolist() for where in places_of(part, 2)] == [[3, 4, 7, 8], [1, 2, 5, 6]]
    held = {"w": torch.arange(10.0)}
    permute(held, Group("g", 2, (part,)), np.array([1, 0]))
    assert held["w"].tolist() == [0, 3, 4, 1, 2, 7, 8, 5, 6, 9]


def test_only_channels_that_stand_in_the_same_slices_change_places() -> None:
    group = Group("g", 4, (Slice("a", 0), Slice("b", 1, order=(0, 2))))
    assert [channels.tolist() for channels in interchangeable(group)] == [[0, 2], [1, 3]]


class Positions(nn.Module):
    """Knows which of its hidden channels is which."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        out: Tensor = self.two(self.one(inputs) * torch.arange(1.0, 7.0))
        return out


def test_a_group_whose_order_the_code_knows_is_left_as_it_is() -> None:
    torch.manual_seed(0)
    network, images = Positions(), torch.randn(5, 4)
    group = Group("one", 6, (Slice("one.weight", 0), Slice("one.bias", 0), Slice("two.weight", 1)))
    before = copy.deepcopy(network.state_dict())
    assert not keeps_function(network, group, images)
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())
    found = match(network, copy.deepcopy(network), [group], images)
    assert (found.left, found.moved) == (("one",), None)
