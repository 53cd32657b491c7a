"""Looks: every time a verdict was shown. Growing a study after seeing its verdict inflates false alarms, so it is remembered.

A question is what a verdict answers: everything that defines the comparison but the seeds and the fractions, which is what
people add to. A look is the set of seeds and fractions that the verdict rested on. Imports no torch.
"""

from __future__ import annotations

from typing import Any

from regrow.config.study import Study
from regrow.files import digest
from regrow.study.comparison import Comparison, Traces, comparisons
from regrow.study.stages import data_stage
from regrow.study.store import Store

Look = dict[str, Any]


def questions(study: Study, *traces: Traces) -> dict[str, Look]:
    """Every question of the study, with the look that showing its verdict now would be; networks from elsewhere need `traces`."""
    looks: dict[str, Look] = {}
    recipes = study.varied()
    for comparison in comparisons(study, *traces):
        name = question(recipes[comparison.variant], comparison)
        look = looks.setdefault(name, {"seeds": sorted(study.seed_list), "fractions": []})
        if comparison.fraction is not None:
            look["fractions"] = sorted({*look["fractions"], comparison.fraction})
    return looks


def question(study: Study, comparison: Comparison) -> str:
    """Identity of the question that a comparison belongs to; `study` with the comparison's own recipe."""
    settings = study.model_dump(mode="json", include={"contrast", "margin", "train", "retrain", "dense"})
    family = {
        "data": data_stage(comparison.data).key,
        "dense": comparison.dense.to_json(),
        "method": comparison.method,
        "design": comparison.design if comparison.fraction is None else "",
        **comparison.wanted.guidance,
    }
    return digest({**settings, **family})[:24]


def look_number(store: Store, name: str, look: Look) -> int:
    """Which look this one is, counted by when its seeds and fractions were first seen; 1 before any other was."""
    looks = store.looks(name)
    return looks.index(look) + 1 if look in looks else len(looks) + 1
