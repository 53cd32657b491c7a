"""Where classifiers give maps, found by running them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from regrow.detection.levels import Level, hooked, levels_of
from regrow.errors import PruningError
from tests.detection.networks import torchvision_network, zoo


def named(network: nn.Module, channels: int = 3) -> list[tuple[str, int, int]]:
    return [(level.module, level.stride, level.channels) for level in levels_of(network, channels)]


def test_a_resnet_of_torchvision_gives_the_levels_of_torchvisions_own_detector() -> None:
    expected = [("layer1", 4, 64), ("layer2", 8, 128), ("layer3", 16, 256), ("layer4", 32, 512)]
    assert named(torchvision_network("resnet34")) == expected
    assert [channels for _, _, channels in named(torchvision_network("resnet50"))] == [256, 512, 1024, 2048]


def test_networks_of_the_zoo_give_theirs_whatever_their_width() -> None:
    assert named(zoo("vgg11")) == [
        ("features.relu2", 2, 16),
        ("features.relu4", 4, 32),
        ("features.relu6", 8, 64),
        ("features", 16, 64),
    ]
    assert named(zoo("resnet20", width=0.5)) == [("stage2", 2, 16), ("stage3", 4, 32)]
    assert [stride for _, stride, _ in named(zoo("preresnet20"))] == [2, 4]
    assert [stride for _, stride, _ in named(zoo("densenet40", width=0.25, channels=1), channels=1)] == [2, 4]


class Odd(nn.Module):
    """One convolution, used twice, an average, and a map of fixed size."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Conv2d(3, 3, 3, padding=1)
        self.halve = nn.Conv2d(3, 5, 3, stride=2, padding=1)
        self.fixed = nn.AdaptiveAvgPool2d(4)
        self.last = nn.Linear(5 * 16, 2)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.last(self.fixed(self.halve(self.shared(self.shared(images)))).flatten(1))
        return logits


def test_what_runs_twice_and_what_does_not_shrink_with_the_image_is_no_level() -> None:
    assert levels_of(Odd(), 3) == (Level("halve", 2, 5),)


def test_a_network_that_only_takes_one_size_is_refused() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.Flatten(), nn.Linear(2 * 64 * 64, 2))
    with pytest.raises(PruningError, match=r"Sequential cannot run on images of 128 x 128 pixels"):
        levels_of(network, 3)


def test_a_network_without_maps_is_refused() -> None:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    with pytest.raises(PruningError, match="Sequential gives no maps"):
        levels_of(network, 3)


def test_looking_changes_neither_modes_nor_statistics_nor_hooks() -> None:
    network = zoo("resnet20").train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    levels_of(network, 3)
    assert all(module.training and not module._forward_hooks for module in network.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_only_named_modules_are_hooked() -> None:
    network, seen = nn.Sequential(nn.ReLU(), nn.Tanh()), list[str]()
    with hooked(network, lambda name, *_: seen.append(name), "1"):
        network(torch.zeros(1))
    network(torch.zeros(1))
    assert seen == ["1"]
