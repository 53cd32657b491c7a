"""Matching: which arms of which comparisons a declared contrast sets against each other. Imports no torch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from regrow.config.families import COLUMNS, Between, Column, Side, indifferent
from regrow.study.comparison import Comparison

RunOf: TypeAlias = tuple[Comparison, str]
"""An arm (or `dense`) of a comparison."""

Key: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Match:
    """One contrast that a [[between]] asks for, or why it cannot be made."""

    name: str
    """Of the [[between]]."""

    columns: Mapping[Column, Any]
    """In what both sides agree; None for the columns in which they need not."""

    first: RunOf | None = None
    second: RunOf | None = None
    problem: str = ""


def matched(
    asked: Between,
    comparisons: Sequence[Comparison],
    finished: Collection[RunOf],
    validation: Mapping[RunOf, float],
) -> list[Match]:
    """Every pair of arms that a declared contrast means, of those that are finished.

    Each side is grouped by the columns that both must share; over the columns in `best` a side takes the comparison of its highest
    mean validation accuracy (ties: the first in the study's order). A side that names several comparisons without a choice
    between them is a problem, told and left out.
    """
    sides = [_grouped(side, asked, comparisons, finished) for side in (asked.first, asked.second)]
    return [_match(asked, key, sides[0][key], sides[1][key], validation) for key in sides[0] if key in sides[1]]


def side_label(asked: Between, side: RunOf) -> str:
    """For people: the arm, and what tells its comparison from the other side's: `scratch-e (slimming)`, `ticket (lr 0.01)`."""
    comparison, arm = side
    told = [
        name
        for name in COLUMNS
        if name not in {*asked.matched, *indifferent(arm)} and not (name == "design" and _fraction_says(comparison))
    ]
    said = ", ".join(_word(comparison.columns[name]) for name in told if comparison.columns[name])
    return f"{arm} ({said})" if said else arm


def _fraction_says(comparison: Comparison) -> bool:
    return comparison.fraction is not None


def _word(value: str | float | None) -> str:
    return f"{value * 100:g} %" if isinstance(value, float) else str(value)


def _grouped(
    side: Side, asked: Between, comparisons: Sequence[Comparison], finished: Collection[RunOf]
) -> dict[Key, list[RunOf]]:
    groups: dict[Key, list[RunOf]] = {}
    for comparison in comparisons:
        columns = comparison.columns
        fits = all(columns[column] == value for column, value in side.named.items())
        if fits and (comparison, side.arm) in finished:
            groups.setdefault(tuple(columns[name] for name in asked.matched), []).append((comparison, side.arm))
    return groups


def _match(
    asked: Between, key: Key, first: list[RunOf], second: list[RunOf], validation: Mapping[RunOf, float]
) -> Match:
    shared = dict.fromkeys(COLUMNS) | dict(zip(asked.matched, key, strict=True))
    chosen = [_best(side, asked, validation) for side in (first, second)]
    if None in chosen:
        return Match(name=asked.name, columns=shared, problem=next(_problems(asked, first, second, chosen)))
    return Match(name=asked.name, columns=shared, first=chosen[0], second=chosen[1])


def _best(side: list[RunOf], asked: Between, validation: Mapping[RunOf, float]) -> RunOf | None:
    """The one comparison of a side; None where it has several and nothing says which."""
    rest = {
        tuple(value for name, value in one.columns.items() if name not in asked.chosen | indifferent(arm))
        for one, arm in side
    }
    return None if len(rest) > 1 else max(side, key=lambda run: validation.get(run, 0.0))


def _problems(asked: Between, first: list[RunOf], second: list[RunOf], chosen: Sequence[RunOf | None]) -> Iterator[str]:
    for place, side, one in zip(("first", "second"), (first, second), chosen, strict=True):
        if one is None:
            found = ", ".join(dict.fromkeys(comparison.label for comparison, _ in side))
            yield (
                f"between {asked.name!r}: {place} means more than one comparison: {found}. Name the method, fraction, design or "
                "variant, or let best choose."
            )
