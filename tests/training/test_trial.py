"""Trials: what is open is timed, what is said is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from torch import nn

from regrow.networks.spec import NetworkSpec
from regrow.training import trial
from regrow.training.compute import Compute
from regrow.training.trial import choose, pays, pick, seconds_per_step
from tests.training.samples import recipe

TINY = NetworkSpec(name="vgg11", width=0.03125, widths=(2, 4, 8, 8, 16, 16, 16, 16), classes=10, shape=(1, 8, 8))
OPEN: dict[str, Any] = {"device": "cpu", "threads": 1, "precision": "auto", "channels_last": "auto", "compile": False}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three steps of each option are enough here."""
    monkeypatch.setattr(trial, "TRIAL_SECONDS", 0.0)


def test_nothing_is_timed_where_nothing_is_open() -> None:
    wish = OPEN | {"precision": "bf16", "channels_last": True}
    chosen = choose(TINY, recipe(), wish=wish, total_steps=100)
    assert chosen.compute == Compute(precision="bf16", channels_last=True)
    assert chosen.measured == []


def test_every_open_option_is_timed_and_one_of_them_is_chosen() -> None:
    chosen = choose(TINY, recipe(), wish=OPEN, total_steps=100)
    options = [(row["precision"], row["channels_last"]) for row in chosen.measured]
    assert options == [("fp32", False), ("fp32", True), ("bf16", True), ("bf16", False)]
    assert all(row["step_seconds"] > 0 and row["compile"] is False for row in chosen.measured)
    assert (chosen.compute.precision, chosen.compute.channels_last) in options


def test_a_network_from_elsewhere_is_built_by_whoever_knows_it() -> None:
    asked: list[tuple[object, ...]] = []

    def make(spec: NetworkSpec, *seed: int | str) -> nn.Module:
        asked.append((spec, *seed))
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    elsewhere = replace(TINY, name="nets:build", widths=())
    chosen = choose(elsewhere, recipe(), wish=OPEN, total_steps=100, make=make)
    assert len(chosen.measured) == len(asked) == 4 and set(asked) == {(elsewhere, 0, "trial")}
    assert seconds_per_step(elsewhere, recipe(batch=32), Compute(), make) > 0


def test_what_is_said_is_kept() -> None:
    chosen = choose(TINY, recipe(), wish=OPEN | {"precision": "bf16"}, total_steps=100)
    assert [row["precision"] for row in chosen.measured] == ["bf16", "bf16"]
    assert chosen.compute.precision == "bf16"


def test_a_plainer_option_stays_unless_another_gains_a_tenth_on_it() -> None:
    assert pick([1.0]) == 0
    assert pick([1.0, 0.95, 0.92]) == 0
    assert pick([1.0, 0.9, 0.8]) == 2
    assert pick([1.0, 0.9, 0.85]) == 1
    assert pick([0.8, 0.9]) == 0


def test_compiling_must_pay_for_itself_within_one_training() -> None:
    assert pays(eager=0.3, compiled=0.2, compile_seconds=20.0, steps=201)
    assert not pays(eager=0.3, compiled=0.2, compile_seconds=20.0, steps=199)
    assert not pays(eager=0.2, compiled=0.3, compile_seconds=0.0, steps=1000)


def test_a_step_takes_time_and_a_batch_twice_as_large_is_counted_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < seconds_per_step(TINY, recipe(batch=32), Compute()) < 5
    # With nothing to spend on a step, 16 of 1,024 examples are timed and the result is scaled by 64.
    monkeypatch.setattr(trial, "STEP_SECONDS", 0.0)
    few = seconds_per_step(TINY, recipe(batch=16), Compute())
    assert seconds_per_step(TINY, recipe(batch=1024), Compute()) > 8 * few


def test_over_several_devices_each_ones_part_of_a_step_is_timed_and_nothing_is_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = choose(TINY, recipe(), wish=OPEN | {"devices": 2, "compile": "auto"}, total_steps=10**9)
    assert chosen.compute.devices == 2 and not chosen.compute.compile
    assert [row["devices"] for row in chosen.measured] == [2] * 4
    # Of 1,024 examples, 16 are timed and the result is scaled to a device's part: 64 for one, 1 for 64.
    monkeypatch.setattr(trial, "STEP_SECONDS", 0.0)
    alone = seconds_per_step(TINY, recipe(batch=1024), Compute())
    assert alone > 8 * seconds_per_step(TINY, recipe(batch=1024), Compute(devices=64))
