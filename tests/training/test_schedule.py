"""Schedules: the learning rate of every step, against values computed by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regrow.training.schedule import SCHEDULES, learning_rates
from tests.training.samples import recipe

FALLING = [name for name in SCHEDULES if name != "constant"]


def rates(steps_per_epoch: int = 1, **changes: Any) -> list[float]:
    return learning_rates(recipe(**({"peak_lr": 1.0, "final_lr": 0.01} | changes)), steps_per_epoch)


def test_the_step_schedule_falls_twice_by_a_tenth_at_half_and_at_three_quarters() -> None:
    assert rates(epochs=4) == [1.0, 1.0, 0.1, 0.01]
    assert rates(epochs=160)[78:82] == [1.0, 1.0, 0.1, 0.1]
    assert rates(epochs=160)[118:122] == [0.1, 0.1, 0.01, 0.01]


def test_the_step_schedule_changes_at_whole_epochs_rounded_down() -> None:
    assert rates(epochs=7) == [1.0, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    assert rates(epochs=3, steps_per_epoch=2) == [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]


def test_the_middle_level_halves_the_fall_whatever_the_fall_is() -> None:
    assert rates(epochs=4, final_lr=0.25) == [1.0, 1.0, 0.5, 0.25]


def test_half_a_cosine() -> None:
    expected = [0.01 + 0.99 * share for share in (1.0, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0.0)]
    assert rates(schedule="cosine", epochs=5) == pytest.approx(expected, abs=1e-15)


def test_one_cycle_rises_over_three_tenths_and_then_falls_as_a_cosine() -> None:
    found = rates(schedule="one-cycle", epochs=10)
    assert found[:4] == pytest.approx([1 / 3, 2 / 3, 1.0, 1.0])
    assert found[6] == pytest.approx(0.01 + 0.99 / 2)


def test_a_constant_schedule_keeps_the_peak() -> None:
    assert rates(schedule="constant", epochs=3) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("schedule", ["step", "cosine", "constant"])
def test_warm_up_rises_in_equal_parts_to_the_peak(schedule: str) -> None:
    found = rates(schedule=schedule, epochs=10, steps_per_epoch=2, warmup=0.2)
    assert found[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_the_steps_of_warm_up_are_counted_in_decimals() -> None:
    # 0.29 x 100 is 28.999... in binary floating point.
    found = rates(schedule="constant", epochs=100, warmup=0.29)
    assert found[27] == pytest.approx(28 / 29)
    assert found[28] == 1.0


def test_a_tail_is_the_end_of_the_whole_schedule() -> None:
    whole = rates(schedule="cosine", epochs=20, steps_per_epoch=3, warmup=0.1)
    tail = rates(schedule="cosine", epochs=8, schedule_epochs=20, schedule_start=12, steps_per_epoch=3, warmup=0.1)
    assert tail == whole[36:]


@pytest.mark.parametrize("schedule", FALLING)
@given(epochs=st.integers(1, 40), steps_per_epoch=st.integers(1, 7))
def test_every_falling_schedule_ends_exactly_at_the_final_rate_and_never_leaves_its_bounds(
    schedule: str, epochs: int, steps_per_epoch: int
) -> None:
    found = rates(schedule=schedule, epochs=epochs, steps_per_epoch=steps_per_epoch)
    assert len(found) == epochs * steps_per_epoch
    assert found[-1] == 0.01
    assert all(0 < rate <= 1.0 for rate in found)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_stretches_in_proportion(schedule: str) -> None:
    short, long = (rates(schedule=schedule, epochs=epochs, steps_per_epoch=100) for epochs in (20, 60))
    assert short[::100] == pytest.approx(long[::300], abs=0.01)
