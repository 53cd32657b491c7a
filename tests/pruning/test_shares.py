from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regrow.errors import ConfigError
from regrow.networks.groups import Group, Slice
from regrow.pruning.shares import Shares, Wish, addresses, matches, shares
from regrow.pruning.widths import kept_of

from .traced import DIMENSIONS, HEADS, INNER, STREAM


def groups(*channels: int) -> list[Group]:
    return [Group(f"g{index}", count, (Slice(f"body.g{index}.weight", 0),)) for index, count in enumerate(channels)]


def widths(wish: Wish, *channels: int, links: tuple[tuple[int, ...], ...] = ()) -> tuple[int, ...]:
    return shares(groups(*channels), links, wish, ["body", "body.g0"]).widths


def faults(wish: Wish, *channels: int) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        shares(groups(*channels), (), wish, ["body", "body.g0"])
    return [str(fault) for fault in caught.value.faults]


def test_a_plain_number_is_the_share_removed_from_every_group() -> None:
    assert widths(Wish(fraction=0.3), 10, 64, 1) == (7, 44, 1)


def test_a_plain_number_leaves_heads_whole_and_a_pattern_can_ask_for_them() -> None:
    assert shares([HEADS, DIMENSIONS], (), Wish(), []).widths == (4, 3)
    assert shares([HEADS, DIMENSIONS], (), Wish(fraction={"*": 0.5}), []).widths == (2, 3)
    assert shares([HEADS, DIMENSIONS], (), Wish(fraction={"*.heads": 0.25}), []).widths == (3, 6)


def test_the_first_pattern_that_matches_counts_and_no_match_means_whole() -> None:
    assert widths(Wish(fraction={"g0": 0.25, "*.g[01]": 0.5}), 8, 8, 8) == (6, 4, 8)
    assert widths(Wish(fraction={"g1": 0.0, "*": 0.5}), 8, 8) == (4, 8)


def test_patterns_mean_groups_by_name_tensor_module_or_a_module_around_it() -> None:
    assert addresses(STREAM) == ("stem", "stem.weight", "outer.weight", "outer")
    group = Group("g", 8, (Slice("layer1.0.conv3.weight", 0), Slice("fc.weight", 1)))
    assert all(matches(pattern, group) for pattern in ("g", "layer1", "layer1.*", "*.conv3", "layer1.0.conv3.weight"))
    assert not matches("fc", group)  # fc reads the channels and computes none of them


def test_ignored_layers_keep_all_they_compute() -> None:
    wish = Wish(ignore=("outer",))
    assert shares([STREAM, INNER], (), wish, ["outer"]).widths == (12, 5)


def test_widths_are_rounded_to_the_nearest_multiple_never_to_none_or_above_the_group() -> None:
    assert widths(Wish(fraction=0.5, round_to=8), 64, 40, 20, 8) == (32, 24, 8, 8)
    assert widths(Wish(fraction=0.9, round_to=8), 16) == (8,)
    assert widths(Wish(fraction=0.1, round_to=8), 20) == (16,)


def test_a_group_without_a_multiple_stays_whole_and_says_so() -> None:
    found = shares(groups(6, 32), (), Wish(round_to=16), [])
    assert found == Shares(
        widths=(6, 16),
        notes=("g0 left whole: no share of 6 channels is a multiple of round_to = 16",),
    )


def test_heads_are_not_rounded_because_the_channels_inside_are() -> None:
    assert shares([HEADS, DIMENSIONS], (), Wish(fraction={"*": 0.5}, round_to=2), []).widths == (2, 4)


def test_at_least_min_channels_stay_or_all_of_them() -> None:
    assert widths(Wish(fraction=0.9, min_channels=4), 100, 20, 3) == (10, 4, 3)


def test_linked_groups_keep_the_same_share_on_the_grid_that_both_have() -> None:
    assert widths(Wish(fraction=0.5), 48, 96, links=((0, 1),)) == (24, 48)
    assert widths(Wish(fraction=0.3), 10, 15, links=((0, 1),)) == (
        6,
        9,
    )  # only fifths fit both; 3 of 5 is nearest below 0.7
    assert widths(Wish(fraction=0.5, round_to=8), 48, 96, links=((0, 1),)) == (24, 48)
    assert widths(Wish(fraction=0.5, min_channels=9), 10, 15, links=((0, 1),)) == (10, 15)


def test_links_that_overlap_tie_all_their_groups() -> None:
    assert widths(Wish(fraction=0.5), 4, 6, 10, 7, links=((0, 1), (2, 1))) == (2, 3, 5, 3)


def test_linked_groups_without_a_common_share_stay_whole_and_say_so() -> None:
    found = shares(groups(7, 9), [(0, 1)], Wish(fraction=0.5, round_to=2), [])
    assert found.widths == (7, 9)
    assert found.notes == ("g0 and g1 left whole: no share of 7 and 9 channels is a multiple of round_to = 2",)


def test_of_linked_groups_the_most_careful_fraction_counts() -> None:
    found = shares(groups(8, 16), [(0, 1)], Wish(fraction={"g0": 0.5, "g1": 0.25}), [])
    assert found.widths == (6, 12)
    assert found.notes == ("g0 and g1 must keep the same share of their channels: 0.25 is removed from each",)
    assert shares(groups(8, 16), [(0, 1)], Wish(ignore=("*g0",)), ["body.g0"]).widths == (8, 16)


@given(
    channels=st.lists(st.integers(1, 200), min_size=1, max_size=4),
    fraction=st.floats(0.01, 0.99),
    round_to=st.integers(1, 16),
    min_channels=st.integers(1, 20),
    linked=st.booleans(),
)
def test_whatever_is_asked_for_the_rules_hold(
    channels: list[int], fraction: float, round_to: int, min_channels: int, linked: bool
) -> None:
    wish = Wish(fraction=fraction, round_to=round_to, min_channels=min_channels)
    links = (tuple(range(len(channels))),) if linked else ()
    found = widths(wish, *channels, links=links)
    for width, count in zip(found, channels, strict=True):
        assert 1 <= width <= count
        assert width == count or (width % round_to == 0 and width >= min_channels)
        assert not linked or width * channels[0] == found[0] * count
    if round_to == min_channels == 1 and not linked:
        assert found == tuple(kept_of(count, fraction) for count in channels)
    if round_to == min_channels == 1 and linked:
        parts = math.gcd(*channels)
        assert found[0] == channels[0] // parts * kept_of(parts, fraction)


@pytest.mark.parametrize("fraction", [0, 1, 1.5, -0.1, float("nan"), True, "half"])
def test_a_plain_fraction_lies_between_none_and_all(fraction: float) -> None:
    (fault,) = faults(Wish(fraction=fraction), 8)
    assert fault.startswith(
        f"regrow.prune: fraction: the share of channels to remove, above 0 and below 1; found {fraction!r}"
    )


def test_a_percentage_is_answered_with_the_fraction() -> None:
    assert "Did you mean 0.3?" in faults(Wish(fraction=30), 8)[0]


def test_all_faults_are_said_at_once() -> None:
    wish = Wish(fraction={"g8": 0.5, "g1": 1.0}, ignore=("bodi",), round_to=0, min_channels=True)
    found = faults(wish, 8, 8)
    assert [fault.split(": ")[1] for fault in found] == [
        "fraction['g1']",
        "round_to",
        "min_channels",
        "fraction['g8']",
        "ignore",
    ]
    assert "matches no prunable group\n    Did you mean 'g" in found[3]
    assert "'bodi' matches no module and no tensor of the network\n    Did you mean 'body'?" in found[4]
