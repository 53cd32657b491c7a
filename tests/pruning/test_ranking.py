from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regrow.errors import PruningError
from regrow.networks.groups import Group, Slice
from regrow.pruning.ranking import Ranking, by_score, by_shape, by_share, floor_of, staircases, zero_steps
from regrow.pruning.shares import Wish, shares
from regrow.pruning.widths import kept_of

from .traced import DIMENSIONS, HEADS


def groups(*channels: int) -> list[Group]:
    return [Group(f"g{index}", count, (Slice(f"body.g{index}.weight", 0),)) for index, count in enumerate(channels)]


def scored(*rows: list[float]) -> dict[str, torch.Tensor]:
    return {f"g{index}": torch.tensor(row, dtype=torch.float64) for index, row in enumerate(rows)}


def ranked(
    *rows: list[float], wish: Wish | None = None, floor: float = 0.0, links: tuple[tuple[int, ...], ...] = ()
) -> Ranking:
    some = groups(*(len(row) for row in rows))
    return by_score(some, staircases(some, links, wish or Wish(), floor), scored(*rows))


def all_widths(ranking: Ranking) -> list[tuple[int, ...]]:
    return [ranking.widths(steps) for steps in range(len(ranking) + 1)]


def test_the_lowest_scores_of_all_groups_go_first_and_one_channel_of_each_stays() -> None:
    ranking = ranked([5.0, 1.0, 4.0], [2.0, 9.0])
    assert all_widths(ranking) == [(3, 2), (2, 2), (2, 1), (1, 1)]


def test_ties_go_by_position_and_never_empty_a_group() -> None:
    assert all_widths(ranked([1.0] * 3, [1.0] * 3)) == [(3, 3), (2, 3), (1, 3), (1, 2), (1, 1)]


def test_a_group_that_scores_lowest_throughout_stops_at_its_floor() -> None:
    ranking = ranked([0.0] * 10, [7.0] * 10, floor=0.25)
    assert ranking.widths(7) == (3, 10)
    assert ranking.widths(8) == (3, 9)
    assert ranking.widths(len(ranking)) == (3, 3)


def test_the_floor_is_the_decimal_number_that_was_written_rounded_up() -> None:
    assert [floor_of(10, share) for share in (0.0, 0.1, 0.3, 0.31, 0.99)] == [1, 1, 3, 4, 10]


def test_negative_scores_go_before_zero() -> None:
    assert all_widths(ranked([0.0, 3.0], [-1.0, 3.0]))[1] == (2, 1)


def test_heads_and_ignored_groups_and_what_is_linked_to_them_stay() -> None:
    found = staircases([HEADS, DIMENSIONS, *groups(4, 4, 4)], [(3, 4)], Wish(ignore=("body.g1",)))
    assert [one.groups for one in found] == [(1,), (2,)]


def test_linked_groups_go_down_together_by_the_mean_score_of_what_goes() -> None:
    ranking = ranked([1.0, 8.0], [5.0, 1.0, 6.0, 7.0], [2.0, 3.0, 9.0], links=((0, 1),))
    # The first step of the linked groups takes the scores 1, 1 and 5: mean 7 / 3, between 2 and 3.
    assert all_widths(ranking) == [(2, 4, 3), (2, 4, 2), (1, 2, 2), (1, 2, 1)]


def test_steps_are_multiples_and_leave_min_channels() -> None:
    wish = Wish(round_to=4, min_channels=5)
    found = staircases(groups(20, 10, 6), [], wish)
    assert [one.levels for one in found] == [(20, 16, 12, 8), (10, 8), (6,)]


def test_a_step_of_several_channels_counts_their_mean() -> None:
    ranking = ranked([1.0, 9.0, 5.0, 6.0], [2.0, 3.0, 8.0, 9.0], wish=Wish(round_to=2))
    assert all_widths(ranking) == [(4, 4), (4, 2), (2, 2)]  # (2 + 3) / 2 is below (1 + 5) / 2


def test_by_share_every_group_loses_the_same_share_to_one_step() -> None:
    some = groups(2, 4, 8)
    ranking = by_share(some, staircases(some, [], Wish()))
    assert all_widths(ranking)[:6] == [(2, 4, 8), (1, 4, 8), (1, 3, 8), (1, 3, 7), (1, 3, 6), (1, 2, 6)]


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.5, 0.75])
def test_where_all_groups_have_lost_a_fraction_the_widths_are_those_of_the_fraction(fraction: float) -> None:
    some = groups(64, 20, 7)
    ranking = by_share(some, staircases(some, [], Wish()))
    assert tuple(kept_of(one.channels, fraction) for one in some) in all_widths(ranking)
    assert shares(some, [], Wish(fraction=fraction), []).widths in all_widths(ranking)


def test_zero_steps_remove_zeros_alone_and_leave_the_floor() -> None:
    some = groups(4, 4, 4)
    scores = scored([0.0, 1.0, 0.0, 2.0], [0.0] * 4, [1e-300, 1.0, 1.0, 1.0])
    found = staircases(some, [], Wish())
    assert zero_steps(some, found, scores) == (2, 3, 0)
    assert zero_steps(some, staircases(some, [], Wish(), 0.5), scores) == (2, 2, 0)
    assert zero_steps(some, staircases(some, [(0, 1)], Wish()), scores) == (2, 0)


def test_scores_below_zero_cannot_be_called_zero() -> None:
    some = groups(2)
    with pytest.raises(PruningError, match="the smallest score is -1"):
        zero_steps(some, staircases(some, [], Wish()), scored([-1.0, 0.0]))


def test_scores_that_are_missing_of_another_length_or_not_numbers_are_refused() -> None:
    some = groups(3)
    found = staircases(some, [], Wish())
    with pytest.raises(PruningError, match=r"g0 needs one score for each of its 3 channels; found none"):
        by_score(some, found, {})
    with pytest.raises(PruningError, match=r"found a tensor of shape \(2,\)"):
        by_score(some, found, scored([1.0, 2.0]))
    with pytest.raises(PruningError, match=r"g0: the scores of 1 of 3 channels are not a number"):
        by_score(some, found, scored([1.0, math.nan, 2.0]))


@given(
    rows=st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=12), min_size=1, max_size=5),
    floor=st.floats(0, 0.99),
    data=st.data(),
)
def test_whatever_the_scores_every_step_takes_the_next_lowest_channel_and_floors_hold(
    rows: list[list[int]], floor: float, data: st.DataObject
) -> None:
    scores = [[float(value) for value in row] for row in rows]
    ranking = ranked(*scores, floor=floor)
    steps = data.draw(st.integers(0, len(ranking)))
    widths = ranking.widths(steps)
    assert sum(map(len, rows)) - sum(widths) == steps
    assert all(floor_of(len(row), floor) <= width for row, width in zip(rows, widths, strict=True))
    gone = [value for row, width in zip(scores, widths, strict=True) for value in sorted(row)[: len(row) - width]]
    free = [
        value
        for row, width in zip(scores, widths, strict=True)
        for value in sorted(row)[len(row) - width : len(row) - floor_of(len(row), floor)]
    ]
    assert not gone or not free or max(gone) <= min(free)


def test_by_shape_widths_stay_in_proportion_to_one_channel() -> None:
    some = groups(10, 10, 20)
    ranking = by_shape(some, staircases(some, [], Wish()), {"g0": 1.0, "g1": 0.5, "g2": 0.25})
    # factors 2, 1.5, 1 and 0.4, one step before which no half is crossed
    assert {(10, 10, 10), (10, 8, 8), (10, 5, 5), (4, 2, 2), (1, 1, 1)} <= set(all_widths(ranking))


def test_by_shape_linked_groups_keep_the_mean_of_their_shares() -> None:
    some = groups(4, 8, 4)
    ranking = by_shape(some, staircases(some, [(0, 1)], Wish()), {"g0": 0.25, "g1": 0.75, "g2": 0.5})
    assert {(2, 4, 2), (4, 8, 4), (1, 2, 1)} <= set(all_widths(ranking))


def test_a_network_without_groups_has_an_empty_ranking() -> None:
    ranking = by_share([], ())
    assert (len(ranking), ranking.widths(0), ranking.order.dtype) == (0, (), np.dtype(np.intp))
