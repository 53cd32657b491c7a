from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regrow.errors import PruningError
from regrow.pruning.selection import keep_highest

# Few distinct values, so that most draws tie.
SCORES = st.lists(st.sampled_from([0.0, 1.0, 1.5, float("inf")]), min_size=1, max_size=40)


@settings(deadline=None)
@given(SCORES, st.data())
def test_exactly_n_go_and_nothing_that_stays_scores_lower_than_what_goes(
    scores: list[float], data: st.DataObject
) -> None:
    n_drop = data.draw(st.integers(0, len(scores) - 1))
    keep = keep_highest(torch.tensor(scores), n_drop).tolist()
    dropped = [score for score, stays in zip(scores, keep, strict=True) if not stays]
    kept = [score for score, stays in zip(scores, keep, strict=True) if stays]
    assert len(dropped) == n_drop
    assert not dropped or max(dropped) <= min(kept)


@pytest.mark.parametrize("n_drop", range(10))
def test_ties_go_by_position_lowest_index_first(n_drop: int) -> None:
    assert keep_highest(torch.ones(10), n_drop).tolist() == [False] * n_drop + [True] * (10 - n_drop)


@pytest.mark.parametrize("n_drop", [-1, 4, 5])
def test_a_group_is_never_emptied(n_drop: int) -> None:
    with pytest.raises(PruningError, match=f"asked to drop {n_drop} of 4"):
        keep_highest(torch.ones(4), n_drop)


def test_scores_that_are_not_numbers_have_no_rank() -> None:
    with pytest.raises(PruningError, match="2 of 4 channels are not a number"):
        keep_highest(torch.tensor([1.0, float("nan"), 2.0, float("nan")]), 1)


def test_infinite_scores_are_ranked() -> None:
    assert keep_highest(torch.tensor([float("inf"), -float("inf"), 0.0]), 2).tolist() == [True, False, False]
