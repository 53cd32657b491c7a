"""Verdicts: the word follows from the tests, Holm runs within a family, rows are what results.json holds."""

from __future__ import annotations

import json

import pytest

from regrow.errors import ProtocolError
from regrow.evaluation.contrast import Contrast
from regrow.evaluation.statistics import ALPHA
from regrow.evaluation.verdict import Verdict, explore, judge, word_for
from tests.evaluation.contrasts import GAPS, contrast

COLUMNS = {
    *(
        "network",
        "data",
        "variant",
        "method",
        "fraction",
        "design",
        "a",
        "b",
        "primary",
        "n",
        "convention",
        "mean",
        "sd",
        "ci95",
        "ci90",
    ),
    *("p_superiority", "p_equivalence", "p_superiority_holm", "p_equivalence_holm", "margin", "margin_images"),
    *("correlation", "welch95", "floor_sd", "seeds_needed", "looks", "extended", "tuned", "notes"),
}


def verdict(found: Contrast, margin: float = 1.0) -> Verdict:
    (judged,) = judge([found], margin=margin)
    return judged


def family(*gaps: list[int]) -> list[Contrast]:
    """The contrasts of several fractions."""
    return [contrast(row, fraction=0.1 * (i + 1), design=f"{10 * (i + 1)} %") for i, row in enumerate(gaps)]


class TestWord:
    @pytest.mark.parametrize("word", GAPS)
    def test_each_word_is_earned(self, word: str) -> None:
        assert verdict(contrast(GAPS[word])).word == word

    @pytest.mark.parametrize("word", GAPS)
    def test_it_is_what_the_intervals_say(self, word: str) -> None:
        found = verdict(contrast(GAPS[word])).difference
        assert found.ci95 is not None
        assert found.ci90 is not None
        superior = not found.ci95[0] <= 0 <= found.ci95[1]
        excess = found.ci95[0] > 1 or found.ci95[1] < -1
        equivalent = -1 < found.ci90[0] <= found.ci90[1] < 1
        assert (superior, excess, equivalent) == (
            word.startswith(("better", "worse")),
            "more than the margin" in word,
            word == "equivalent" or "within the margin" in word,
        )

    def test_by_hand(self) -> None:
        assert word_for(1.0, 0.01, 0.01, 0.9) == "better by more than the margin"
        assert word_for(1.0, 0.01, 0.2, 0.2) == "better"
        assert word_for(-1.0, 0.01, 0.9, 0.01) == "worse but within the margin"
        assert word_for(1.0, 0.2, 0.9, 0.01) == "equivalent"
        assert word_for(1.0, ALPHA, 0.9, ALPHA) == "undecided"

    @pytest.mark.parametrize("seeds", [1, 2])
    def test_fewer_than_three_seeds_have_none(self, seeds: int) -> None:
        found = verdict(contrast([30] * seeds))
        assert found.word is None
        assert found.needed is None

    def test_equal_differences_of_three_seeds_are_judged_by_the_floor(self) -> None:
        assert verdict(contrast([0, 0, 0])).word == "equivalent"
        assert verdict(contrast([1, 1, 1]), margin=0.1).word == "undecided"

    def test_an_extended_study_needs_more(self) -> None:
        gaps = [2, 20, 5, 16, 12]
        assert [verdict(contrast(gaps, looks=looks)).word for looks in (1, 2)] == ["better", "undecided"]
        assert verdict(contrast(gaps * 4, looks=2)).word == "better"

    def test_an_extended_study_of_three_seeds_stays_undecided(self) -> None:
        found = verdict(contrast([300, 301, 302], looks=2))
        assert (found.word, found.row["ci95"]) == ("undecided", None)


class TestFamily:
    def test_holm_is_taken_over_the_fractions(self) -> None:
        weak = GAPS["better"]
        judged = judge(family(weak, [0, 9, -8, 1, 2], GAPS["undecided"]), margin=1.0)
        assert judged[0].difference.p_superiority is not None
        assert judged[0].p_superiority_holm == pytest.approx(3 * judged[0].difference.p_superiority)

    def test_a_word_that_holm_takes_away_is_noted(self) -> None:
        gaps = [2, 20, 5, 16, 12]
        (alone,) = judge(family(gaps), margin=1.0)
        first, *_ = judge(family(gaps, GAPS["undecided"], GAPS["undecided"]), margin=1.0)
        assert (alone.word, first.word) == ("better", "undecided")
        assert (
            "By itself this contrast would be called better; corrected for 3 contrasts (Holm) it is undecided."
            in first.notes
        )

    def test_other_methods_are_other_families_and_the_order_is_kept(self) -> None:
        one, two = family(GAPS["better"], GAPS["worse"])
        other = contrast(GAPS["equivalent"], method="random")
        judged = judge([one, other, two], margin=1.0)
        assert [found.word for found in judged] == ["better", "equivalent", "worse"]
        assert judged[1].p_equivalence_holm == judged[1].difference.p_equivalence

    def test_two_primary_contrasts_of_one_comparison_are_refused(self) -> None:
        rival = contrast(GAPS["better"], a="fine-tune")
        with pytest.raises(ProtocolError, match="has two, retrain against scratch-b and fine-tune against scratch-b"):
            judge([contrast(GAPS["better"]), rival], margin=1.0)

    def test_nothing_gives_nothing(self) -> None:
        assert judge([], margin=1.0) == ()


class TestSeedsNeeded:
    def test_only_an_undecided_verdict_says_how_many(self) -> None:
        for word, gaps in GAPS.items():
            found = verdict(contrast(gaps))
            assert (found.needed is not None) == (word == "undecided")

    def test_its_range_is_a_row_of_two_numbers(self) -> None:
        low, high = verdict(contrast(GAPS["undecided"])).row["seeds_needed"]
        assert 1 <= low < high


class TestRows:
    @pytest.mark.parametrize("seeds", [1, 2, 5])
    @pytest.mark.parametrize("looks", [1, 2])
    def test_a_verdict_has_the_columns_of_results_json(self, seeds: int, looks: int) -> None:
        row = verdict(contrast(GAPS["undecided"][:seeds], looks=looks)).row
        assert row.keys() == COLUMNS | {"word", "sentence"}
        assert json.loads(json.dumps(row, allow_nan=False)) == row

    def test_a_pair_has_the_same_numbers_but_no_word(self) -> None:
        found = contrast(GAPS["better"])
        (row,) = explore([found], margin=1.0)
        assert row.keys() == COLUMNS
        judged = verdict(found).row
        same = COLUMNS - {"primary", "p_superiority_holm", "p_equivalence_holm", "notes"}
        assert {name: row[name] for name in same} == {name: judged[name] for name in same}
        assert row["primary"] is False

    def test_numbers_are_points_and_images(self) -> None:
        row = verdict(contrast([28, 30, 32]), margin=1.5).row
        assert row["mean"] == pytest.approx(3.0)
        assert row["sd"] == pytest.approx(0.2)
        assert (row["margin"], row["margin_images"]) == (1.5, 15.0)
