"""Random widths: drawn anew for every seed, spread as is said, and of exactly the cost that was asked for."""

from __future__ import annotations

import functools

import pytest
from torch import nn

from regrow.channels.groups import channel_groups
from regrow.networks.build import build
from regrow.networks.cost import cost
from regrow.networks.foreign import made_up_images
from regrow.networks.groups import Group
from regrow.networks.spec import NetworkSpec
from regrow.pruning.random_widths import LOWEST, drawn_shares, random_widths

from .guides import dense


@functools.cache
def built(name: str) -> nn.Module:
    """A network to look at; no test changes it."""
    return build(dense(name))


def drawn(name: str, of: str, fraction: float, seed: int, skip: tuple[str, ...] = ()) -> tuple[int, ...]:
    network = built(name)
    images = made_up_images(dense(name))
    return random_widths(network, channel_groups(network), (), images, of, fraction, skip, seed=seed, name=name).widths


@pytest.mark.parametrize("name", ["vgg16", "preresnet20", "densenet40"])
@pytest.mark.parametrize(("of", "fraction"), [("macs", 0.2), ("params", 0.7)])
def test_the_cost_is_met_within_one_percent(name: str, of: str, fraction: float) -> None:
    for seed in range(3):
        widths = drawn(name, of, fraction, seed)
        small = NetworkSpec(name=name, width=1.0, widths=widths, classes=10, shape=(3, 32, 32))
        reached = 1 - getattr(cost(small), of) / getattr(cost(dense(name)), of)
        assert reached == pytest.approx(fraction, abs=0.01)
        assert min(widths) >= 1


def test_every_seed_has_widths_of_its_own_and_the_same_ones_again() -> None:
    found = [drawn("vgg16", "macs", 0.5, seed) for seed in (0, 1, 2, 0)]
    assert len(set(found)) == 3
    assert found[0] == found[3]


def test_shares_are_uniform_between_a_tenth_and_all() -> None:
    shares = list(drawn_shares([Group(f"g{i}", 8, ()) for i in range(20_000)], 3, "toy").values())
    assert LOWEST <= min(shares) < LOWEST + 0.001 and 0.999 < max(shares) <= 1
    # mean of a uniform share on [0.1, 1] is 0.55, its standard deviation 0.9 / sqrt(12) = 0.26, of the mean 0.0018
    assert sum(shares) / len(shares) == pytest.approx(0.55, abs=4 * 0.0018)


def test_more_removed_is_narrower_everywhere() -> None:
    less, more = drawn("vgg16", "macs", 0.3, 0), drawn("vgg16", "macs", 0.8, 0)
    assert all(one >= other for one, other in zip(less, more, strict=True))


def test_skipped_groups_stay_whole() -> None:
    assert drawn("vgg16", "macs", 0.3, 0, ("features.conv1",))[0] == 64
