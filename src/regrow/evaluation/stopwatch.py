"""Stopwatch: how long several calls take on this machine, measured so that noise meets all of them alike.

Every call is warmed up first. Then they take turns, round after round, and every other round goes backwards, so a machine that
slows down, or another program that wakes up, costs each of them the same. A turn repeats a quick call until it lasts long enough
to be measured, after one run that does not count and brings the call's own weights back into the caches. What is reported is
the median over the rounds and the quartiles around it.

On a GPU the time is the device's own, between two events on its stream; on a CPU it is the clock's.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

Call = Callable[[], object]

WARM_UP_SECONDS: Final = 0.2
"""Each call runs at least this long, and at least twice, before anything counts."""

TURN_SECONDS: Final = 0.02
"""A turn lasts at least this long: the clock's own error is then far below one part in a thousand."""

FEWEST_ROUNDS: Final = 5
MOST_ROUNDS: Final = 50


@dataclass(frozen=True, slots=True)
class Times:
    """What one call took, round by round."""

    seconds: tuple[float, ...]
    """Seconds of one run, one entry a round."""

    @property
    def median(self) -> float:
        """The median, in seconds."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """A quarter of the rounds was faster than the first, a quarter slower than the second; seconds."""
        return quartiles(self.seconds)


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """The first and the third quartile, interpolated; a single value is both.

    >>> quartiles([1.0, 2.0, 3.0, 4.0, 5.0])
    (2.0, 4.0)
    """
    if len(values) < 2:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def in_turns(calls: Sequence[Call], *, seconds: float, device: str = "cpu") -> list[Times]:
    """Time every call; all of it takes about `seconds` beyond the warm-up, and at least 5 rounds.

    Args:
        calls: functions without arguments, whose results are thrown away.
        seconds: what the counted part may take; it decides the number of rounds, between 5 and 50.
        device: `cpu`, or `cuda` where the calls only start work on a GPU.
    """
    clock = clock_of(device)
    repeats = [max(1, math.ceil(TURN_SECONDS / _warm_up(call, clock))) for call in calls]
    found: list[list[float]] = [[] for _ in calls]
    started = time.perf_counter()
    for number in range(MOST_ROUNDS):
        order = range(len(calls))
        for index in order if number % 2 == 0 else reversed(order):
            calls[index]()
            found[index].append(clock(calls[index], repeats[index]) / repeats[index])
        spent = time.perf_counter() - started
        if number + 1 >= FEWEST_ROUNDS and spent + spent / (number + 1) > seconds:
            break
    return [Times(tuple(times)) for times in found]


def _warm_up(call: Call, clock: Callable[[Call, int], float]) -> float:
    """Run until it is warm; the seconds of the last run, never 0."""
    clock(call, 1)
    spent = last = max(clock(call, 1), 1e-7)
    while spent < WARM_UP_SECONDS:
        last = max(clock(call, 1), 1e-7)
        spent += last
    return last


def clock_of(device: str) -> Callable[[Call, int], float]:
    """The function that times a number of runs of a call, in seconds, on a kind of device."""
    return _on_gpu if device == "cuda" else _on_cpu


def _on_cpu(call: Call, times: int) -> float:
    before = time.perf_counter()
    for _ in range(times):
        call()
    return time.perf_counter() - before


def _on_gpu(call: Call, times: int) -> float:
    import torch

    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    for _ in range(times):
        call()
    end.record()
    end.synchronize()
    milliseconds: float = start.elapsed_time(end)
    return milliseconds / 1000
