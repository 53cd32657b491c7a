"""The strip under a verdict: margin, zero, mean and both intervals on one line, placed in percent of its width.

The page draws it as plain SVG, so it is there without scripts, in print and in a mail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regrow.report.cases import ArmSummary, Row
from regrow.report.words import MINUS, points, points_span

ROOM = 1.2
"""How much farther the strip reaches than what it must show."""

LABELLED = 0.15
"""Share of the half strip that the margin must fill to be labelled; below it the labels would lie on each other."""

Span = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Strip:
    """Places in percent of the strip's width, zero difference at 50."""

    margin: Span
    mean: float
    ci95: Span | None
    ci90: Span | None
    ticks: tuple[tuple[float, str], ...]
    """Place and label of zero and of the margin, or of the ends where the margin is too narrow to be labelled."""

    alt: str
    """The same in words."""


def reach_of(verdicts: Sequence[Row]) -> float:
    """Percentage points from the middle to the end of a strip, so that strips of several verdicts can be compared."""
    known = [(v["margin"], v["mean"], *(v.get("ci95") or ()), *(v.get("ci90") or ())) for v in verdicts]
    return ROOM * max((abs(value) for values in known for value in values), default=1.0)


def strip(verdict: Row, reach: float) -> Strip:
    """The strip of a verdict; it reaches from -reach to +reach. Differences and margin are in percentage points."""
    margin, mean = verdict["margin"], verdict["mean"]
    wide, narrow = verdict.get("ci95"), verdict.get("ci90")

    def place(value: float) -> float:
        return round(50 + 50 * value / (reach or 1), 2)

    def both(bounds: Span | None) -> Span | None:
        return (place(bounds[0]), place(bounds[1])) if bounds else None

    words = f"{verdict['a']} minus {verdict['b']}: mean {points(mean)} points"
    words += f", 95 % interval {points_span(wide)}, 90 % interval {points_span(narrow)}, margin {margin:g}"
    edge = margin if margin >= LABELLED * reach else 0.9 * reach
    return Strip(
        margin=(place(-margin), place(margin)),
        mean=place(mean),
        ci95=both(wide),
        ci90=both(narrow),
        ticks=((place(-edge), f"{MINUS}{edge:.3g}"), (50.0, "0"), (place(edge), f"+{edge:.3g}")),
        alt=words,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Whisker:
    """An arm's mean and interval in percent of the width of a table cell, on one scale for the whole table."""

    mean: float
    interval: Span | None


def whiskers(arms: Sequence[ArmSummary]) -> dict[str, Whisker]:
    """A whisker for every arm that has an accuracy."""
    known = {arm.arm: (arm.accuracy, arm.interval) for arm in arms if arm.accuracy is not None}
    ends = [value for mean, interval in known.values() for value in (mean, *(interval or ()))]
    low, high = min(ends, default=0.0), max(ends, default=1.0)

    def place(value: float) -> float:
        return round(4 + 92 * (value - low) / ((high - low) or 1), 2)

    return {
        name: Whisker(mean=place(mean), interval=(place(interval[0]), place(interval[1])) if interval else None)
        for name, (mean, interval) in known.items()
    }
