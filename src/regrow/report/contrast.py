"""The primary contrast in numbers: which statistics of a verdict are shown, under which names, and how they are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from regrow.report.cases import Row
from regrow.report.words import DASH, points, points_span, probability


def numbers(verdicts: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """One row a statistic: its name and one value a verdict; an empty verdict gives dashes."""
    return [(name, [write(verdict) for verdict in verdicts]) for name, write in STATISTICS.items()]


def _points(key: str) -> Callable[[Row], str]:
    return lambda verdict: points(verdict.get(key))


def _interval(key: str) -> Callable[[Row], str]:
    return lambda verdict: points_span(verdict.get(key))


def _plain(key: str) -> Callable[[Row], str]:
    return lambda verdict: DASH if verdict.get(key) is None else f"{verdict[key]:.2f}"


def _p(key: str) -> Callable[[Row], str]:
    return lambda verdict: f"{probability(verdict.get(key))} ({probability(verdict.get(f'{key}_holm'))})"


def _seeds_needed(verdict: Row) -> str:
    needed = verdict.get("seeds_needed")
    return f"{needed[0]} to {needed[1]}" if needed else DASH


def _looks(verdict: Row) -> str:
    return f"{verdict.get('looks', DASH)}{', extended' if verdict.get('extended') else ''}"


STATISTICS: Final[Mapping[str, Callable[[Row], str]]] = {
    "verdict": lambda verdict: str(verdict.get("word") or "none"),
    "paired seeds": lambda verdict: str(verdict.get("n", DASH)),
    "mean difference": _points("mean"),
    "standard deviation of differences": _plain("sd"),
    "least standard deviation the test set resolves": _plain("floor_sd"),
    "95 % interval": _interval("ci95"),
    "90 % interval": _interval("ci90"),
    "p of superiority (Holm)": _p("p_superiority"),
    "p of equivalence (Holm)": _p("p_equivalence"),
    "correlation of the pairs": _plain("correlation"),
    "95 % interval as if unpaired (Welch)": _interval("welch95"),
    "seeds still needed": _seeds_needed,
    "looks at the verdict": _looks,
}
"""What is said about a primary contrast, and how it is written."""
