from __future__ import annotations

import copy
from argparse import Namespace
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from regrow.channels.attributes import mark
from regrow.channels.sizes import Diary, Size, source_of

Pair = namedtuple("Pair", ["heads", "dims"])


@dataclass
class Settings:
    """What a configuration holds."""

    hidden: int = 24
    heads: tuple[int, ...] = (2, 4)
    rate: float = 0.5
    deep: Any = None


class Block(nn.Module):
    """Numbers of every kind."""

    scale_of_class = 3

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.width, self.flag, self.rate, self.name = 24, True, 0.5, "block"
        self.sizes, self.split, self.pair, self.empty = (3, 4), [5, 6], Pair(7, 8), ()
        self.mixed = (1, "a")
        self.config = settings
        self.linear = nn.Linear(24, 10)
        self.conv = nn.Conv2d(4, 6, 3, groups=2)


def marked() -> tuple[Block, dict[str, int]]:
    """A marked block, and every size in it by its full name."""
    network = Block(Settings(deep=Settings(hidden=12)))
    mark(network, Diary())
    found: dict[str, int] = {}
    for module in network.modules():
        for values in (vars(module), vars(network.config), vars(network.config.deep)):
            for value in values.values():
                for one in value if isinstance(value, (tuple, list)) else (value,):
                    if isinstance(one, Size):
                        found[str(source_of(one))] = int(one)
    return network, found


def test_integers_know_the_module_and_the_path_where_they_stand() -> None:
    _, found = marked()
    assert found == {
        "width": 24,
        "sizes.0": 3,
        "sizes.1": 4,
        "split.0": 5,
        "split.1": 6,
        "pair.0": 7,
        "pair.1": 8,
        "config.hidden": 24,
        "config.heads.0": 2,
        "config.heads.1": 4,
        "config.deep.hidden": 12,
        "config.deep.heads.0": 2,
        "config.deep.heads.1": 4,
        "linear.in_features": 24,
        "linear.out_features": 10,
        "conv.in_channels": 4,
        "conv.out_channels": 6,
        "conv.groups": 2,
    }


def test_other_values_are_left_as_they_are() -> None:
    network, _ = marked()
    assert network.flag is True and network.rate == 0.5 and network.name == "block" and network.mixed == (1, "a")
    assert type(network.scale_of_class) is int and type(network.conv.kernel_size[0]) is int
    assert network.training is True


def test_sequences_keep_their_types() -> None:
    network, _ = marked()
    assert type(network.sizes) is tuple and type(network.split) is list and type(network.pair) is Pair


def test_a_configuration_that_modules_share_is_marked_once() -> None:
    settings = Settings()
    network = nn.ModuleList([Block(settings), Block(settings)])
    mark(network, Diary())
    assert str(source_of(settings.hidden)) == "0.config.hidden"


def test_a_configuration_that_holds_itself_ends() -> None:
    settings = Namespace(width=4)
    settings.self = settings
    network = nn.Linear(2, 2)
    network.config = settings
    mark(network, Diary())
    assert str(source_of(settings.width)) == "config.width"


def test_a_marked_network_computes_what_it_did() -> None:
    network = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.GroupNorm(3, 6), nn.Flatten(), nn.Linear(6, 2))
    x = torch.randn(2, 4, 3, 3)
    expected = network(x)
    copied = copy.deepcopy(network)
    mark(copied, Diary())
    assert torch.equal(copied(x), expected)


def test_every_size_writes_into_one_diary() -> None:
    diary = Diary()
    network = Block(Settings())
    mark(network, diary)
    _ = network.width > 3, network.config.hidden**-0.5
    assert [str(one.left) for one in diary.comparisons] == ["width"]
    assert [str(one) for one in diary.scales] == ["config.hidden"]
