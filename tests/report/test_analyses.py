"""Analyses on the page: what stands in the rows is what is drawn and said, and nothing else appears."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from regrow.evaluation.weights_histogram import EDGES, histogram
from regrow.report.analyses import CENTRE, analysed, nats
from regrow.report.page import page_html
from tests.report.example import example

Row = dict[str, Any]
POSITIONS = [place / 10 for place in range(11)]


def results(*names: str) -> Row:
    """A made-up study of two seeds with the rows of these analyses."""
    made = example(seeds=2, arms=("dense", "retrain", "scratch-b"))
    rows: list[Row] = []
    for run in made["runs"]:
        key = {name: run[name] for name in ("network", "data", "method", "fraction", "arm", "seed")}
        key |= {"variant": "", "design": "50 %" if run["method"] else ""}
        run |= {"variant": "", "design": key["design"], "test_loss": 0.5 + 0.1 * run["seed"]}
        rows += [key | {"analysis": name, "second": None, "found": FOUND[name](run)} for name in names if name in FOUND]
        if "barrier" in names and run["arm"] == "retrain":
            rows.append(key | {"analysis": "barrier", "second": "scratch-b", "found": line(run["seed"])})
    return {**made, "analyses": rows}


def loss(run: Row) -> Row:
    return {"loss": 0.2 + 0.1 * run["seed"] + 0.05 * (run["arm"] == "dense"), "accuracy": 99.0, "images": 100}


def distribution(run: Row) -> Row:
    weight = 0.05 * torch.randn(20_000, generator=torch.Generator().manual_seed(run["seed"]))
    mask = weight.abs() > 0.02 if run["arm"] == "retrain" else None
    found = histogram([(weight, mask)])
    return {"edges": list(EDGES), "near": 1e-3, "all": found, "stages": {"0": found, "1": found}}


def line(seed: int) -> Row:
    before = [0.2 + (1 + seed) * t * (1 - t) for t in POSITIONS]
    after = [0.2 + 0.1 * t * (1 - t) for t in POSITIONS]
    return {
        "positions": POSITIONS,
        "before": before,
        "after": after,
        "barrier_before": (1 + seed) / 4,
        "barrier_after": 0.025,
        "images": 100,
        "groups": 8,
        "moved": 0.75,
        "unmatched": ["blocks.0.attn"] if seed else [],
    }


FOUND = {"losses": loss, "weights": distribution}


def test_a_study_without_analyses_has_no_section() -> None:
    assert analysed(results()) == []
    assert analysed(example()) == []
    assert 'id="a0"' not in page_html(results())


def test_losses_of_all_seeds_stand_at_their_place() -> None:
    (one,) = analysed(results("losses"))
    assert list(one["pictures"]) == ["losses"]
    traces = {trace.name: trace for trace in one["pictures"]["losses"].figure.data if trace.name}
    assert set(traces) == {"dense", "retrain", "scratch-b"}
    assert list(traces["dense"].x) == pytest.approx([0.25, 0.35])
    assert list(traces["dense"].y) == pytest.approx([0.5, 0.6])
    assert traces["dense"].legendgroup == "dense"
    rows = {row["arm"]: row for row in one["losses"]}
    assert list(rows) == ["dense", "retrain", "scratch-b"]
    assert (rows["retrain"]["train"], rows["retrain"]["test"]) == pytest.approx((0.25, 0.55))


def test_a_loss_that_is_not_known_is_left_out_and_said() -> None:
    made = results("losses")
    for row in made["analyses"]:
        if row["arm"] == "retrain":
            row["found"]["loss"] = None
    (one,) = analysed(made)
    assert "retrain" not in {trace.name for trace in one["pictures"]["losses"].figure.data}
    assert "retrain: – on training images" in one["pictures"]["losses"].alt
    assert 'id="a0"' in page_html(made)


def test_barriers_are_two_mean_curves_over_faint_seeds() -> None:
    (one,) = analysed(results("barrier"))
    picture = one["pictures"]["barrier"]
    curves = {trace.name: trace for trace in picture.figure.data if trace.name}
    assert set(curves) == {"channels as they are", "channels matched"}
    assert list(curves["channels as they are"].y) == pytest.approx([0.2 + 1.5 * t * (1 - t) for t in POSITIONS])
    assert list(curves["channels matched"].x) == POSITIONS
    assert len(picture.figure.data) == 4
    assert picture.title == "On the straight line from retrain to scratch-b"
    assert picture.alt == "Mean barrier in nats, channels as they are: 0.375; channels matched: 0.025."


def test_a_seed_with_an_infinite_loss_has_no_curve() -> None:
    made = results("barrier")
    made["analyses"][0]["found"] |= {"before": [None] * 11, "barrier_before": None}
    (one,) = analysed(made)
    before = [trace for trace in one["pictures"]["barrier"].figure.data if trace.name == "channels as they are"]
    assert list(before[0].y) == pytest.approx([0.2 + 2 * t * (1 - t) for t in POSITIONS])


def test_histograms_are_steps_whose_area_is_one() -> None:
    (one,) = analysed(results("weights"))
    figure = one["pictures"]["weights"].figure
    assert {trace.name for trace in figure.data} == {"dense", "retrain", "scratch-b"}
    for trace in figure.data:
        assert trace.line.shape == "hv"
        assert float(np.diff(trace.x) @ np.array(trace.y[:-1])) == pytest.approx(1, abs=1e-3)
    low, high = figure.layout.xaxis.range
    assert -low == high
    assert high in EDGES
    assert 0.05 * 2.57 <= high < 1
    assert CENTRE == 0.99


def test_a_hole_around_zero_is_seen() -> None:
    (one,) = analysed(results("weights"))
    rows = {row["arm"]: row for row in one["weights"]}
    assert one["masked"]
    assert rows["retrain"]["near"] == 0 < rows["scratch-b"]["near"]
    assert rows["retrain"]["weights"] + rows["retrain"]["masked"] == 20_000
    assert rows["scratch-b"]["stages"].keys() == {"0", "1"}


def test_everything_stands_on_the_page_and_names_are_only_text() -> None:
    made = results("losses", "barrier", "weights")
    made["analyses"][0]["found"] |= {"extra": "<script>"}
    for row in made["analyses"]:
        if row["analysis"] == "barrier":
            row["found"]["unmatched"] = ["<b>blocks</b>"]
    html = page_html(made)
    for text in ('id="a0-losses"', 'id="a0-barrier"', 'id="a0-weights"', "&lt;b&gt;blocks&lt;/b&gt;", "Exploratory"):
        assert text in html
    assert "<b>blocks" not in html


def test_numbers_are_short() -> None:
    assert [nats(value) for value in (1.23456, 0.0, None)] == ["1.235", "0", "–"]


def test_a_section_says_what_was_removed_or_what_it_was_pruned_to() -> None:
    made = results("losses")
    (one,) = analysed(made)
    assert one["title"].endswith("50 % removed")
    for row in made["analyses"]:
        row |= {"fraction": None, "design": "vgg16-a"} if row["method"] else {}
    (one,) = analysed(made)
    assert one["title"].endswith("pruned to vgg16-a")
