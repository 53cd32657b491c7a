"""The figures of one architecture."""

from __future__ import annotations

from dataclasses import replace

import pytest

from regrow.report.case_figures import case_pictures, ledger, scales, training_curves, widths
from regrow.report.cases import Case, Row, cases
from tests.report.example import WIDTHS, example


def case_of(**arguments: object) -> Case:
    (case,) = cases(example(**arguments))  # type: ignore[arg-type]
    return case


def test_a_case_has_its_four_figures() -> None:
    assert list(case_pictures(case_of(seeds=2), "f0c0")) == ["accuracy", "loss", "widths", "ledger"]


def test_a_curve_is_the_mean_over_seeds() -> None:
    case = case_of(seeds=2)
    figure = training_curves(case, "id", "train_loss").figure
    mean = next(trace for trace in figure.data if trace.name == "retrain")
    first = [row["train_loss"] for row in case.curves if row["arm"] == "retrain" and row["epoch"] == 1]
    assert len(first) == 2
    assert list(mean.x) == list(range(1, 9))
    assert mean.y[0] == pytest.approx(sum(first) / 2, rel=1e-4)


def test_all_seeds_of_an_arm_are_one_faint_trace_with_gaps() -> None:
    figure = training_curves(case_of(seeds=3), "id", "validation_accuracy").figure
    faint = [trace for trace in figure.data if trace.name is None and trace.legendgroup == "retrain"]
    assert len(faint) == 1
    assert list(faint[0].y).count(None) == 3


def test_long_curves_are_thinned() -> None:
    figure = training_curves(case_of(seeds=2), "id", "train_loss", most=10).figure
    longest = next(trace for trace in figure.data if trace.name == "scratch-b")
    assert (len(longest.x), longest.x[0], longest.x[-1]) == (10, 1, 128)


def test_epochs_without_validation_leave_no_hole_in_the_figure() -> None:
    results = example(seeds=2)
    results["curves"] = [
        row | {"validation_accuracy": row["validation_accuracy"] if row["epoch"] % 2 == 0 else None}
        for row in results["curves"]
    ]
    (case,) = cases(results)
    mean = next(
        trace for trace in training_curves(case, "id", "validation_accuracy").figure.data if trace.name == "retrain"
    )
    assert list(mean.x) == [2, 4, 6, 8]


def test_widths_stand_before_and_after_by_group() -> None:
    before, after = widths(case_of(seeds=2), "id").figure.data
    assert list(before.x) == [f"conv{i}" for i in range(1, 9)]
    assert list(before.y) == list(WIDTHS)
    assert list(after.y) == [width // 2 for width in WIDTHS]


def test_a_mask_leaves_every_channel_and_shows_no_widths() -> None:
    case = case_of(seeds=2)
    assert "widths" in case_pictures(case, "f0c0")
    masked = replace(case, architecture=dict(case.architecture) | {"kept_weights": 461_418})
    assert "widths" not in case_pictures(masked, "f0c0")


def test_the_ledger_is_stacked_by_entry_and_sums_to_what_was_spent() -> None:
    case = case_of(seeds=2)
    figure = ledger(case, "id").figure
    assert [trace.name for trace in figure.data] == ["dense training", "training", "tuning", "evaluation"]
    assert sum(sum(trace.x) for trace in figure.data) == pytest.approx(
        sum(row["flops"] for row in case.ledger), rel=1e-3
    )
    assert figure.layout.barmode == "stack"


def test_what_is_missing_is_not_drawn() -> None:
    results = example(seeds=2) | {"curves": [], "ledger": [], "networks": []}
    (case,) = cases(results)
    assert case_pictures(case, "f0c0") == {}


def found(counts: list[int], zeros: int) -> Row:
    return {"scales": {"channels": sum(counts), "zeros": zeros, "small": zeros, "largest": 2.0, "counts": counts}}


def test_scales_are_bars_of_equal_width_from_zero_one_trace_a_seed() -> None:
    case = replace(case_of(seeds=2), prunings=(found([3, 0, 0, 1], 3), found([2, 1, 0, 1], 2)))
    picture = scales(case, "id")
    assert [list(trace.y) for trace in picture.figure.data] == [[3, 0, 0, 1], [2, 1, 0, 1]]
    assert list(picture.figure.data[0].x) == [0.25, 0.75, 1.25, 1.75]
    assert "5 of 8 are exactly zero" in picture.caption


def test_a_case_without_scales_has_no_figure_of_them() -> None:
    assert "scales" not in case_pictures(case_of(seeds=2), "f0c0")


def test_widths_that_differ_from_seed_to_seed_have_a_spread() -> None:
    case = case_of(seeds=2)
    more = [dict(case.architecture, seed=seed, widths=[w + seed for w in WIDTHS]) for seed in (0, 2)]
    spread = replace(
        case, architectures=tuple(more), architecture=dict(case.architecture, widths=[w + 1 for w in WIDTHS])
    )
    bars = widths(spread, "id").figure.data[1].error_y
    assert list(bars.array) == list(bars.arrayminus) == [1] * len(WIDTHS)
    assert "over seeds" in widths(spread, "id").caption
