"""Savings: what is read off the lengths that were run, and when nothing may be said."""

from __future__ import annotations

import math
from typing import Any

import pytest
from scipy import stats

from regrow.evaluation.savings import least_cost, paired_change, saving

Row = dict[str, Any]


def runs(*curves: list[tuple[int, float]], flops: float = 10.0) -> list[Row]:
    """A list of (epochs, accuracy) for each seed; an epoch costs `flops` FLOPs and half a second."""
    return [
        {"seed": s, "epochs": e, "test_accuracy": a, "training_flops": flops * e, "train_seconds": e / 2}
        for s, curve in enumerate(curves)
        for e, a in curve
    ]


def test_the_cost_is_read_off_a_straight_line_in_log_compute() -> None:
    # halfway between 10 and 40 epochs in log is 20; scratch spent 80, so 4 times as much; an epoch of it costs twice the FLOPs
    found = saving(runs([(10, 80.0), (40, 90.0)]), runs([(80, 85.0)], flops=20.0))
    assert found is not None
    assert (found.ratio, found.interval) == (pytest.approx(8.0), None)
    epochs = saving(runs([(10, 80.0), (40, 90.0)]), runs([(80, 85.0)], flops=20.0), "epochs")
    seconds = saving(runs([(10, 80.0), (40, 90.0)]), runs([(80, 85.0)], flops=20.0), "train_seconds")
    assert epochs is not None and epochs.ratio == pytest.approx(4.0)
    assert seconds is not None and seconds.ratio == pytest.approx(4.0)


def test_seeds_are_put_together_by_their_geometric_mean_with_the_t_interval_of_logarithms() -> None:
    # goals at 10, 20 and 40 epochs: ratios 8, 4 and 2, geometric mean 4
    ours = runs(*[[(5, 70.0), (10, 80.0), (20, 85.0), (40, 90.0)]] * 3)
    found = saving(ours, runs([(80, 80.0)], [(80, 85.0)], [(80, 90.0)]))
    assert found is not None
    assert (found.ratio, found.n, found.reached, found.at_once) == (pytest.approx(4.0), 3, 3, 0)
    expected = stats.ttest_1samp([math.log(8), math.log(4), math.log(2)], 0).confidence_interval(0.95)
    assert found.interval == pytest.approx((math.exp(expected.low), math.exp(expected.high)))


def test_the_goal_is_the_accuracy_at_the_longest_length_even_where_a_shorter_one_was_better() -> None:
    found = saving(runs([(10, 80.0), (40, 90.0)]), runs([(40, 95.0), (80, 85.0)]))
    assert found is not None
    assert (found.ratio, found.goal_epochs) == (pytest.approx(4.0), 80)


def test_a_seed_that_never_gets_there_leaves_only_the_count() -> None:
    found = saving(runs(*[[(10, 80.0), (40, 90.0)]] * 3), runs([(80, 85.0)], [(80, 90.5)], [(80, 84.0)]))
    assert found is not None
    assert (found.ratio, found.interval, found.reached, found.n) == (None, None, 2, 3)


def test_a_seed_that_is_there_at_once_makes_the_ratio_a_bound_without_interval() -> None:
    # first seed: at 10 epochs, 8 times less; second: halfway, 20 epochs, 4 times less
    found = saving(runs([(10, 88.0), (40, 90.0)], [(10, 80.0), (40, 90.0)]), runs([(80, 85.0)], [(80, 85.0)]))
    assert found is not None
    assert found.ratio == pytest.approx(math.sqrt(32))
    assert (found.interval, found.at_once, found.reached) == (None, 1, 2)


def test_equal_accuracy_at_equal_cost_is_a_ratio_of_one_and_equal_seeds_have_no_interval() -> None:
    both = runs([(10, 80.0), (40, 90.0)], [(10, 81.0), (40, 91.0)])
    found = saving(both, both)
    assert found is not None
    assert (found.ratio, found.interval, found.reached, found.at_once) == (pytest.approx(1.0), None, 2, 0)


def test_an_arm_may_need_more_than_the_other() -> None:
    found = saving(runs([(10, 80.0), (160, 90.0)]), runs([(20, 85.0)]))
    assert found is not None
    assert found.ratio == pytest.approx(0.5)


def test_the_first_crossing_counts_where_accuracy_goes_up_and_down() -> None:
    assert least_cost([(1.0, 80.0), (4.0, 90.0), (8.0, 70.0), (16.0, 95.0)], 85.0) == pytest.approx(2.0)


def test_recipes_that_share_a_training_are_one_length_of_it() -> None:
    found = saving(runs([(10, 80.0), (40, 90.0)]), runs([(80, 85.0), (80, 85.0)]))
    assert found is not None
    assert (found.ratio, found.lengths) == (pytest.approx(4.0), 2)


def test_only_seeds_with_every_length_of_both_arms_count() -> None:
    found = saving(runs([(10, 80.0), (40, 90.0)], [(10, 80.0)]), runs([(80, 85.0)], [(80, 85.0)]))
    assert found is not None
    assert (found.n, found.longest) == (1, 40)
    assert saving(runs([(10, 80.0)]), []) is None


def test_costs_that_nobody_measured_make_no_saving() -> None:
    unknown = [{**row, "train_seconds": None} for row in runs([(10, 80.0)])]
    assert saving(unknown, runs([(80, 75.0)]), "train_seconds") is None
    assert saving(unknown, runs([(80, 75.0)])) is not None


def test_a_paired_change_has_the_interval_of_the_paired_t_test() -> None:
    first, second = {0: 1.0, 1: 2.5, 2: 2.0}, {0: 0.5, 1: 0.0, 2: 1.0}
    mean, interval, n = paired_change(first, second, 0.0)
    expected = stats.ttest_rel(list(first.values()), list(second.values())).confidence_interval(0.95)
    assert (mean, n) == (pytest.approx(4 / 3), 3)
    assert interval == pytest.approx((expected.low, expected.high))


def test_no_change_is_known_better_than_one_test_image_allows() -> None:
    _, interval, _ = paired_change({0: 1.0, 1: 1.0}, {0: 0.0, 1: 0.0}, 0.5)
    # of two seeds: 12.706 * 0.5 / sqrt(2) = 4.492
    assert interval == pytest.approx((1 - 4.492, 1 + 4.492), abs=1e-3)
    assert paired_change({0: 1.0}, {0: 0.0}, 0.5) == (1.0, None, 1)
