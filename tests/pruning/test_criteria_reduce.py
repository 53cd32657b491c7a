from __future__ import annotations

import pytest
import torch

from regrow.errors import ConfigError
from regrow.pruning.criteria_reduce import NORMALISATIONS, REDUCTIONS, check_words, combine

ONE = torch.tensor([1.0, 2.0, 3.0, 6.0], dtype=torch.float64)
TWO = torch.tensor([4.0, 0.0, 0.0, 4.0], dtype=torch.float64)


@pytest.mark.parametrize(
    ("normalise", "wanted"),
    [
        ("none", [1.0, 2.0, 3.0, 6.0]),
        ("mean", [1 / 3, 2 / 3, 1.0, 2.0]),
        ("sum", [1 / 12, 1 / 6, 1 / 4, 1 / 2]),
        ("max", [1 / 6, 1 / 3, 1 / 2, 1.0]),
        ("gaussian", [-2 / 3.5**0.5, -1 / 3.5**0.5, 0.0, 3 / 3.5**0.5]),
        ("lamp", [1 / 50, 4 / 49, 9 / 45, 1.0]),
    ],
)
def test_normalisations_by_hand(normalise: str, wanted: list[float]) -> None:
    assert combine([ONE], "sum", normalise).tolist() == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("reduce", "wanted"),
    [
        ("sum", [5.0, 2.0, 3.0, 10.0]),
        ("mean", [2.5, 1.0, 1.5, 5.0]),
        ("max", [4.0, 2.0, 3.0, 6.0]),
        ("prod", [4.0, 0.0, 0.0, 24.0]),
        ("first", [1.0, 2.0, 3.0, 6.0]),
    ],
)
def test_reductions_by_hand(reduce: str, wanted: list[float]) -> None:
    assert combine([ONE, TWO], reduce, "none").tolist() == wanted


def test_producers_are_made_comparable_and_then_the_group() -> None:
    together = combine([ONE, 1000 * TWO], "sum", "mean")
    assert together.mean() == 1
    torch.testing.assert_close(together, (ONE / 3 + TWO / 2) / 2)


@pytest.mark.parametrize("normalise", NORMALISATIONS)
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_zeros_say_nothing_and_one_lost_score_spoils_no_other(reduce: str, normalise: str) -> None:
    assert combine([torch.zeros(3), torch.zeros(3)], reduce, normalise).tolist() == [0, 0, 0]
    lost = combine([torch.tensor([1.0, float("nan"), 3.0], dtype=torch.float64)], reduce, normalise)
    assert bool(lost[1].isnan())
    if normalise != "lamp":
        assert lost.isnan().tolist() == [False, True, False]


@pytest.mark.parametrize("normalise", NORMALISATIONS)
def test_the_order_of_positive_scores_within_a_group_never_changes(normalise: str) -> None:
    assert combine([ONE], "sum", normalise).argsort().tolist() == [0, 1, 2, 3]


def test_unknown_words_are_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"reduce is one word of a few; found 'men'. Did you mean 'mean'"):
        check_words("men", "mean")
    with pytest.raises(ConfigError, match=r"normalise .* found 'l2'"):
        check_words("sum", "l2")
