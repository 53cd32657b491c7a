"""Verdicts: hands what the runs got right to the statistics, and keeps count of how often a question was looked at.

Imports scipy (through `evaluation`), so it is loaded only when results are written, not when they are merely read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regrow.config.families import Between, indifferent
from regrow.config.study import Study
from regrow.evaluation.contrast import Contrast
from regrow.evaluation.verdict import Verdict, explore, judge
from regrow.retraining.arms import ARMS
from regrow.retraining.conventions import CONVENTIONS
from regrow.study.artifacts import read_correct
from regrow.study.comparison import NO_METHOD, Comparison
from regrow.study.expansion import Expansion
from regrow.study.lengths import convention
from regrow.study.looks import Look, look_number, question, questions
from regrow.study.matching import Match, RunOf, matched, side_label
from regrow.study.stages import traces
from regrow.study.store import Store

Correct = Mapping[int, NDArray[np.bool_]]
Row = dict[str, Any]


def verdict_rows(study: Study, found: Expansion, store: Store) -> tuple[list[Row], list[Row], list[Row]]:
    """The rows of `verdicts` (the primary contrast of every comparison), of `pairs` (all its others) and of `between` in
    results.json."""
    bench = Bench.of(study, found, store)
    primary: list[Contrast] = []
    others: list[Contrast] = []
    names = [*study.arms, "dense"]
    for comparison in found.comparisons:
        pairs = [study.contrast, *(pair for pair in combinations(names, 2) if set(pair) != set(study.contrast))]
        for a, b in pairs:
            contrast = bench.contrast((comparison, a), (comparison, b))
            if contrast is not None:
                (primary if (a, b) == study.contrast else others).append(contrast)
    verdicts = [complete_or_none(study, verdict) for verdict in judge(primary, margin=study.margin)]
    return verdicts, explore(others, margin=study.margin), between_rows(study, found, bench)


def between_rows(study: Study, found: Expansion, bench: Bench) -> list[Row]:
    """The declared contrasts between comparisons, in the order of the study's file. Each [[between]] is a family of tests."""
    rows: list[Row] = []
    for asked in study.between:
        matches = matched(asked, found.comparisons, bench.finished, bench.validation)
        found.problems += [one.problem for one in matches if one.problem and one.problem not in found.problems]
        sides = [(one, bench.contrast(one.first, one.second)) for one in matches if one.first and one.second]
        asking = [(one, _named(asked, one, contrast)) for one, contrast in sides if contrast is not None]
        verdicts = judge([contrast for _, contrast in asking], margin=study.margin)
        rows += [_between_row(study, one, verdict) for (one, _), verdict in zip(asking, verdicts, strict=True)]
    return rows


def _named(asked: Between, one: Match, contrast: Contrast) -> Contrast:
    """The contrast under the name of its question, each side with what tells it from the other."""
    assert one.first is not None and one.second is not None
    sides = [side_label(asked, side) for side in (one.first, one.second)]
    told = replace(contrast, method=asked.name, variant=str(one.columns["variant"] or ""), a=sides[0], b=sides[1])
    pruned = not indifferent(asked.first.arm) & indifferent(asked.second.arm)
    return told if pruned else replace(told, fraction=None, design="")


def _between_row(study: Study, one: Match, verdict: Verdict) -> Row:
    assert one.first is not None and one.second is not None
    sides: Row = {
        place: {**comparison.columns, **(NO_METHOD if indifferent(arm) else {}), "arm": arm}
        for place, (comparison, arm) in (("first", one.first), ("second", one.second))
    }
    shared: Row = {str(name): value for name, value in one.columns.items()}
    return complete_or_none(study, verdict) | {"between": one.name} | shared | sides


def complete_or_none(study: Study, verdict: Verdict) -> Row:
    """The verdict's row; without a word where a declared seed is missing, since the seeds that survive are not a fair sample."""
    missing = sorted(set(study.seed_list) - set(verdict.contrast.correct_a))
    if not missing:
        return verdict.row
    contrast = verdict.contrast
    return verdict.row | {
        "word": None,
        "seeds_needed": None,
        "sentence": (
            f"No verdict for {contrast.label}: of the declared seeds, {', '.join(map(str, missing))} could not be trained in both "
            f"{contrast.a} and {contrast.b}, and those that survive are not a fair sample."
        ),
    }


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What the runs of a study got right, and what every contrast of two of them has to say."""

    recipes: Mapping[str, Study]
    store: Store
    looks: Mapping[str, Look]
    correct: Mapping[RunOf, Correct]
    """By comparison and arm, then by seed."""

    validation: Mapping[RunOf, float]
    """Mean validation accuracy at the last epoch, by comparison and arm."""

    @classmethod
    def of(cls, study: Study, found: Expansion, store: Store) -> Bench:
        """From the finished runs of a study."""
        correct: dict[RunOf, dict[int, NDArray[np.bool_]]] = {}
        reached: dict[RunOf, list[float]] = {}
        for run in found.runs:
            result, trained = store.result(run.evaluate.key), store.result(run.train.key) or {}
            if result is not None:
                row = read_correct(store, run.evaluate.key, result["examples"])
                correct.setdefault((run.comparison, run.arm), {})[run.seed] = row
                reached.setdefault((run.comparison, run.arm), []).append(trained.get("validation_accuracy") or 0.0)
        return cls(
            recipes=study.varied(),
            store=store,
            looks=questions(study, traces(store.result)),
            correct=correct,
            validation={key: sum(values) / len(values) for key, values in reached.items()},
        )

    @property
    def finished(self) -> frozenset[RunOf]:
        """What has been tested for at least one seed."""
        return frozenset(self.correct)

    def contrast(self, first: RunOf, second: RunOf) -> Contrast | None:
        """Two arms, of one comparison or of two, on the seeds that both have finished; None where there are none."""
        (one, a), (two, b) = first, second
        arm_a, arm_b = self.correct.get(first, {}), self.correct.get(second, {})
        seeds = sorted(arm_a.keys() & arm_b.keys())
        if not seeds:
            return None
        study, other = self.recipes[one.variant], self.recipes[two.variant]
        return Contrast(
            network=str(one.columns["network"]),
            data=one.facts.label,
            variant=one.variant,
            method=one.method,
            fraction=one.fraction,
            design=one.design,
            a=a,
            b=b,
            correct_a={seed: arm_a[seed] for seed in seeds},
            correct_b={seed: arm_b[seed] for seed in seeds},
            convention=_convention(study, one, a, b),
            tuned=study.retrain.tune_lr and other.retrain.tune_lr,
            one_dense=study.dense.checkpoint is not None,
            looks=max(self._looks(study, one), self._looks(other, two)),
        )

    def _looks(self, study: Study, comparison: Comparison) -> int:
        name = question(study, comparison)
        return look_number(self.store, name, self.looks[name])


def _convention(study: Study, comparison: Comparison, a: str, b: str) -> str:
    """The convention that made the two budgets comparable; `none` where neither arm's length follows from one."""
    budgets = [ARMS[name].budget for name in (a, b) if name in ARMS]
    if "convention" in budgets:
        return convention(study, comparison.wanted)
    return next((budget for budget in budgets if budget in CONVENTIONS), "none")
