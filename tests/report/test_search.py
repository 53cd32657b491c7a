"""Pruning as architecture search on the page: which designs there are, what they cost, and what is said of them."""

from __future__ import annotations

from typing import Any

import pytest

from regrow.report.cases import cases
from regrow.report.page import page_html
from regrow.report.search import DESIGNS, design_of, searches
from tests.report.example import example

Row = dict[str, Any]


def results(*methods: str, **more: Any) -> Row:
    """Made-up results of these methods; those that find widths have a row of architectures for each seed."""
    made = example(methods=methods, seeds=3, **more)
    found = []
    for row in made["architectures"]:
        searched = row["method"] in ("slimming", "random-widths")
        seeds = range(3) if searched else [None]
        found += [{**row, "seed": seed, "guide": guide_of(row["method"])} for seed in seeds]
    return {**made, "architectures": found}


def guide_of(method: str, network: str = "vgg11") -> Row | None:
    return {"network": network, "data": "digits"} if method == "guided" else None


def test_designs_are_told_by_what_made_their_architecture() -> None:
    made = results("l1", "random-widths", "slimming", "guided")
    assert {case.method: design_of(case) for case in cases(made)} == {
        "l1": "uniform",
        "random-widths": "random",
        "slimming": "automatic",
        "guided": "guided",
    }
    made["architectures"][-1]["guide"] = guide_of("guided", "vgg16")
    assert made["architectures"][-1]["method"] == "guided"
    assert [design_of(case) for case in cases(made) if case.method == "guided"] == ["transferred"]


def test_widths_that_a_person_named_are_no_design() -> None:
    assert [design_of(case) for case in cases(results("l1", fractions=[None]))] == [""]


def test_a_study_that_compares_no_architectures_has_no_section() -> None:
    assert searches(results("l1", "fpgm")) == []
    assert searches(results("slimming")) == []
    assert 'id="s0"' not in page_html(results("l1"))


def test_designs_are_compared_in_an_arm_from_fresh_weights_each_once_and_in_order() -> None:
    (found,) = searches(results("l1", "fpgm", "slimming", "random-widths", fractions=[0.3, 0.5]))
    assert found["arm"] == "scratch-e"
    assert [(point.label, point.case.fraction) for point in found["points"]] == [
        ("uniform", 0.3),
        ("uniform", 0.5),
        ("random", 0.3),
        ("random", 0.5),
        ("automatic (slimming)", 0.3),
        ("automatic (slimming)", 0.5),
    ]


def test_a_design_asked_for_in_two_ways_has_two_lines() -> None:
    made = results("l1", "slimming", fractions=[0.3, 0.5])
    for row in (*made["architectures"], *made["runs"], *made["verdicts"]):
        if row["method"] == "slimming":
            row["design"] = "30 % of macs" if row["fraction"] == 0.3 else "50 % of params"
    (found,) = searches(made)
    assert [point.label for point in found["points"]] == [
        "uniform",
        "uniform",
        "automatic (slimming), of macs",
        "automatic (slimming), of params",
    ]


def test_where_several_methods_are_uniform_l1_stands_for_them() -> None:
    (found,) = searches(results("fpgm", "l1", "l2", "slimming"))
    assert [point.case.method for point in found["points"]] == ["l1", "slimming"]


@pytest.mark.parametrize("what", ["params", "macs"])
def test_figures_draw_every_design_at_its_cost_with_its_interval(what: str) -> None:
    (found,) = searches(results("l1", "slimming", "random-widths", fractions=[0.3, 0.5]))
    figure = found["pictures"][what].figure
    assert [trace.name for trace in figure.data] == ["uniform", "random", "automatic (slimming)"]
    uniform = figure.data[0]
    points = [point for point in found["points"] if point.label == "uniform"]
    assert list(uniform.x) == sorted(float(f"{point.cost(what):.5g}") for point in points)
    assert sorted(uniform.y) == pytest.approx(sorted(point.arm.accuracy for point in points), rel=1e-4)
    assert all(up > 0 for up in uniform.error_y.array)
    assert uniform.marker.color == DESIGNS["uniform"][0]
    assert figure.layout.showlegend


def test_found_against_uniform_widths_is_taken_apart_into_architecture_and_weights() -> None:
    made = results("l1", "slimming")
    (found,) = searches(made)
    (table,) = found["tables"]
    assert (table["inherited"], table["fresh"], table["seeds"]) == ("retrain", "scratch-e", (0, 1, 2))
    accuracy: dict[tuple[str, str], list[float]] = {}
    for run in made["runs"]:
        accuracy.setdefault((run["method"], run["arm"]), []).append(run["test_accuracy"])
    means = {key: sum(values) / len(values) for key, values in accuracy.items()}
    expected = means["slimming", "scratch-e"] - means["l1", "scratch-e"]
    assert table["effects"]["architecture, fresh weights"]["mean"] == pytest.approx(expected)


def masks() -> Row:
    made = results("magnitude", "random")
    for row in made["architectures"]:
        row |= {"kept_weights": 50, "nominal_macs": 40, "nominal_params": 30}
    centre = [[0.1, 0.1, 0.1], [0.1, 0.4, 0.1], [0.1, 0.1, 0.1]]
    where = {key: made["architectures"][0][key] for key in ("network", "data", "method", "fraction", "design")}
    shares = {"0": 0.2, "1": 0.3}
    rows = [{**where, "seed": seed, "kernels": {"0": centre}, "stage_shares": shares} for seed in range(3)]
    return {**made, "prunings": rows}


def test_patterns_of_masks_are_means_over_seeds_shaded_by_the_largest() -> None:
    made = masks()
    made["prunings"][0]["kernels"] = {"0": [[0.4, 0.1, 0.1], [0.1, 0.4, 0.1], [0.1, 0.1, 0.1]]}
    (found,) = searches(made)
    (pattern,) = found["patterns"]
    first, second = pattern["stages"]
    assert (first["share"], second["kernel"]) == (pytest.approx(0.2), [])
    assert first["kernel"][0][0] == {"share": pytest.approx(0.2), "shade": 50}
    assert first["kernel"][1][1]["shade"] == 100


def test_masks_cost_what_their_kept_weights_cost() -> None:
    (found,) = searches(masks())
    assert found["masked"]
    assert {point.cost("macs") for point in found["points"]} == {40}


def test_masks_of_versions_that_kept_no_patterns_are_shown_without() -> None:
    made = masks()
    for row in made["prunings"]:
        row |= {"kernels": None, "stage_shares": None}
    (found,) = searches(made)
    assert found["patterns"] == []


def test_the_page_shows_the_section_and_names_in_it_are_data() -> None:
    made = results("l1", "slimming", "random-widths")
    page = page_html(made)
    assert page.count('class="plot" id="s0-') == 2
    assert "The architecture, or the weights?" in page
    for row in (*made["networks"], *made["architectures"], *made["runs"], *made["verdicts"]):
        row["network"] = "<script>alert(1)</script>"
    assert "<script>alert(1)" not in page_html(made)
    assert "Where weights stay" in page_html(masks())
