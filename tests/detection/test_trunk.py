"""A classifier as the source of maps."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from regrow.detection.levels import levels_of
from regrow.detection.trunk import Trunk
from regrow.networks.cost import cost_of
from tests.detection.networks import torchvision_network, zoo


def trunk_on(network: nn.Module, *, frozen: bool = True) -> Trunk:
    return Trunk(network, levels_of(network, 3), 3, frozen_norms=frozen)


def test_maps_are_what_the_stages_compute() -> None:
    network = torchvision_network("resnet18")
    images = torch.rand(2, 3, 64, 96)
    maps = trunk_on(network)(images)
    network.eval()
    stem = images
    for name in ("conv1", "bn1", "relu", "maxpool"):
        stem = network.get_submodule(name)(stem)
    first = network.get_submodule("layer1")(stem)
    assert torch.equal(maps["0"], first)
    assert torch.equal(maps["1"], network.get_submodule("layer2")(first))
    assert [tuple(one.shape) for one in maps.values()] == [(2, 64, 16, 24), (2, 128, 8, 12), (2, 256, 4, 6), (2, 512, 2, 3)]  # fmt: skip


def test_what_comes_after_the_last_level_neither_runs_nor_trains() -> None:
    network = zoo("vgg16")
    calls: list[int] = []
    network.get_submodule("classifier").register_forward_hook(lambda *_: calls.append(1))
    trunk = trunk_on(network)
    calls.clear()
    trunk(torch.rand(2, 3, 32, 32))
    assert calls == []
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert trained == {f"features.conv{number}.weight" for number in range(1, 14)}


@pytest.mark.parametrize("name", ["resnet20", "vgg11"])
def test_its_parameters_are_those_of_the_part_that_runs(name: str) -> None:
    network = zoo(name)
    head = sum(parameter.numel() for parameter in network.get_submodule("classifier").parameters())
    assert trunk_on(network).params == sum(parameter.numel() for parameter in network.parameters()) - head


def test_its_multiplications_are_the_classifiers_without_its_head() -> None:
    network = zoo("resnet20")
    head = network.get_submodule("classifier")
    assert isinstance(head, nn.Linear)
    whole = cost_of(network, (3, 64, 64)).macs
    assert cost_of(trunk_on(network), (3, 64, 64)).macs == whole - head.in_features * head.out_features


def test_frozen_norms_stay_as_classification_left_them() -> None:
    network = zoo("resnet20")
    before = copy.deepcopy(network.state_dict())
    trunk = trunk_on(network).train()
    norms = [name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(not network.get_submodule(name).training for name in norms)
    step(trunk)
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if name.rpartition(".")[0] in norms)
    assert not torch.equal(before["stem.conv.weight"], after["stem.conv.weight"])


def test_trained_norms_learn() -> None:
    network = zoo("resnet20")
    before = copy.deepcopy(network.state_dict())
    step(trunk_on(network, frozen=False).train())
    after = network.state_dict()
    assert not torch.equal(before["stem.norm.running_mean"], after["stem.norm.running_mean"])
    assert not torch.equal(before["stem.norm.weight"], after["stem.norm.weight"])
    assert torch.equal(before["classifier.weight"], after["classifier.weight"])


def step(trunk: Trunk) -> None:
    optimizer = torch.optim.SGD([one for one in trunk.parameters() if one.requires_grad], lr=0.1)
    maps: list[Tensor] = list(trunk(torch.rand(4, 3, 32, 32)).values())
    sum(one.square().mean() for one in maps).backward()  # type: ignore[union-attr]
    optimizer.step()
