"""Savings: with how much less compute does one arm reach what another reached at its longest?

Of every seed by itself: the goal is the test accuracy of the arm from fresh weights at the most epochs that it was trained for, and costs
C_f there. The inheriting arm was trained for several lengths, with costs c_1 < c_2 < ... and accuracies a_1, a_2, ... The least cost
at which it reaches the goal is read off straight lines in log cost:

    c = c_i (c_{i+1} / c_i)^f,   f = (goal - a_i) / (a_{i+1} - a_i),   i the first with a_i < goal <= a_{i+1}
    ratio = C_f / c

and c = c_1 where a_1 already reaches it, which only bounds the ratio from below. Ratios of seeds are put together by their geometric
mean, with Student's 95 % interval of the mean of their logarithms. There is one only where every seed reached the goal between two
lengths: a seed that never reached it has no ratio, and one that was there at once has a bound in its place.

A cost is what was spent after the dense network: FLOPs, epochs, or seconds as they were measured. Accuracies are in percent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, stdev
from typing import Any, Final

from regrow.evaluation.statistics import Interval, critical, mean_interval

Row = Mapping[str, Any]
Point = tuple[float, float]
"""Cost and accuracy of one length."""

UNITS: Final = ("training_flops", "epochs", "train_seconds")
"""Columns of a run in which a cost can be counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Saving:
    """What one inheriting arm saves against one arm from fresh weights, in one unit."""

    unit: str
    """One of `UNITS`."""

    ratio: float | None
    """Geometric mean over seeds of fresh cost / inheriting cost; None unless every seed reached the goal."""

    interval: Interval | None
    """95 %; None where any seed only has a bound, of one seed, and of seeds that are all equal."""

    n: int
    """Seeds that ran every length of both arms."""

    reached: int
    """Seeds that reached the goal."""

    at_once: int
    """Seeds that reached it at the shortest length already: `ratio` is then a lower bound."""

    goal_epochs: float
    """Epochs that the goal took, mean over seeds."""

    longest: float
    """Most epochs of the inheriting arm, mean over seeds."""

    lengths: int
    """Lengths for which the inheriting arm was trained."""


def saving(inheriting: Sequence[Row], fresh: Sequence[Row], unit: str = "training_flops") -> Saving | None:
    """Compare the runs of two arms, each of all lengths and seeds.

    Args:
        inheriting: rows of runs with `seed`, `epochs`, `test_accuracy` and the unit's column.
        fresh: the same of the other arm.
        unit: one of `UNITS`.

    Runs of one seed and as many epochs are one training that several recipes share; were they not, their means count. None where no
    seed has all lengths of both arms, or where a cost is not known.
    """
    ours, theirs = _lengths(inheriting, unit), _lengths(fresh, unit)
    seeds = sorted(_complete(ours) & _complete(theirs))
    if not seeds:
        return None
    goals = [theirs[seed][max(theirs[seed])] for seed in seeds]
    curves = [sorted(ours[seed].values()) for seed in seeds]
    costs = [least_cost(curve, accuracy) for curve, (_, accuracy) in zip(curves, goals, strict=True)]
    logs = [math.log(spent / cost) for cost, (spent, _) in zip(costs, goals, strict=True) if cost is not None]
    at_once = sum(curve[0][1] >= accuracy for curve, (_, accuracy) in zip(curves, goals, strict=True))
    every = len(logs) == len(seeds)
    return Saving(
        unit=unit,
        ratio=math.exp(fmean(logs)) if every else None,
        interval=_interval(logs) if every and not at_once else None,
        n=len(seeds),
        reached=len(logs),
        at_once=at_once,
        goal_epochs=fmean(max(theirs[seed]) for seed in seeds),
        longest=fmean(max(ours[seed]) for seed in seeds),
        lengths=len(curves[0]),
    )


def least_cost(curve: Sequence[Point], goal: float) -> float | None:
    """The least cost at which a curve of rising costs reaches an accuracy; its first cost where it is there at once; None if never.

    >>> least_cost([(1.0, 80.0), (4.0, 90.0)], 85.0), least_cost([(1.0, 80.0)], 80.0), least_cost([(1.0, 80.0)], 81.0)
    (2.0, 1.0, None)
    """
    if curve[0][1] >= goal:
        return curve[0][0]
    for (before, low), (after, high) in pairwise(curve):
        if low < goal <= high:
            return before * math.pow(after / before, (goal - low) / (high - low))
    return None


def paired_change(
    first: Mapping[int, float], second: Mapping[int, float], image: float
) -> tuple[float, Interval | None, int]:
    """First minus second by seed, percentage points: mean, Student's 95 % interval (None of one seed), number of seeds.

    The standard deviation is never taken to be below `image`, the points that one test image is.

    >>> mean, interval, n = paired_change({0: 1.0, 1: 3.0}, {0: 1.0, 1: 1.0, 2: 5.0}, 0.0)
    >>> mean, [round(end, 3) for end in interval], n
    (1.0, [-11.706, 13.706], 2)
    """
    differences = [first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())]
    n, middle = len(differences), fmean(differences)
    if n < 2:
        return middle, None, n
    half = float(critical(0.95, n - 1, n)) * max(stdev(differences), image) / math.sqrt(n)
    return middle, (middle - half, middle + half), n


def _lengths(runs: Sequence[Row], unit: str) -> dict[int, dict[int, Point]]:
    """Cost and accuracy by seed and epochs; empty where a cost is not known."""
    found: dict[int, dict[int, list[Point]]] = {}
    for run in runs:
        if not run.get(unit) or run.get("test_accuracy") is None:
            return {}
        length = found.setdefault(int(run["seed"]), {}).setdefault(int(run["epochs"]), [])
        length.append((float(run[unit]), float(run["test_accuracy"])))
    return {seed: {epochs: _middle(points) for epochs, points in own.items()} for seed, own in found.items()}


def _middle(points: Sequence[Point]) -> Point:
    return fmean(cost for cost, _ in points), fmean(accuracy for _, accuracy in points)


def _complete(lengths: Mapping[int, Mapping[int, Point]]) -> set[int]:
    """Seeds that have as many lengths as any."""
    most = max((len(own) for own in lengths.values()), default=0)
    return {seed for seed, own in lengths.items() if len(own) == most}


def _interval(logs: Sequence[float]) -> Interval | None:
    """Of the geometric mean; equal values of a few seeds are no proof that they would always be equal."""
    if len(logs) < 2 or stdev(logs) < 1e-9:
        return None
    low, high = mean_interval(logs)
    return math.exp(low), math.exp(high)
