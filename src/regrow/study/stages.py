"""From settings to stages: the one place that decides what is part of a stage's identity. Imports no torch."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from regrow.config.study import Study
from regrow.data.datasets import root_problem
from regrow.data.fingerprint import fingerprint
from regrow.data.settings import DataSettings
from regrow.errors import ConfigError
from regrow.files import file_digest
from regrow.networks.spec import NetworkSpec
from regrow.pruning.methods import METHODS
from regrow.retraining.budget import FORWARD_FLOPS_PER_MAC, training_flops
from regrow.study.comparison import ArmPlan, Comparison, base_recipe, dense_epochs
from regrow.study.machine import processor_name
from regrow.study.stage import Stage
from regrow.training.compute import Compute
from regrow.training.recipe import Recipe

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


def cost_stage(spec: NetworkSpec) -> Stage:
    """Count one network."""
    return Stage(kind="cost", settings={"network": spec.to_json()}, label=f"cost of {spec.name}")


def trial_stage(study: Study, spec: NetworkSpec, steps: int) -> Stage:
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
        label=f"trial of precision and layout, {spec.name}",
    )


def probe_stage(spec: NetworkSpec, recipe: Recipe, compute: Compute) -> Stage:
    """Time a few real steps of one architecture on this processor."""
    settings = {
        "network": spec.to_json(),
        "recipe": recipe.to_json(),
        "compute": compute.to_json(),
        "processor": processor_name(),
    }
    return Stage(kind="probe", settings=settings, label=f"timing of {spec.name}")


def dense_stage(study: Study, comparison: Comparison, seed: int, compute: Compute, data: Stage, macs: int) -> Stage:
    """The dense network of one seed, trained or taken over."""
    if study.dense.checkpoint is not None:
        return _import_stage(study.dense.checkpoint, comparison.dense)
    recipe = base_recipe(study, epochs=dense_epochs(study), lr=study.train.lr)
    start = {"weights": "fresh", "seed": seed, "role": "dense"}
    return train_stage(
        study,
        comparison,
        comparison.dense,
        recipe,
        start,
        seed,
        0,
        compute,
        data,
        macs,
        label=f"dense, seed {seed}",
        priority=3,
    )


def _import_stage(checkpoint: Path, spec: NetworkSpec) -> Stage:
    if not checkpoint.is_file():
        raise ConfigError(
            f"dense.checkpoint is not a file: {checkpoint}. Name the safetensors file that holds the dense network."
        )
    return Stage(
        kind="import",
        settings={"network": spec.to_json(), "sha256": file_digest(checkpoint)},
        local={"checkpoint": str(checkpoint)},
        label=f"dense checkpoint {checkpoint.name}",
    )


def prune_stage(comparison: Comparison, method: str, seed: int, dense: Stage) -> Stage:
    """Choose channels by one method and carve."""
    settings: dict[str, Any] = {
        "dense": comparison.dense.to_json(),
        "method": method,
        "widths": list(comparison.pruned.widths),
        "seed": seed if METHODS[method].seeded else None,
    }
    return Stage(
        kind="prune",
        settings=settings,
        inputs={"dense": dense.key},
        label=f"prune {comparison.label}, seed {seed}",
        priority=dense.priority,
    )


def arm_stage(
    study: Study,
    comparison: Comparison,
    plan: ArmPlan,
    seed: int,
    lr: float,
    pruned: Stage,
    compute: Compute,
    data: Stage,
    macs: int,
) -> Stage:
    """One arm of one seed at one peak lr."""
    recipe = plan.recipe(study, lr)
    label = f"{plan.name} {comparison.label}, seed {seed}"
    if plan.arm.weights == "fresh":
        role = "dense" if plan.arm.network == "dense" else "scratch"
        start: dict[str, Any] = {"weights": "fresh", "seed": seed, "role": role}
        return train_stage(
            study, comparison, plan.spec, recipe, start, seed, 0, compute, data, macs, label=label, priority=4
        )
    start = {"weights": "carved"}
    first = dense_epochs(study)
    return train_stage(
        study,
        comparison,
        plan.spec,
        recipe,
        start,
        seed,
        first,
        compute,
        data,
        macs,
        label=label,
        priority=4,
        pruned=pruned,
    )


def train_stage(
    study: Study,
    comparison: Comparison,
    spec: NetworkSpec,
    recipe: Recipe,
    start: dict[str, Any],
    seed: int,
    first_epoch: int,
    compute: Compute,
    data: Stage,
    macs: int,
    *,
    label: str,
    priority: int,
    pruned: Stage | None = None,
) -> Stage:
    """One training: dense network and arms alike."""
    settings = {
        "network": spec.to_json(),
        "start": start,
        "stream": {"seed": seed, "epoch": first_epoch, "augment": comparison.facts.augment},
        "recipe": recipe.to_json(),
        "compute": compute.to_json(),
    }
    inputs = {"data": data.key} | ({"pruned": pruned.key} if pruned is not None else {})
    return Stage(
        kind="train",
        settings=settings,
        inputs=inputs,
        local={"loader_workers": str(comparison.data.loader_workers), "loggers": " ".join(study.train.loggers)},
        label=label,
        priority=priority,
        work=float(training_flops(macs, comparison.facts.train, recipe.epochs)),
    )


def evaluate_stage(
    spec: NetworkSpec,
    weights: Stage,
    data: Stage,
    compute: Compute,
    *,
    norms: str = "stored",
    seed: int = 0,
    epoch: int = 0,
    macs: int,
) -> Stage:
    """Measure one network on the test set, once.

    `norms` is `stored`, or `re-estimated` to recompute norm statistics on training examples (epoch `epoch` of stream `seed`) first.
    """
    settings: dict[str, Any] = {
        "network": spec.to_json(),
        "norms": norms,
        "compute": {**compute.to_json(), "precision": "fp32", "compile": False},
    }
    if norms == "re-estimated":
        settings["stream"] = {"seed": seed, "epoch": epoch}
    return Stage(
        kind="evaluate",
        settings=settings,
        inputs={"data": data.key, "weights": weights.key},
        label=f"evaluate {weights.label}",
        priority=5,
        work=float(FORWARD_FLOPS_PER_MAC * macs),
    )
