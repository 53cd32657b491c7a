"""What all figures share."""

from __future__ import annotations

import math
import re
from pathlib import Path

import plotly.graph_objects as go
import pytest

from regrow.report import drawing
from regrow.report.cases import families
from regrow.report.drawing import colour, drawn, error_bars, figure, plain, rounded, symbol, thinned
from regrow.report.figures import accuracy_against_macs
from regrow.retraining.arms import ARMS
from tests.report.example import example


@pytest.mark.parametrize("length", [1, 59, 60, 61, 160, 1000])
def test_thinning_keeps_both_ends_and_never_too_many(length: int) -> None:
    kept = thinned(list(range(length)))
    assert len(kept) == min(length, 60)
    assert (kept[0], kept[-1]) == (0, length - 1)
    assert kept == sorted(set(kept))


def test_every_arm_has_a_colour_of_its_own_and_unknown_ones_share_one() -> None:
    names = ["dense", *ARMS]
    assert len({colour(name) for name in names}) == len(names)
    assert colour("x); background: red") == colour("y") == "var(--arm-other)"
    assert symbol("y") not in {symbol(name) for name in names}


def test_every_colour_is_defined_for_light_and_for_dark_and_stands_for_one_arm() -> None:
    page = (Path(drawing.__file__).parent / "page.css").read_text()
    shades = {name: re.findall(rf"--arm-{name}: (#[0-9a-f]{{6}});", page) for name in ["dense", *ARMS, "other"]}
    assert {name: len(found) for name, found in shades.items() if len(found) != 2} == {}
    for light_or_dark in zip(*shades.values(), strict=True):
        assert len(set(light_or_dark)) == len(shades)


def test_text_from_a_file_cannot_be_markup() -> None:
    assert plain("<b>net</b> &amp; %{x}") == "‹b›net‹/b› ＆amp; % x "


def test_numbers_are_short_and_gaps_stay_gaps() -> None:
    assert rounded([1 / 3, None, 123456.7, math.nan, math.inf]) == [0.33333, None, 123460.0, None, None]


def test_error_bars_reach_the_ends_of_their_intervals_and_have_no_length_without_one() -> None:
    bars = error_bars([90.0, 80.0], [(88.5, 92.0), None], "red")
    assert (bars["array"], bars["arrayminus"], bars["color"]) == ([2.0, 0.0], [1.5, 0.0], "red")


def test_empty_traces_are_left_out_and_so_are_empty_figures() -> None:
    made = figure([go.Scatter(x=[], y=[]), go.Scatter(x=[1], y=[2])], x="a", y="b", height=100)
    assert len(made.data) == 1
    (family,) = families({"architectures": example(seeds=2)["architectures"]})
    assert drawn({"macs": accuracy_against_macs(family, "id")}) == {}


def test_figures_carry_no_template() -> None:
    assert len(figure([], x="a", y="b", height=100).to_json()) < 600
