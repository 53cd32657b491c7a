"""Figures over recipes and data sizes: their marks are the means of the rows, on the axis of the family."""

from __future__ import annotations

import math
from typing import Any

import pytest

from regrow.report.recipes import Across, across
from regrow.report.recipes_figures import decade_ticks, family_pictures
from tests.report.recipes_example import by_hand, lengths, over_recipes, over_shares
from tests.report.recipes_studies import over_lengths

Row = dict[str, Any]


def family_of(results: Row) -> Across:
    (family,) = across(results)
    return family


def traces(figure: Any) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


def test_accuracy_is_drawn_over_the_number_that_differs_with_its_interval() -> None:
    figure = family_pictures(family_of(by_hand([84.0, 85.0, 86.0])), "x")["accuracy"].figure
    drawn = traces(figure)
    assert set(drawn) == {"dense", "fine-tune", "scratch-b"}
    assert (list(drawn["fine-tune"].x), list(drawn["fine-tune"].y)) == ([10, 40], [80, 90])
    assert (list(drawn["scratch-b"].x), list(drawn["scratch-b"].y)) == ([10, 40], [85, 85])
    # of three seeds: 4.303 * 1 / sqrt(3)
    assert list(drawn["scratch-b"].error_y.array) == pytest.approx([4.303 / math.sqrt(3)] * 2, abs=1e-3)
    assert (figure.layout.xaxis.type, figure.layout.xaxis.title.text) == ("linear", "retrain.epochs")
    assert drawn["dense"].line.dash == "dot"


def test_a_long_axis_is_logarithmic_and_many_values_have_no_ticks_of_their_own() -> None:
    few = family_pictures(family_of(over_recipes(lengths((2, 8, 32)))), "x")["accuracy"].figure
    many = family_pictures(family_of(over_recipes(lengths(tuple(range(1, 11))))), "x")["accuracy"].figure
    assert (few.layout.xaxis.type, list(few.layout.xaxis.tickvals)) == ("log", [2, 8, 32])
    assert (many.layout.xaxis.type, many.layout.xaxis.tickvals) == ("linear", None)


def test_recipes_without_a_number_are_columns_in_the_order_of_the_file() -> None:
    made = over_recipes({"<b>warm</b>": {"train": {"schedule": "cosine"}}, "cold": {}})
    figure = family_pictures(family_of(made), "x")["accuracy"].figure
    assert figure.layout.xaxis.type == "category"
    assert list(figure.layout.xaxis.categoryarray) == ["‹b›warm‹/b›", "cold"]
    assert list(traces(figure)["scratch-b"].x) == ["‹b›warm‹/b›", "cold"]


def test_compute_leaves_the_dense_network_out_and_draws_a_shared_training_once() -> None:
    figure = family_pictures(family_of(by_hand([84.0, 85.0, 86.0])), "x")["compute"].figure
    drawn = traces(figure)
    assert {name: list(trace.x) for name, trace in drawn.items()} == {
        "fine-tune": [10_000, 40_000],
        "scratch-b": [80_000],
    }
    assert "10 epochs, 40 epochs" in drawn["scratch-b"].text[0]
    assert figure.layout.xaxis.type == "log"


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (3e8, 1.3e10), (7.0, 1e6), (0.99, 101.0), (1e18, 2e18)])
def test_ticks_of_compute_reach_around_all_of_it_and_are_few(low: float, high: float) -> None:
    ticks = decade_ticks(low, high)
    assert ticks[0] <= low and ticks[-1] >= high
    assert ticks == sorted(set(ticks))
    assert len(ticks) <= 8


def test_the_primary_contrast_is_drawn_with_the_margin() -> None:
    made = over_recipes(lengths())
    picture = family_pictures(family_of(made), "x")["difference"]
    (trace,) = picture.figure.data
    assert list(trace.y) == pytest.approx([row["mean"] for row in made["verdicts"]], rel=1e-4)
    low, high = made["verdicts"][0]["ci95"]
    assert trace.error_y.array[0] == pytest.approx(high - made["verdicts"][0]["mean"], rel=1e-4)
    assert trace.error_y.arrayminus[0] == pytest.approx(made["verdicts"][0]["mean"] - low, rel=1e-4)
    band = picture.figure.layout.shapes[0]
    assert (band.y0, band.y1) == (-1.0, 1.0)
    assert picture.title == "Primary contrast: fine-tune − scratch-b"


def test_without_verdicts_there_is_no_contrast_to_draw() -> None:
    assert "difference" not in family_pictures(family_of({**over_recipes(lengths()), "verdicts": []}), "x")


def test_data_sizes_are_drawn_over_the_share_of_images_and_not_over_compute() -> None:
    pictures = family_pictures(family_of(over_shares({0.1: [1.0, 2.0, 3.0], 1: [0.0, 0.0, 0.0]})), "x")
    assert list(pictures) == ["accuracy", "difference"]
    axis = pictures["accuracy"].figure.layout.xaxis
    assert (axis.type, list(axis.tickvals), list(axis.ticktext)) == ("log", [0.1, 1.0], ["10 %", "100 %"])
    assert list(traces(pictures["accuracy"].figure)["fine-tune"].y) == [82, 80]


def test_who_cannot_see_it_is_told_every_mean() -> None:
    alt = family_pictures(family_of(by_hand([84.0, 85.0, 86.0])), "x")["accuracy"].alt
    assert "10 epochs: dense" in alt and "fine-tune 80.00 %, scratch-b 85.00 %; 40 epochs" in alt


def test_a_real_study_is_drawn_at_the_flops_it_spent() -> None:
    made = over_lengths()
    drawn = traces(family_pictures(family_of(made), "x")["compute"].figure)
    spent = {run["training_flops"] for run in made["runs"] if run["arm"] == "fine-tune"}
    assert list(drawn["fine-tune"].x) == pytest.approx(sorted(spent), rel=1e-4)
    assert len(drawn["scratch-e"].x) == 1
