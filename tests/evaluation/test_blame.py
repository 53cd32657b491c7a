"""Blame: worked out by hand from times that are made up."""

from __future__ import annotations

import pytest

from regrow.evaluation.blame import Blame, blame, told
from regrow.evaluation.kinds import LayerTime


def row(layer: str, kind: str, seconds: float, macs: int = 0, widths: tuple[int, ...] = ()) -> LayerTime:
    return LayerTime(layer=layer, kind=kind, seconds=seconds, macs=macs, widths=widths)


DENSE = (
    row("a", "convolution", 8.0, 800, (64, 64)),
    row("b", "depthwise", 2.0, 80, (64, 64)),
    row("c", "depthwise", 1.0, 40, (64, 64)),
    row("d", "norm", 1.0),
)
SMALL = (
    row("a", "convolution", 2.0, 200, (32, 32)),
    row("b", "depthwise", 2.0, 40, (32, 32)),
    row("c", "depthwise", 0.5, 20, (32, 32)),
    row("d", "norm", 0.5),
)
"""At a MAC cut of 4 the time would be 3; it is 5, so 2 are too many: 1.75 of depthwise convolutions, 0.25 of norms."""


def test_shares_speed_ups_and_gaps_add_up() -> None:
    (found,) = blame(DENSE, SMALL, 4.0)
    assert found.kind.name == "depthwise"
    assert found.kind.share == pytest.approx(2.5 / 5)
    assert found.kind.speed_up == pytest.approx(3 / 2.5)
    assert found.kind.gap == pytest.approx(1.75 / 2)
    assert [layer.name for layer in found.layers] == ["b", "c"]
    assert found.layers[0].share == pytest.approx(2 / 5)
    assert found.layers[0].speed_up == pytest.approx(1.0)


def test_kinds_are_named_until_they_make_up_half_of_the_gap_and_two_at_most() -> None:
    kinds = ("norm", "pool", "copy", "softmax")
    dense = [row(kind, kind, 1.0) for kind in kinds]
    small = [row(kind, kind, 0.9 - 0.1 * index) for index, kind in enumerate(kinds)]
    assert [one.kind.name for one in blame(dense, small, 2.0)] == ["norm", "pool"]


def test_nobody_is_to_blame_where_time_fell_as_far_as_the_macs() -> None:
    assert blame(DENSE, SMALL, 2.0) == ()
    assert told(()) == ""


def test_work_that_is_new_in_the_small_network_is_to_blame_too() -> None:
    (found, *_) = blame(
        (row("a", "convolution", 4.0, 4),), (row("a", "convolution", 1.0, 1), row("p", "copy", 1.0)), 4.0
    )
    assert (found.kind.name, found.kind.speed_up) == ("copy", 0.0)


def test_odd_widths_are_named_with_the_layer_and_the_way_out() -> None:
    small = (row("a", "convolution", 6.0, 200, (45, 45)), *SMALL[1:])
    found = blame(DENSE, small, 4.0)
    assert found[0].kind.name == "convolution"
    assert "no multiples of 8 (a: 45 in, 45 out)" in found[0].reason
    assert "round_to=8" in found[0].reason
    assert "multiples" not in blame(DENSE, small, 4.0, widths_matter=False)[0].reason


def test_widths_that_were_odd_before_are_not_to_blame() -> None:
    dense = (row("a", "linear", 4.0, 400, (64, 10)),)
    small = (row("a", "linear", 3.0, 100, (32, 10)),)
    assert "multiples" not in blame(dense, small, 4.0)[0].reason


def test_a_layer_with_one_side_that_stays_says_so() -> None:
    dense = (row("stem", "convolution", 4.0, 400, (3, 64)), row("b", "norm", 0.1))
    small = (row("stem", "convolution", 2.0, 200, (3, 32)), row("b", "norm", 0.1))
    assert "their own MACs fall only 2.0x" in blame(dense, small, 4.0)[0].reason


def test_overhead_names_no_layer() -> None:
    dense = (row("a", "convolution", 1.0, 4), row("", "overhead", 1.0))
    small = (row("a", "convolution", 0.25, 1), row("", "overhead", 1.0))
    (found,) = blame(dense, small, 4.0)
    assert (found.kind.name, found.layers) == ("overhead", ())
    assert "80 % of the small network's time is spent in starting operations" in told([found])


def test_layers_that_hardly_count_are_not_named() -> None:
    dense = [row(f"n{index}", "norm", 0.005) for index in range(1000)]
    found: tuple[Blame, ...] = blame(dense, dense, 2.0)
    assert found[0].layers == ()
