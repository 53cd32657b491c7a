"""The figure beside the published numbers."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import pytest

from regrow.report.drawing import Picture
from regrow.report.published import comparison_rows
from regrow.report.published_figures import published_picture
from tests.report.published_example import beside


def picture(results: dict[str, Any]) -> Picture:
    (row,) = comparison_rows(results)
    return published_picture(row, "p")


def marks(figure: go.Figure, arm: str) -> list[Any]:
    return [trace for trace in figure.data if trace.legendgroup == arm]


def test_each_arm_has_a_published_mark_above_and_ours_below() -> None:
    theirs, ours = marks(picture(beside()).figure, "fine-tune")
    assert (theirs.x, ours.x) == ((93.41,), (93.0,))
    assert theirs.y[0] > ours.y[0]
    assert theirs.error_x.array == (0.12,)
    assert ours.error_x.array == (pytest.approx(0.158, abs=0.001),)


def test_recalled_numbers_are_hollow_and_say_so_and_read_ones_are_filled() -> None:
    figure = picture(beside()).figure
    recalled, read = marks(figure, "fine-tune")[0], marks(figure, "scratch-b")[0]
    assert (recalled.marker.symbol, recalled.text) == ("diamond-open", ("(recalled)",))
    assert (read.marker.symbol, read.text) == ("diamond", ("(sd recalled)",))


def test_numbers_that_were_read_whole_say_nothing() -> None:
    photos = {"network": "torchvision:vgg16_bn", "method": "magnitude", "fraction": 0.3, "data": "imagenet"}
    (theirs, _) = marks(picture(beside("table6", **photos)).figure, "fine-tune")
    assert (theirs.marker.symbol, theirs.text, theirs.error_x.array) == ("diamond", ("",), None)


def test_an_arm_that_was_not_run_has_the_published_mark_only() -> None:
    assert len(marks(picture(beside(arms=("dense", "fine-tune", "scratch-e"))).figure, "scratch-b")) == 1


def test_changes_are_drawn_as_changes_and_leave_the_dense_network_out() -> None:
    photos = {"network": "torchvision:resnet50", "method": "thinet", "fraction": 0.5, "data": "photos"}
    made = picture(beside("table2", **photos))
    assert marks(made.figure, "dense") == []
    assert [trace.x[0] for trace in marks(made.figure, "fine-tune")] == [-4.13, pytest.approx(-0.6)]
    assert "change" in made.figure.layout.xaxis.title.text


def test_words_at_the_edge_stand_on_the_inner_side() -> None:
    results = beside()
    for run in results["runs"]:
        run["test_accuracy"] -= 20
    figure = picture(results).figure
    assert {marks(figure, arm)[0].textposition for arm in ("dense", "fine-tune", "scratch-b")} == {"top left"}


def test_every_mark_and_bar_lies_within_the_axis() -> None:
    figure = picture(beside()).figure
    low, high = figure.layout.xaxis.range
    assert all(
        low < trace.x[0] - trace.error_x.array[0] < trace.x[0] + trace.error_x.array[0] < high for trace in figure.data
    )


def test_the_numbers_can_be_read_aloud() -> None:
    said = picture(beside()).alt
    assert "fine-tune published 93.41 ± 0.12 (recalled), ours 93.00 ± 0.16" in said
    assert "scratch-b published 93.78 ± 0.15, ours 93.90 ± 0.16" in said


def test_names_from_a_file_are_no_markup() -> None:
    (row,) = comparison_rows(beside())
    row["arms"][1]["arm"] = "<b>%{x}</b>"
    figure = published_picture(row, "p").figure
    assert not any("<b>" in str(tick) for tick in figure.layout.yaxis.ticktext)
    assert not any("<b>" in trace.customdata[0] for trace in figure.data)
