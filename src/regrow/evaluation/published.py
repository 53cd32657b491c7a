"""Published means: what a paper's mean, standard deviation and n say about a difference of two arms, beside our own.

    theirs        Welch's interval of two arms' independent runs; none of single runs
    ours          the paired difference of a study, with its interval
    ours - theirs the two are independent; Welch and Satterthwaite again

Whether a study agrees with a paper is said only where both know which arm is better and the study is comparable in size; all
else is "cannot tell", with its reasons. Units: percentage points, arm a minus arm b.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from regrow.evaluation.statistics import Interval, StandardError, critical, pooled_error
from regrow.published.numbers import Mark, Number, weakest

LEVEL: Final = 0.95

SHORTEST: Final = 0.5
"""A study of less than this share of the published epochs says nothing about agreement."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A difference, and what is known of its error."""

    mean: float
    error: StandardError | None
    """None where single runs, or a missing standard deviation, leave it unknown."""

    n: int
    mark: Mark = "read"
    """How sure the published numbers are that it rests on."""

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval."""
        if self.error is None:
            return None
        half = float(critical(LEVEL, self.error.df, self.n)) * float(self.error.size)
        return self.mean - half, self.mean + half

    @property
    def decided(self) -> bool:
        """Whether the interval excludes 0."""
        found = self.interval
        return found is not None and not found[0] <= 0 <= found[1]


def published_difference(a: Number, b: Number) -> Estimate | None:
    """Arm a minus arm b as published; None where one is an accuracy and the other a change.

    The runs of two arms are taken as independent, since nothing says that they were paired.
    """
    if a.kind != b.kind:
        return None
    errors = [_error(number) for number in (a, b)]
    known = [error for error in errors if error is not None]
    return Estimate(
        mean=a.mean - b.mean,
        error=pooled_error(known) if len(known) == 2 else None,
        n=min(a.n, b.n),
        mark=weakest([a.weakest, b.weakest]),
    )


def _error(number: Number) -> StandardError | None:
    if number.std is None or number.n < 2:
        return None
    return StandardError(size=np.asarray(number.std / math.sqrt(number.n)), df=np.asarray(number.n - 1.0))


def own_difference(row: Mapping[str, Any]) -> Estimate:
    """Arm a minus arm b from a row of a study's `verdicts` or `pairs`.

    Its standard error is the one that with n - 1 degrees of freedom gives the row's own interval, whatever that rests on: the
    seeds' spread, the resolution of the test set, or the always-valid interval of an extended study.
    """
    n, mean, found = int(row["n"]), float(row["mean"]), row.get("ci95")
    if found is None or n < 2:
        return Estimate(mean=mean, error=None, n=n)
    half = (float(found[1]) - float(found[0])) / 2
    return Estimate(
        mean=mean, error=StandardError(size=half / critical(LEVEL, n - 1.0, n), df=np.asarray(n - 1.0)), n=n
    )


def distance(ours: Estimate, theirs: Estimate) -> Estimate:
    """Our difference minus the published one; without an interval where either has none."""
    known = [one.error for one in (ours, theirs) if one.error is not None]
    return Estimate(
        mean=ours.mean - theirs.mean,
        error=pooled_error(known) if len(known) == 2 else None,
        n=min(ours.n, theirs.n),
        mark=theirs.mark,
    )


def agreement(ours: Estimate, theirs: Estimate, smaller: Sequence[str] = ()) -> tuple[str, list[str]]:
    """One word, `agrees`, `disagrees` or `cannot tell`, and for the last its reasons.

    `smaller` says in what the study is not comparable (width, epochs, data set); where it is empty and both intervals exclude 0,
    equal signs agree and opposite signs disagree.
    """
    reasons = [*_undecided(theirs, "the published"), *_undecided(ours, "our"), *smaller]
    if reasons:
        return "cannot tell", reasons
    return ("agrees" if (ours.mean > 0) == (theirs.mean > 0) else "disagrees"), []


def _undecided(estimate: Estimate, whose: str) -> list[str]:
    if estimate.interval is not None:
        return [] if estimate.decided else [f"{whose} interval includes 0"]
    return [f"{whose} numbers have no interval ({'n = 1' if estimate.n == 1 else 'no standard deviation'})"]


def ratio_too_low(ours: float | None, published: float | None) -> bool:
    """Whether fewer than half of the published epochs were trained; unknown lengths are no reason.

    >>> ratio_too_low(79, 160), ratio_too_low(80, 160), ratio_too_low(None, 160)
    (True, False, False)
    """
    return ours is not None and published is not None and ours < SHORTEST * published
