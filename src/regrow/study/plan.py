"""The plan: what a study will do and how long that will take, before anything is spent.

Counting MACs and timing a few real steps of each architecture are stages like any other and are kept in the store. Time is
never derived from MACs: small networks leave the processor idle, so equal MACs are not equal seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regrow.config.study import Study
from regrow.config.trust import require_trust
from regrow.data.datasets import facts, root_problem
from regrow.networks.sources import Access
from regrow.networks.spec import NetworkSpec
from regrow.study.comparison import network_name
from regrow.study.executor import this_machine
from regrow.study.expand import expand
from regrow.study.expansion import Case, Expansion
from regrow.study.lengths import base_recipe, dense_epochs
from regrow.study.stage import Stage
from regrow.study.stages import cost_stage, data_stage, probe_stage
from regrow.study.store import Store
from regrow.study.worker import execute
from regrow.training.compute import Compute

Row = dict[str, Any]

_CHEAP = ("trace", "cost", "trial", "target")
"""Kinds that a plan does itself, because the list of stages depends on them."""

_SHOWN = 3
"""Notes of one network that a plan shows."""


def describe(study: Study, out: Path, *, measure: bool = True) -> Row:
    """Stages, arms with their epochs and learning rates, MACs and estimated seconds of a study. Opens no data, trains nothing.

    Args:
        study: what would be done.
        out: the folder that the study would be run in; what its store already holds counts as done.
        measure: time a few training steps of each architecture; without it there are no seconds.

    Raises `ConfigError` where the study names code that nobody trusted, `ProtocolError` where it would compare what cannot be
    compared.
    """
    require_trust(study)
    store = Store(out / "store")
    found = _expand_cheaply(study, store)
    asked = study.compute
    machine = this_machine(
        store.root, device=asked.device, threads=asked.threads, workers=asked.workers, devices=asked.devices
    )
    slots = machine.slots // asked.devices
    clock = _Clock(study, store, measure)
    stages = [
        clock.row(kind, [stage for stage in found.stages.values() if stage.kind == kind]) for kind in _kinds(found)
    ]
    seconds = [row["seconds"] for row in stages]
    architectures = [_architecture(case, store) for case in _first_seeds(found)]
    return {
        "study": {"name": study.name, "title": study.title, "id": study.id},
        "workers": slots,
        "stages": stages,
        "networks": _networks(found, store),
        "architectures": architectures,
        "arms": [row for case in _first_seeds(found) for row in _arms(study, case)],
        "estimated_seconds": None if None in seconds else math.fsum(seconds) / slots,
        "notes": [*_notes(study), *_supposed(architectures), *_whole(found)],
    }


def _expand_cheaply(study: Study, store: Store) -> Expansion:
    while True:
        found = expand(study, store.result, assume=True)
        missing = [s for s in found.stages.values() if s.kind in _CHEAP and store.result(s.key) is None]
        if not missing:
            return found
        for stage in missing:
            _do_here(stage, store)


@dataclass
class _Clock:
    """Seconds of stages, from a few timed steps of each architecture."""

    study: Study
    store: Store
    measure: bool

    def row(self, kind: str, stages: list[Stage]) -> Row:
        """Number, done, and seconds left of all stages of one kind."""
        left = [stage for stage in stages if self.store.result(stage.key) is None]
        seconds = [self.stage_seconds(stage) for stage in left]
        total = None if None in seconds else math.fsum(s for s in seconds if s is not None)
        return {"kind": kind, "count": len(stages), "done": len(stages) - len(left), "seconds": total}

    def stage_seconds(self, stage: Stage) -> float | None:
        """Training by timed steps; an evaluation as the forward third of as many; the rest is short."""
        if stage.kind != "train":
            return 0.0
        recipe = stage.settings["recipe"]
        step = self.step_seconds(
            NetworkSpec.from_json(stage.settings["network"]),
            Compute.from_json(stage.settings["compute"]),
            Access.from_local(stage.local),
            recipe["batch"],
        )
        if step is None:
            return None
        return step * int(recipe["epochs"]) * math.ceil(self.examples(stage) / int(recipe["batch"]))

    def examples(self, stage: Stage) -> int:
        """Training examples of one epoch of a training."""
        known = {data_stage(data).key: facts(data).train for data in self.study.datasets}
        return known[stage.inputs["data"]]

    def step_seconds(self, spec: NetworkSpec, compute: Compute, access: Access, batch: int) -> float | None:
        """Seconds of one training step, measured once and kept."""
        study = next(one for one in self.study.varied().values() if one.train.batch == batch)
        recipe = base_recipe(study, epochs=dense_epochs(study), lr=study.train.lr)
        stage = probe_stage(spec, recipe, compute, access)
        if self.store.result(stage.key) is None:
            if not self.measure:
                return None
            _do_here(stage, self.store)
        result = self.store.result(stage.key)
        return None if result is None else float(result["step_seconds"])


def _do_here(stage: Stage, store: Store) -> None:
    """Do a stage in this process, which may be somebody's notebook: its arithmetic is afterwards what it was."""
    from regrow.training.machine import unchanged  # loads torch, which a plan of what is known does without

    with unchanged():
        execute(stage, store, _hush)


def _hush(event: Row) -> None:
    """Progress of a stage that takes a moment: nobody is told."""
    del event


def _kinds(found: Expansion) -> list[str]:
    order = ("data", "trace", "cost", "target", "trial", "import", "train", "prune", "evaluate", "analysis")
    present = {stage.kind for stage in found.stages.values()}
    return [kind for kind in order if kind in present]


def _networks(found: Expansion, store: Store) -> list[Row]:
    rows = {}
    for comparison in found.comparisons:
        columns = {"network": network_name(comparison.dense), "data": comparison.facts.label}
        groups = [{"name": group.name, "channels": group.channels} for group in comparison.prunable.groups]
        more = {"groups": groups, "notes": list(comparison.prunable.notes)}
        rows[str(columns)] = columns | more | (store.result(cost_stage(comparison.dense).key) or {})
    return list(rows.values())


def _first_seeds(found: Expansion) -> list[Case]:
    """One case a comparison: where every seed has its own widths, the first seed's."""
    first: dict[str, Case] = {}
    for case in found.cases:
        first.setdefault(str(case.comparison.columns), case)
    return list(first.values())


def _architecture(case: Case, store: Store) -> Row:
    """What will be left. Where the method has yet to find it (`supposed`), the share that was asked for stands in."""
    comparison, shape = case.comparison, case.shape
    supposed = case.pruned is not None and store.result(case.pruned.key) is None
    dense = store.result(cost_stage(comparison.dense).key) or {}
    small = {} if supposed or shape.masked else store.result(cost_stage(shape.spec).key) or {}
    return {
        **comparison.columns,
        "design": comparison.design,
        "supposed": supposed,
        "widths": None if supposed else list(shape.spec.widths),
        "macs": shape.macs,
        "params": shape.params,
        **small,
        "nominal_macs": shape.nominal_macs if shape.masked else None,
        "dense_macs": dense["macs"],
        "scratch_epochs": dict(case.epochs),
    }


def _arms(study: Study, case: Case) -> Iterable[Row]:
    recipe = study.varied()[case.comparison.variant]
    for plan in case.plans:
        yield {
            **case.comparison.columns,
            "arm": plan.name,
            "epochs": plan.epochs,
            "schedule": plan.schedule,
            "seeds": len(study.seed_list),
            "lr": "tuned on validation" if recipe.retrain.tune_lr else "as the dense network's",
        }


def _supposed(architectures: Iterable[Row]) -> Iterable[str]:
    """That some of the plan rests on what methods have yet to find."""
    methods = dict.fromkeys(row["method"] for row in architectures if row["supposed"])
    if methods:
        yield (
            f"What {', '.join(methods)} will leave is known when it was scored or drawn, for every seed by itself; until then MACs, "
            "parameters and epochs follow from the share that was asked for."
        )


def _whole(found: Expansion) -> Iterable[str]:
    """What of networks from elsewhere cannot be pruned or only changed; the first few things of each."""
    noted = {network_name(comparison.dense): comparison.prunable.notes for comparison in found.comparisons}
    for name, notes in noted.items():
        more = [f"and {len(notes) - _SHOWN} more (--json shows all)"] if len(notes) > _SHOWN else []
        if notes:
            yield f"{name}: {'; '.join([*notes[:_SHOWN], *more])}."


def _notes(study: Study) -> list[str]:
    notes = [problem for problem in map(root_problem, study.datasets) if problem]
    if any(one.retrain.tune_lr for one in study.varied().values()):
        notes.append(
            "Tuning is planned for the first grid of learning rates; it grows while a best value lies at an edge."
        )
    return notes
