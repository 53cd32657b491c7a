"""The strip under a verdict and the whiskers of the table."""

from __future__ import annotations

import pytest

from regrow.report.cases import arm_summaries
from regrow.report.strip import reach_of, strip, whiskers

VERDICT = {"a": "retrain", "b": "scratch-b", "margin": 1.0, "mean": 0.5, "ci95": [-0.5, 1.5], "ci90": [0.0, 1.0]}


def test_zero_stands_in_the_middle_and_the_reach_at_the_ends() -> None:
    made = strip(VERDICT, reach=2.0)
    assert made.margin == (25.0, 75.0)
    assert made.mean == 62.5
    assert made.ci95 == (37.5, 87.5)
    assert made.ci90 == (50.0, 75.0)


def test_the_margin_is_labelled() -> None:
    assert strip(VERDICT, reach=2.0).ticks == ((25.0, "−1"), (50.0, "0"), (75.0, "+1"))


def test_where_the_margin_is_too_narrow_the_ends_are_labelled_instead() -> None:
    assert strip(VERDICT, reach=100.0).ticks == ((5.0, "−90"), (50.0, "0"), (95.0, "+90"))


def test_the_reach_covers_everything_with_room() -> None:
    assert reach_of([VERDICT, VERDICT | {"ci95": [-3.0, 1.0]}]) == pytest.approx(3.6)
    assert reach_of([]) == pytest.approx(1.2)


def test_a_verdict_without_intervals_has_a_strip_without_them() -> None:
    made = strip(VERDICT | {"ci95": None, "ci90": None}, reach=2.0)
    assert (made.ci95, made.ci90) == (None, None)


def test_the_strip_can_be_read_aloud() -> None:
    assert strip(VERDICT, reach=2.0).alt == (
        "retrain minus scratch-b: mean +0.50 points, 95 % interval −0.50 to +1.50, 90 % interval 0.00 to +1.00, margin 1"
    )


def test_whiskers_share_one_scale() -> None:
    arms = arm_summaries(
        [
            {"arm": arm, "seed": 0, "test_accuracy": accuracy}
            for arm, accuracy in (("dense", 98.0), ("retrain", 96.0), ("scratch-b", 97.0))
        ]
    )
    made = whiskers(arms)
    assert {arm: whisker.mean for arm, whisker in made.items()} == {"dense": 96.0, "retrain": 4.0, "scratch-b": 50.0}
    assert made["dense"].interval is None


def test_an_arm_without_an_accuracy_has_no_whisker() -> None:
    assert whiskers(arm_summaries([{"arm": "dense", "seed": 0, "test_accuracy": None}])) == {}
