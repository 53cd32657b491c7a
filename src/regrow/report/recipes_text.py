"""What a study shows across its comparisons, in words and tables: savings, the gap over data sizes, and all of it as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from regrow.evaluation.savings import Saving
from regrow.report.cases import Interval, Results
from regrow.report.recipes import FEWEST, Across, Change, Saved, across
from regrow.report.words import DASH, percent, point, points, points_span, span

_LESS: Final = {
    "training_flops": ("less compute", "more compute", "as much compute"),
    "epochs": ("fewer epochs", "more epochs", "as many epochs"),
    "train_seconds": ("less training time", "more training time", "as much training time"),
}
"""How a ratio above 1, below 1 and of 1 is said, by unit."""

COUNTED: Final = (
    "Compute is what was spent after the dense network, which the inheriting arm needs and which is not counted here, nor are pruning and "
    "the choice of learning rates. Read off between the lengths that were run; exploratory, not corrected for the number of pairs."
)
SUBSETS: Final = (
    "It describes these subsets of one data set, drawn once, at as many optimiser steps; it does not say why. "
    "Exploratory, not corrected for the number of families."
)


def note(family: Across) -> str:
    """What must be known to read the sentences of a family; empty where nothing is said."""
    return COUNTED if family.savings else SUBSETS if family.change else ""


def sentences(family: Across) -> list[str]:
    """One for each pair of arms of which one may save, and one on the change of the gap over data sizes."""
    said = [_saved_sentence(saved) for saved in family.savings]
    return [*said, change_sentence(family.change)] if family.change else said


def _saved_sentence(saved: Saved) -> str:
    """In compute, or else in the first unit that is known."""
    return saving_sentence(saved.inheriting, saved.fresh, next(iter(saved.units.values())))


def saving_sentence(inheriting: str, fresh: str, saving: Saving) -> str:
    """What one arm needed to reach another, plainly."""
    goal = f"what {fresh} reached after {saving.goal_epochs:.4g} epochs"
    if saving.ratio is None:
        missed = f"{saving.n - saving.reached} of {saving.n} seeds"
        return f"{inheriting} did not reach {goal} in {missed}, trained for up to {saving.longest:.4g} epochs."
    if saving.at_once:
        bound = "at least" if saving.ratio >= 1 else "at most"
        times = _times(saving, saving.unit)
        return (
            f"{inheriting} reached {goal} at the shortest length that was run already in {saving.at_once} of {saving.n} seeds, "
            f"so with {bound} {times} (n = {saving.n})."
        )
    return f"{inheriting} reached {goal} with {_times(saving, saving.unit)} ({_certainty(saving)})."


def _times(saving: Saving, unit: str) -> str:
    less, more, same = _LESS[unit]
    ratio = saving.ratio or 1.0
    larger = max(ratio, 1 / ratio)
    if factor(larger) == "1.0":
        return same
    return f"{factor(larger)} times {less if ratio > 1 else more}"


def _certainty(saving: Saving) -> str:
    """The interval of the factor that the sentence says."""
    if saving.interval is None:
        return f"no interval, n = {saving.n}"
    return f"95 % interval {_factors(_said(saving))}, n = {saving.n}"


def _said(saving: Saving) -> Interval:
    low, high = saving.interval or (1.0, 1.0)
    return (low, high) if (saving.ratio or 1.0) >= 1 else (1 / high, 1 / low)


def _factors(interval: Interval) -> str:
    return f"{factor(interval[0])} to {factor(interval[1])}"


def factor(value: float) -> str:
    """A ratio of costs.

    >>> factor(3.14), factor(0.04), factor(212.3)
    ('3.1', '0.04', '212')
    """
    return f"{value:.2g}" if value < 0.95 else f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


def saving_cells(saved: Saved) -> dict[str, Any]:
    """One row of the table of savings."""
    first = next(iter(saved.units.values()))
    return {
        "inheriting": saved.inheriting,
        "fresh": saved.fresh,
        "reached": f"{first.reached} of {first.n}",
        "epochs": f"{first.goal_epochs:.4g}",
        "units": {unit: _cell(saved.units.get(unit)) for unit in _LESS},
    }


def _cell(saving: Saving | None) -> str:
    """Fresh cost / inheriting cost."""
    if saving is None or saving.ratio is None:
        return DASH
    bound = "≥ " if saving.at_once else ""
    return f"{bound}{factor(saving.ratio)}" + (f" ({_factors(saving.interval)})" if saving.interval else "")


def change_sentence(change: Change) -> str:
    """Whether the gap changes with data, plainly and not causally."""
    begun = {
        "changes": "The gap changes with the number of training images",
        "no change seen": "No change of the gap with the number of training images was seen",
        "cannot tell": "Whether the gap changes with the number of training images cannot be told",
    }[change.word]
    within = f"less than the margin of {point(change.margin)}" if change.margin and change.small_at_most else ""
    joined = (
        f"; any is {within}"
        if change.word == "no change seen"
        else f", by {within}"
        if change.word == "changes"
        else ""
    )
    bound = joined if within else ""
    few = f" Fewer than {FEWEST} paired seeds." if change.n < FEWEST else ""
    return (
        f"{begun}{bound}: {change.a} − {change.b} is {points(change.gaps[0])} points on {change.small} and {points(change.gaps[1])} on "
        f"{change.large}; the first minus the second is {points(change.mean)}, 95 % interval {points_span(change.interval)}, "
        f"n = {change.n}.{few}"
    )


def markdown(results: Results) -> str:
    """All families in Markdown, with headings of the third level; empty where there are none."""
    return "\n\n".join(part for family in across(results) for part in _markdown(family))


def _markdown(family: Across) -> list[str]:
    parts = [f"### {family.title}", _accuracies(family)]
    if family.savings:
        parts += [_saving_table(family.savings)]
    said = sentences(family)
    return [*parts, "\n".join(f"- {sentence}" for sentence in said), note(family)] if said else parts


def _accuracies(family: Across) -> str:
    from regrow.report.markdown import table  # which shows this module's tables in turn

    named = "recipe" if family.kind == "recipes" else "data"
    header = (named, *family.arm_names, *([f"{family.contrast}, points"] if family.contrast else []))
    lines = []
    for place, (name, case) in enumerate(zip(family.names, family.cases, strict=True)):
        cells = [accuracy_cell(family, arm, place) for arm in family.arm_names]
        verdict = case.verdict or {}
        contrast = f"{points(verdict.get('mean'))} ({points_span(verdict.get('ci95'))})" if case.verdict else DASH
        lines.append((name, *cells, *([contrast] if family.contrast else [])))
    return table(header, lines)


def accuracy_cell(family: Across, arm: str, place: int) -> str:
    """Mean, interval and number of seeds of one arm in one comparison."""
    one = dict(family.of(arm)).get(place)
    return DASH if one is None else f"{percent(one.accuracy)} ({span(one.interval)}; n = {one.n})"


def _saving_table(savings: Sequence[Saved]) -> str:
    from regrow.report.markdown import table

    header = (
        "arm",
        "against",
        "its epochs",
        "seeds that reached it",
        "times less compute",
        "fewer epochs",
        "less time",
    )
    cells = [saving_cells(saved) for saved in savings]
    return table(
        header,
        [(one["inheriting"], one["fresh"], one["epochs"], one["reached"], *one["units"].values()) for one in cells],
    )
