"""Verdicts: hands what the runs got right to the statistics, and keeps count of how often a question was looked at.

Imports scipy (through `evaluation`), so it is loaded only when results are written, not when they are merely read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regrow.config.study import Study
from regrow.evaluation.contrast import Contrast
from regrow.evaluation.verdict import Verdict, explore, judge
from regrow.retraining.arms import ARMS
from regrow.retraining.conventions import CONVENTIONS
from regrow.study.artifacts import read_correct
from regrow.study.comparison import Comparison
from regrow.study.expansion import Expansion
from regrow.study.lengths import convention
from regrow.study.looks import look_number, question, questions
from regrow.study.stages import traces
from regrow.study.store import Store

Correct = Mapping[int, NDArray[np.bool_]]
Row = dict[str, Any]


def verdict_rows(study: Study, found: Expansion, store: Store) -> tuple[list[Row], list[Row]]:
    """The rows of `verdicts` (the primary contrast of every comparison) and of `pairs` (all others) in results.json."""
    correct = _correctness(found, store)
    primary: list[Contrast] = []
    others: list[Contrast] = []
    names = [*study.arms, "dense"]
    for comparison in found.comparisons:
        pairs = [study.contrast, *(pair for pair in combinations(names, 2) if set(pair) != set(study.contrast))]
        for a, b in pairs:
            contrast = _contrast(study, comparison, a, b, correct, store)
            if contrast is not None:
                (primary if (a, b) == study.contrast else others).append(contrast)
    verdicts = [_complete_or_none(study, verdict) for verdict in judge(primary, margin=study.margin)]
    return verdicts, explore(others, margin=study.margin)


def _complete_or_none(study: Study, verdict: Verdict) -> Row:
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


def _correctness(found: Expansion, store: Store) -> dict[tuple[Comparison, str], dict[int, NDArray[np.bool_]]]:
    correct: dict[tuple[Comparison, str], dict[int, NDArray[np.bool_]]] = {}
    for run in found.runs:
        result = store.result(run.evaluate.key)
        if result is not None:
            row = read_correct(store, run.evaluate.key, result["examples"])
            correct.setdefault((run.comparison, run.arm), {})[run.seed] = row
    return correct


def _contrast(
    study: Study,
    comparison: Comparison,
    a: str,
    b: str,
    correct: Mapping[tuple[Comparison, str], Correct],
    store: Store,
) -> Contrast | None:
    """The two arms on the seeds that both have finished; None where there are none."""
    arm_a, arm_b = (correct.get((comparison, name), {}) for name in (a, b))
    seeds = sorted(arm_a.keys() & arm_b.keys())
    if not seeds:
        return None
    name = question(study, comparison)
    return Contrast(
        network=str(comparison.columns["network"]),
        data=comparison.facts.label,
        method=comparison.method,
        fraction=comparison.fraction,
        design=comparison.design,
        a=a,
        b=b,
        correct_a={seed: arm_a[seed] for seed in seeds},
        correct_b={seed: arm_b[seed] for seed in seeds},
        convention=_convention(study, comparison, a, b),
        tuned=study.retrain.tune_lr,
        one_dense=study.dense.checkpoint is not None,
        looks=look_number(store, name, questions(study, traces(store.result))[name]),
    )


def _convention(study: Study, comparison: Comparison, a: str, b: str) -> str:
    """The convention that made the two budgets comparable; `none` where neither arm's length follows from one."""
    budgets = [ARMS[name].budget for name in (a, b) if name in ARMS]
    if "convention" in budgets:
        return convention(study, comparison.wanted)
    return next((budget for budget in budgets if budget in CONVENTIONS), "none")
