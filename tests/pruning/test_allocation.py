from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torchvision import models

from regrow.channels.groups import channel_groups
from regrow.channels.trace import trace
from regrow.errors import ConfigError, PruningError
from regrow.networks.build import blueprint
from regrow.networks.groups import Group, Slice
from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import dense_spec
from regrow.pruning.allocation import MEASUREMENTS, TOLERANCE, Allocation, Want, allocate
from regrow.pruning.costs import CostModel, cost_model
from regrow.pruning.ranking import floor_of
from regrow.pruning.widths import kept_of

from .traced import DIMENSIONS, HEADS

Links = tuple[tuple[int, ...], ...]


def groups(*channels: int) -> list[Group]:
    return [Group(f"g{index}", count, (Slice(f"body.g{index}.weight", 0),)) for index, count in enumerate(channels)]


def scored(*rows: list[float]) -> dict[str, torch.Tensor]:
    return {f"g{index}": torch.tensor(row, dtype=torch.float64) for index, row in enumerate(rows)}


def chain(*channels: int) -> tuple[list[Group], CostModel]:
    """Linear layers one after the other, without biases; the last one's outputs stay."""
    layers = [nn.Linear(n, m, bias=False) for n, m in zip((1, *channels[:-1]), channels, strict=True)]
    network = nn.Sequential(*layers, nn.Linear(channels[-1], 1, bias=False))
    some = list(trace(network, torch.zeros(1, 1)).groups)
    return some, cost_model(network, some, torch.zeros(1, 1))


def network_of(name: str) -> tuple[Sequence[Group], Links, CostModel]:
    if name in models.list_models():
        with torch.device("meta"):
            network, example = models.get_model(name), torch.zeros(1, 3, 224, 224)
        tracing = trace(network, example)
        return tracing.groups, tracing.links, cost_model(network, tracing.groups, example)
    network = blueprint(dense_spec(NetworkSettings(name=name), classes=10, shape=(3, 32, 32)))
    some = channel_groups(network)
    return some, (), cost_model(network, some, torch.zeros(1, 3, 32, 32, device="meta"))


def drawn(some: Sequence[Group]) -> dict[str, torch.Tensor]:
    numbers = torch.Generator().manual_seed(0)
    return {one.name: torch.rand(one.channels, generator=numbers, dtype=torch.float64) for one in some}


def test_a_global_share_of_channels_is_exact() -> None:
    scores = scored([5.0, 1.0, 4.0, 9.0], [2.0, 9.0, 3.0], [8.0, 8.0, 8.0])
    found = allocate(groups(4, 3, 3), (), Want(fraction=0.3, scope="global"), scores=scores)
    assert found == Allocation(widths=(3, 1, 3), reached={"channels": pytest.approx(0.3)}, notes=())


def test_the_same_share_of_every_group_is_what_kept_of_says() -> None:
    found = allocate(groups(64, 10, 3), (), Want(fraction=0.3))
    assert found.widths == (kept_of(64, 0.3), kept_of(10, 0.3), kept_of(3, 0.3)) == (44, 7, 2)


def test_the_same_share_stops_at_the_floor_and_says_so() -> None:
    found = allocate(groups(64, 10), (), Want(fraction=0.9, floor=0.15))
    assert found.widths == (10, 2)
    assert found.notes == ("g0: the floor keeps 10 channels", "g1: the floor keeps 2 channels")


def test_a_share_of_macs_by_hand() -> None:
    some, model = chain(10, 10)  # 10 + 100 + 10 MACs
    found = allocate(some, (), Want(fraction=0.5, of="macs"), model=model)
    # Both groups in turn lose one: (7, 7) leaves 63, (7, 6) leaves 55, (6, 7) is never met. 60 should stay.
    assert found.widths == (7, 7) and model.macs(found.widths) == 63
    assert found.reached == {"channels": pytest.approx(0.3), "macs": 1 - 63 / 120, "params": 1 - 63 / 120}
    assert found.notes == ("50.00% of the MACs were to go, and 47.50% go: one step less or more is further away",)


def test_a_global_share_of_parameters_by_hand() -> None:
    some, model = chain(4, 4)  # 4 + 16 + 4
    scores = {"0": torch.tensor([9.0, 9.0, 9.0, 9.0]), "1": torch.tensor([1.0, 2.0, 3.0, 9.0])}
    found = allocate(some, (), Want(fraction=0.4, of="params", scope="global"), scores=scores, model=model)
    assert found.widths == (4, 2)  # 14 of 24 stay: 14.4 were to stay, and 9 of 24 or 19 of 24 are further away


def test_steps_that_overshoot_are_left_out_and_the_ranking_goes_on_below() -> None:
    # The linked groups lose half of everything at once; the free group is made of small steps.
    some, model = chain(2, 2, 100)
    want = Want(fraction=0.3, of="macs", scope="global")
    scores = {"0": torch.tensor([1.0, 1.0]), "1": torch.tensor([1.0, 1.0]), "2": torch.arange(2.0, 102.0)}
    found = allocate(some, [(0, 1)], want, scores=scores, model=model)
    assert found.widths[:2] == (2, 2)
    assert abs(found.reached["macs"] - 0.3) <= TOLERANCE
    assert allocate(some, [(0, 1)], Want(fraction=0.3, of="macs"), model=model).widths == found.widths


@pytest.mark.parametrize("scope", ["group", "global"])
@pytest.mark.parametrize(
    "name",
    ["vgg11", "resnet20", "resnet56", "preresnet164", "densenet40", "resnet50", "mobilenet_v3_large", "vit_b_16"],
)
def test_targets_are_met_within_one_percent_and_floors_hold(name: str, scope: str, record_property: Any) -> None:
    some, links, model = network_of(name)
    floor = 0.1 if scope == "global" else 0.0
    worst = 0.0
    for of in ("macs", "params"):
        for fraction in (0.1, 0.3, 0.5, 0.8):
            want = Want(fraction=fraction, of=of, scope=scope, floor=floor)
            found = allocate(some, links, want, scores=drawn(some), model=model)
            count = model.macs if of == "macs" else model.params
            removed = 1 - count(found.widths) / count(model.channels)
            assert found.reached[of] == removed
            worst = max(worst, abs(removed - fraction))
            for one, width in zip(some, found.widths, strict=True):
                assert floor_of(one.channels, floor) <= width <= one.channels
                assert one.role == "channels" or width == one.channels
            for link in links:
                assert len({found.widths[index] / some[index].channels for index in link}) == 1
    record_property("worst deviation", worst)
    assert 0 < worst <= TOLERANCE


def test_with_the_same_share_no_group_is_two_steps_away_from_another() -> None:
    some, _, model = network_of("resnet56")
    found = allocate(some, (), Want(fraction=0.5, of="macs"), model=model)
    lost = [(one.channels - width, one.channels) for one, width in zip(some, found.widths, strict=True)]
    least = max((gone - 1) / channels for gone, channels in lost)
    assert all(gone / channels >= least for gone, channels in lost)


def test_zeros_are_removed_and_nothing_else() -> None:
    scores = scored([0.0, 1e-12, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0], [1.0, 1.0])
    found = allocate(groups(4, 4, 2), (), Want(fraction=None, of="zeros", scope="global"), scores=scores)
    assert found.widths == (2, 1, 2)
    assert found.notes == ("g1: 1 of 4 channels at zero stay, for the floor or for linked groups",)


def test_without_zeros_nothing_would_be_removed() -> None:
    with pytest.raises(PruningError, match=r"nothing would be removed.*\n.*the smallest score is 0.25"):
        allocate(groups(2), (), Want(fraction=None, of="zeros"), scores=scored([0.25, 1.0]))


def test_a_fraction_beyond_the_floor_is_refused_with_the_largest_that_there_is() -> None:
    scores = scored([1.0] * 10, [2.0] * 10)
    want = Want(fraction=0.9, scope="global", floor=0.25)
    with pytest.raises(
        PruningError, match=r"90.00% of the channels cannot be removed: floor = 0.25 .* reached is 0.7;"
    ):
        allocate(groups(10, 10), (), want, scores=scores)
    assert allocate(groups(10, 10), (), Want(fraction=0.7, scope="global", floor=0.25), scores=scores).widths == (3, 3)


def test_what_stays_whole_counts_against_a_share_of_macs_but_not_of_channels() -> None:
    some, model = chain(10, 10)
    scores = {"0": torch.arange(10.0), "1": torch.arange(10.0)}
    with pytest.raises(
        PruningError, match=r"90.00% of the MACs cannot be removed.*1 of 2 groups stay whole.* reached is 0.825;"
    ):
        allocate(some, (), Want(fraction=0.9, of="macs", ignore=("1",)), model=model)
    found = allocate(some, (), Want(fraction=0.5, scope="global", ignore=("1",)), scores=scores)
    assert found.widths == (5, 10)


def test_a_fraction_that_is_none_is_refused() -> None:
    for bad in (0, 1, 30):
        with pytest.raises(ConfigError, match="fraction: the share of channels to remove"):
            allocate(groups(4), (), Want(fraction=bad, scope="global"), scores=scored([1.0] * 4))
    with pytest.raises(ConfigError) as caught:
        allocate(groups(4), (), Want(fraction=0.5, of="mac", scope="all", floor=1.0))
    assert [fault.key for fault in caught.value.faults] == ["of", "scope", "floor"]


def test_what_is_missing_is_named() -> None:
    with pytest.raises(PruningError, match="needs scores"):
        allocate(groups(4), (), Want(scope="global"))
    with pytest.raises(PruningError, match="a share of MACs needs to know what the network costs"):
        allocate(groups(4), (), Want(of="macs"))
    with pytest.raises(PruningError, match="from widths to milliseconds"):
        allocate(groups(4), (), Want(of="latency"))


def test_nothing_to_remove_is_an_error() -> None:
    with pytest.raises(PruningError, match="nothing would be removed from the 1 groups"):
        allocate(groups(4), (), Want(ignore=("g0",)))
    some, model = chain(10, 10)
    with pytest.raises(PruningError, match="nothing would be removed"):
        allocate(some, (), Want(fraction=0.001, of="macs"), model=model)


def test_heads_stay_and_their_dimensions_go() -> None:
    scores = {HEADS.name: torch.zeros(4), DIMENSIONS.name: torch.arange(6.0)}
    found = allocate([HEADS, DIMENSIONS], (), Want(fraction=0.5, scope="global"), scores=scores)
    assert found.widths == (4, 3)


def test_kept_channels_are_multiples_and_at_least_so_many() -> None:
    some, model = chain(64, 64)
    scores = {"0": torch.arange(64.0), "1": torch.arange(64.0)}
    for scope in ("group", "global"):
        found = allocate(some, (), Want(fraction=0.5, of="macs", scope=scope, round_to=8), scores=scores, model=model)
        assert all(width % 8 == 0 for width in found.widths)
    want = Want(fraction=0.8, of="channels", scope="global", min_channels=12)
    assert min(allocate(some, (), want, scores=scores).widths) >= 12


class Clock:
    """Milliseconds that a formula gives; remembers what was asked."""

    def __init__(self, formula: Any) -> None:
        self.formula, self.asked = formula, []

    def __call__(self, widths: Sequence[int]) -> float:
        self.asked.append(tuple(widths))
        return float(self.formula(*widths))


def test_a_share_of_latency_is_found_with_few_measurements() -> None:
    clock = Clock(lambda a, b: 2 + a + b)
    found = allocate(groups(500, 500), (), Want(fraction=0.4, of="latency"), latency=clock)
    assert abs(found.reached["latency"] - 0.4) <= TOLERANCE
    assert found.reached["latency"] == 1 - (2 + sum(found.widths)) / 1002
    assert len(clock.asked) == len(set(clock.asked)) <= MEASUREMENTS
    assert found.reached["dense_latency_seconds"] == 1.002


def test_latency_that_falls_in_one_step_gives_the_nearest_and_says_so() -> None:
    clock = Clock(lambda a: 10 if a > 300 else 4)
    found = allocate(groups(1000), (), Want(fraction=0.4, of="latency"), latency=clock)
    assert found.reached["latency"] == pytest.approx(0.6)
    assert len(clock.asked) == MEASUREMENTS
    assert "40.0% of the latency were to go, and 60.0% go: the nearest of 12 measurements" in found.notes


def test_latency_that_rises_with_fewer_channels_still_gives_what_was_measured() -> None:
    found = allocate(
        groups(64),
        (),
        Want(fraction=0.5, of="latency"),
        latency=Clock(lambda a: 10 if a % 8 == 0 else 12 - 8 * (a < 20)),
    )
    assert found.reached["latency"] == pytest.approx(0.6)


def test_latency_that_no_width_brings_is_refused() -> None:
    with pytest.raises(PruningError, match=r"50.00% of the latency cannot be removed.* reached is 0.1"):
        allocate(groups(100), (), Want(fraction=0.5, of="latency"), latency=Clock(lambda a: 9 if a < 100 else 10))


@given(
    channels=st.lists(st.integers(2, 40), min_size=1, max_size=5),
    fraction=st.floats(0.01, 0.99),
    floor=st.floats(0, 0.9),
    seed=st.integers(0, 99),
)
def test_whatever_is_asked_exactly_n_go_or_it_is_refused(
    channels: list[int], fraction: float, floor: float, seed: int
) -> None:
    some = groups(*channels)
    numbers = torch.Generator().manual_seed(seed)
    scores = {one.name: torch.randint(0, 4, (one.channels,), generator=numbers).double() for one in some}
    most = sum(count - floor_of(count, floor) for count in channels)
    n = (
        sum(channels) - kept_of(sum(channels), fraction)
        if fraction * sum(channels) <= sum(channels) - 1
        else sum(channels)
    )
    try:
        found = allocate(some, (), Want(fraction=fraction, scope="global", floor=floor), scores=scores)
    except PruningError:
        assert n > most
        return
    assert sum(channels) - sum(found.widths) == n <= most
    assert all(width >= floor_of(count, floor) for width, count in zip(found.widths, channels, strict=True))
    assert not math.isnan(found.reached["channels"])
