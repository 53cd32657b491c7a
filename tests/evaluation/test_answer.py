"""The answer: ratios and sentences, from times that are made up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from regrow.evaluation.answer import Latency, Row
from regrow.evaluation.blame import Blame, Piece
from regrow.evaluation.footprint import Footprint
from regrow.evaluation.setup import Setup
from regrow.evaluation.stopwatch import Times

DENSE = Footprint(macs=4000, params=40, weight_bytes=160, activation_bytes=64)
DENSE_TIMES = Times((4.0, 4.0, 8.0))
"""The third round was disturbed, and so was its small network."""


def row(fraction: float | None, seconds: tuple[float, ...], *, macs: int = 1000, **changes: Any) -> Row:
    values: dict[str, Any] = {
        "name": f"{fraction:g}" if fraction is not None else "mine",
        "fraction": fraction,
        "round_to": 1,
        "compared": False,
        "backend": "eager",
        "batch": 2,
        "footprint": DENSE if fraction == 0 else Footprint(macs=macs, params=10, weight_bytes=40, activation_bytes=16),
        "dense_footprint": DENSE,
        "device_bytes": None,
        "times": Times(seconds),
        "dense_times": DENSE_TIMES,
    }
    return Row(**(values | changes))


def answer(*rows: Row, **changes: Any) -> Latency:
    values: dict[str, Any] = {"setup": Setup(backends=("eager",)), "batch": 2, "rows": rows, "blames": {}}
    return Latency(**(values | changes))


def test_speed_up_is_taken_round_by_round_so_a_disturbed_round_counts_once() -> None:
    found = row(0.5, (1.0, 1.0, 4.0))
    assert found.speed_up == 4.0
    assert found.speed_up_quartiles == (3.0, 4.0)
    assert (found.mac_cut, found.efficiency, found.is_slow) == (4.0, 1.0, False)


@pytest.mark.parametrize(("seconds", "slow"), [(4 / 3.1, False), (4 / 2.9, True)])
def test_below_three_quarters_of_the_mac_cut_it_is_called_slow(seconds: float, slow: bool) -> None:
    assert row(0.5, (seconds,), dense_times=Times((4.0,))).is_slow is slow


def test_a_dense_network_is_never_slow() -> None:
    assert not row(0.0, (4.0, 4.0, 8.0)).is_slow


def test_a_cut_that_comes_true_is_one_plain_sentence() -> None:
    assert answer(row(0.0, DENSE_TIMES.seconds), row(0.5, (1.0, 1.0, 2.0))).sentences == (
        "Fraction 0.5: MACs fall 4.0x, time 4.0x on this machine (eager, 1 thread, batch 2): 100 % of the MAC cut comes true.",
    )


def test_a_cut_that_does_not_come_true_is_followed_by_who_is_to_blame() -> None:
    piece = Piece(name="depthwise", share=0.6, speed_up=1.1, gap=0.9)
    layer = Piece(name="features.4.conv", share=0.3, speed_up=1.0, gap=0.5)
    blames = {"0.5": (Blame(kind=piece, layers=(layer,), reason="are bound by memory"),)}
    found = answer(row(0.0, DENSE_TIMES.seconds), row(0.5, (2.0, 2.0, 4.0)), blames=blames)
    assert str(found) == (
        "Fraction 0.5: MACs fall 4.0x, time only 2.0x on this machine (eager, 1 thread, batch 2). "
        "60 % of the small network's time is spent in depthwise convolutions, which became 1.1x as fast: they are bound by memory. "
        "The worst: features.4.conv (30 % of the time, 1.0x as fast)."
    )


def test_other_backends_are_told_after_the_first_and_each_has_its_own_rounding() -> None:
    rows = (
        row(0.0, DENSE_TIMES.seconds),
        row(0.5, (1.0, 1.0, 2.0)),
        row(0.5, (1.0, 1.0, 2.0), name="0.5, to 8", round_to=8, compared=True),
        row(0.0, DENSE_TIMES.seconds, backend="onnxruntime"),
        row(0.5, (8.0, 8.0, 16.0), backend="onnxruntime"),
        row(0.5, (2.0, 2.0, 4.0), name="0.5, to 8", round_to=8, compared=True, backend="onnxruntime"),
    )
    first, eager, onnx = answer(*rows).sentences
    assert first.endswith("100 % of the MAC cut comes true. In onnxruntime: time rises 2.0x.")
    assert eager == "At fraction 0.5 in eager, rounding the widths to multiples of 8 instead of 1 makes it no faster."
    assert onnx.startswith(
        "At fraction 0.5 in onnxruntime, rounding the widths to multiples of 8 makes the network 4.00x as fast"
    )


def test_a_reason_is_told_once() -> None:
    piece = Piece(name="norm", share=0.6, speed_up=1.1, gap=0.9)
    blame = (Blame(kind=piece, layers=(), reason="are bound by memory"),)
    rows = (row(0.0, DENSE_TIMES.seconds), row(0.25, (2.0, 2.0, 4.0)), row(0.5, (2.0, 2.0, 4.0)))
    first, second = answer(*rows, blames={"0.25": blame, "0.5": blame}).sentences
    assert first.endswith("norm layers, which became 1.1x as fast: they are bound by memory.")
    assert second.endswith("norm layers, which became 1.1x as fast.")


def test_where_nobody_is_to_blame_or_nobody_looked_it_says_so() -> None:
    rows = (row(0.0, DENSE_TIMES.seconds), row(0.5, (2.0, 2.0, 4.0)))
    assert "nobody is to blame" in answer(*rows, blames={"0.5": ()}).sentences[0]
    assert answer(*rows).sentences[0].endswith("Measure eager mode too to see which layers are to blame.")


def test_a_small_network_that_is_slower_is_told_as_slower() -> None:
    found = answer(row(0.0, DENSE_TIMES.seconds), row(None, (8.0, 8.0, 16.0)))
    assert found.sentences[0].startswith("mine: MACs fall 4.0x, time rises 2.0x on this machine")


@pytest.mark.parametrize(
    ("seconds", "sentence"),
    [
        (1.0, "rounding the widths to multiples of 16 makes the network 2.00x as fast as rounding to 1"),
        (1.99, "rounding the widths to multiples of 16 instead of 1 makes it no faster."),
    ],
)
def test_rounding_is_recommended_only_where_it_pays(seconds: float, sentence: str) -> None:
    plain = row(0.5, (2.0, 2.0, 2.0))
    rounded = row(0.5, (seconds,) * 3, name="0.5, to 16", round_to=16, compared=True)
    assert sentence in answer(row(0.0, DENSE_TIMES.seconds), plain, rounded).sentences[-1]


def test_json_is_plain_and_measured_keys_say_so() -> None:
    value = answer(row(0.0, DENSE_TIMES.seconds), row(0.5, (1.0, 1.0, 2.0)), notes=("left out",)).to_json()
    assert json.loads(json.dumps(value)) == value
    small = value["rows"][1]
    assert (small["macs"], small["median_seconds"], small["examples_per_second"]) == (500, 1.0, 2.0)
    measured = {"speed_up", "speed_up_quartiles", "efficiency"}
    same = answer(row(0.0, (1.0, 2.0, 3.0)), row(0.5, (5.0, 6.0, 7.0))).to_json()["rows"][1]
    changed = {key for key in small if small[key] != same[key]} - measured
    assert all(key.endswith(("_seconds", "_per_second")) for key in changed)
