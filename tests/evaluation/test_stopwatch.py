"""The stopwatch: turns, rounds, quartiles."""

from __future__ import annotations

import time

import pytest
import torch

from regrow.evaluation import stopwatch
from regrow.evaluation.stopwatch import FEWEST_ROUNDS, MOST_ROUNDS, Times, clock_of, in_turns, quartiles


@pytest.fixture(autouse=True)
def _hardly_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopwatch, "WARM_UP_SECONDS", 0.0)
    monkeypatch.setattr(stopwatch, "TURN_SECONDS", 0.0)


def test_the_median_and_the_quartiles_are_those_of_the_rounds() -> None:
    times = Times((5.0, 1.0, 2.0, 4.0, 3.0))
    assert times.median == 3.0
    assert times.quartiles == (2.0, 4.0)


def test_one_value_is_both_quartiles() -> None:
    assert quartiles([7.0]) == (7.0, 7.0)


def test_every_call_has_a_turn_in_every_round() -> None:
    found = in_turns([lambda: None, lambda: None, lambda: None], seconds=0.0)
    assert [len(times.seconds) for times in found] == [FEWEST_ROUNDS] * 3


def test_every_other_round_goes_backwards_and_each_turn_begins_with_a_run_that_does_not_count() -> None:
    log: list[str] = []
    in_turns([lambda: log.append("a"), lambda: log.append("b")], seconds=0.0)
    rounds = log[4:]  # two runs of each, to warm up
    assert "".join(rounds[:8]) == "aabbbbaa"
    assert len(rounds) == 4 * FEWEST_ROUNDS


def test_more_seconds_are_more_rounds_up_to_a_limit() -> None:
    (times,) = in_turns([lambda: None], seconds=60.0)
    assert len(times.seconds) == MOST_ROUNDS


def test_a_quick_call_is_repeated_within_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopwatch, "TURN_SECONDS", 0.005)
    count = 0

    def call() -> None:
        nonlocal count
        count += 1

    in_turns([call], seconds=0.0)
    assert count > 100 * FEWEST_ROUNDS


def test_a_call_that_waits_takes_at_least_that_long_and_more_than_one_that_does_not() -> None:
    quick, slow = in_turns([lambda: None, lambda: time.sleep(0.002)], seconds=0.0)
    assert slow.median >= 0.002
    assert quick.median < slow.median


def test_a_call_is_warmed_up_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopwatch, "WARM_UP_SECONDS", 0.01)
    log: list[float] = []
    in_turns([lambda: log.append(time.perf_counter())], seconds=0.0)
    assert log[-2 * FEWEST_ROUNDS] - log[0] >= 0.005


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_the_work_is_timed_and_not_its_start() -> None:
    matrix = torch.randn(8192, 8192, device="cuda")
    call = lambda: matrix @ matrix  # noqa: E731
    call()
    torch.cuda.synchronize()
    assert clock_of("cuda")(call, 2) > 2 * clock_of("cpu")(call, 1)
