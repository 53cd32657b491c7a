"""From settings to stages: the one place that decides what is part of a stage's identity. Imports no torch."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from regrow.config.study import Study
from regrow.data.datasets import root_problem
from regrow.data.fingerprint import fingerprint
from regrow.data.settings import DataSettings
from regrow.errors import ConfigError
from regrow.files import file_digest
from regrow.networks.prunable import Prunable
from regrow.networks.sources import NOWHERE, Access, is_foreign
from regrow.networks.spec import NetworkSpec
from regrow.retraining.ledger import FORWARD_FLOPS_PER_MAC, training_flops
from regrow.study.comparison import Comparison, Traces
from regrow.study.lengths import base_recipe, dense_epochs
from regrow.study.machine import processor_name
from regrow.study.shape import Shape
from regrow.study.stage import Stage
from regrow.training.compute import Compute
from regrow.training.recipe import Recipe

PRIORITY = {"tuning dense": 1, "tuning": 2, "dense": 3, "arm": 4, "evaluate": 5}
"""Lower runs earlier. Tuning comes first, since all arms wait for it; what else is ready fills the gaps."""

_NOT_IDENTITY = {"label", "augment", "loader_workers"}
"""Data settings that do not change the decoded files: augmentation belongs to training, workers change no bit."""


def data_stage(data: DataSettings) -> Stage:
    """Decode and split one data set."""
    settings = data.model_dump(mode="json")
    identity = {name: value for name, value in settings.items() if name not in _NOT_IDENTITY | {"root"}}
    return Stage(
        kind="data",
        settings={**identity, "content": _content(data)},
        local={"root": str(data.root)} if data.root is not None else {},
        label=f"data {data.label or data.name}",
    )


@functools.cache
def _content(data: DataSettings) -> str:
    """Hash of the data's files, read once per process; empty where they are missing, which stops a run before any stage."""
    return "" if root_problem(data) else fingerprint(data)


def trace_stage(spec: NetworkSpec, access: Access = NOWHERE) -> Stage:
    """Find the groups of a network from elsewhere, which its specification may already hold."""
    return Stage(
        kind="trace",
        settings={"network": replace(spec, widths=(), removed=()).to_json()},
        local=access.to_local(),
        label=f"trace of {spec.name}",
    )


def traces(lookup: Callable[[str], Mapping[str, Any] | None]) -> Traces:
    """What finished stages say about networks from elsewhere; `lookup` gives the result of a stage by key, or None."""

    def find(spec: NetworkSpec, access: Access) -> Prunable | None:
        result = lookup(trace_stage(spec, access).key)
        return None if result is None else Prunable.from_json(result)

    return find


def trace_input(spec: NetworkSpec) -> dict[str, str]:
    """The stage that all others about a network from elsewhere rest on."""
    return {"trace": trace_stage(spec).key} if is_foreign(spec.name) else {}


def cost_stage(spec: NetworkSpec, access: Access = NOWHERE) -> Stage:
    """Count one network."""
    return Stage(
        kind="cost",
        settings={"network": spec.to_json()},
        inputs=trace_input(spec),
        local=access.to_local(),
        label=f"cost of {spec.name}",
    )


def trial_stage(study: Study, spec: NetworkSpec, steps: int, access: Access = NOWHERE) -> Stage:
    """Resolve what `[compute]` leaves open, on this processor."""
    settings = study.compute.model_dump(mode="json", exclude={"workers"})
    return Stage(
        kind="trial",
        settings={
            "network": spec.to_json(),
            "compute": settings,
            "recipe": base_recipe(study, epochs=dense_epochs(study), lr=study.train.lr).to_json(),
            "steps": steps,
            "processor": processor_name(),
        },
        inputs=trace_input(spec),
        local=access.to_local(),
        label=f"trial of precision and layout, {spec.name}",
    )


def probe_stage(spec: NetworkSpec, recipe: Recipe, compute: Compute, access: Access = NOWHERE) -> Stage:
    """Time a few real steps of one architecture on this processor."""
    settings = {
        "network": spec.to_json(),
        "recipe": recipe.to_json(),
        "compute": compute.to_json(),
        "processor": processor_name(),
    }
    return Stage(
        kind="probe",
        settings=settings,
        inputs=trace_input(spec),
        local=access.to_local(),
        label=f"timing of {spec.name}",
    )


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What all stages of one comparison stand on."""

    study: Study
    comparison: Comparison
    compute: Compute
    """The study's arithmetic, resolved."""

    data: Stage
    dense_macs: int

    @property
    def steps_per_epoch(self) -> int:
        """Training steps of one epoch."""
        return math.ceil(self.comparison.facts.train / self.study.train.batch)

    def dense_recipe(self, epochs: int | None = None, schedule_start: int = 0) -> Recipe:
        """The dense network's recipe, for its own number of epochs or another."""
        whole = dense_epochs(self.study)
        return base_recipe(
            self.study,
            epochs=epochs or whole,
            lr=self.study.train.lr,
            schedule_epochs=whole if schedule_start else None,
            schedule_start=schedule_start,
        )


@dataclass(frozen=True, kw_only=True)
class Training:
    """What one training is besides its network, its recipe and its seed."""

    start: dict[str, Any]
    label: str
    priority: int
    macs: int
    """Executed, of one example."""

    first_epoch: int = 0
    """Where it begins to read its seed's stream."""

    first_step: int = 0
    """Steps of that epoch that are left out, of the stream and of the schedule."""

    until: int | None = None
    """Stop after this many steps and keep the whole state, of the optimiser too."""

    inputs: Mapping[str, Stage] = field(default_factory=dict)
    """Stages whose artifacts it needs, by role."""

    more: Mapping[str, Any] = field(default_factory=dict)
    """Settings that only some trainings have."""


def dense_stage(ground: Ground, seed: int) -> Stage:
    """The dense network of one seed, trained or taken over."""
    study, spec = ground.study, ground.comparison.dense
    if study.dense.checkpoint is not None:
        return _import_stage(study.dense.checkpoint, spec, ground.comparison.access)
    training = Training(
        start=fresh(seed, "dense"), label=f"dense, seed {seed}", priority=PRIORITY["dense"], macs=ground.dense_macs
    )
    return train_stage(ground, spec, ground.dense_recipe(), seed, training)


def _import_stage(checkpoint: Path, spec: NetworkSpec, access: Access) -> Stage:
    if not checkpoint.is_file():
        raise ConfigError(
            f"dense.checkpoint is not a file: {checkpoint}. Name the safetensors file that holds the dense network."
        )
    return Stage(
        kind="import",
        settings={"network": spec.to_json(), "sha256": file_digest(checkpoint)},
        inputs=trace_input(spec),
        local={"checkpoint": str(checkpoint), **access.to_local()},
        label=f"dense checkpoint {checkpoint.name}",
    )


def fresh(seed: int, role: str) -> dict[str, Any]:
    """A start from newly drawn weights. Each role has its own, so scratch weights are independent of the dense network's."""
    return {"weights": "fresh", "seed": seed, "role": role}


def train_stage(ground: Ground, spec: NetworkSpec, recipe: Recipe, seed: int, training: Training) -> Stage:
    """One training: dense network, methods' own trainings and arms alike."""
    facts, loader_workers = ground.comparison.facts, ground.comparison.data.loader_workers
    local = {"loader_workers": str(loader_workers), "loggers": " ".join(ground.study.train.loggers)}
    cut = {"first_step": training.first_step} if training.first_step else {}
    cut |= {"until": training.until} if training.until is not None else {}
    settings = {
        "network": spec.to_json(),
        "start": training.start,
        "stream": {"seed": seed, "epoch": training.first_epoch, "augment": facts.augment},
        "recipe": recipe.to_json(),
        "compute": ground.compute.to_json(),
        **cut,
        **training.more,
    }
    steps = recipe.epochs * ground.steps_per_epoch
    share = (min(steps, training.until or steps) - training.first_step) / steps
    return Stage(
        kind="train",
        settings=settings,
        inputs={
            "data": ground.data.key,
            **{role: stage.key for role, stage in training.inputs.items()},
            **trace_input(spec),
        },
        local=local | ground.comparison.access.to_local(),
        label=training.label,
        priority=training.priority,
        work=float(training_flops(training.macs, facts.train, recipe.epochs)) * share,
    )


def evaluate_stage(ground: Ground, shape: Shape, weights: Stage) -> Stage:
    """Measure one network on the test set, once, as it is."""
    return _evaluate_stage(ground, shape, weights, {"norms": "stored"})


def evaluate_reestimated_stage(ground: Ground, shape: Shape, weights: Stage, seed: int, epoch: int) -> Stage:
    """Measure a network right after pruning, its norm statistics recomputed on the training examples that would come next."""
    return _evaluate_stage(ground, shape, weights, {"norms": "re-estimated", "stream": {"seed": seed, "epoch": epoch}})


def _evaluate_stage(ground: Ground, shape: Shape, weights: Stage, norms: dict[str, Any]) -> Stage:
    # fp32 for every network, however it was trained: the test set is no place for rounding.
    compute = {**ground.compute.alone().to_json(), "precision": "fp32", "compile": False}
    return Stage(
        kind="evaluate",
        settings={"network": shape.spec.to_json(), "compute": compute, **norms},
        inputs={"data": ground.data.key, "weights": weights.key, **trace_input(shape.spec)},
        local=ground.comparison.access.to_local(),
        label=f"evaluate {weights.label}",
        priority=PRIORITY["evaluate"],
        work=float(FORWARD_FLOPS_PER_MAC * shape.macs * (ground.comparison.facts.test or 0)),
    )
