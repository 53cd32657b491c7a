"""Stages on the way from a dense network to its arms: own trainings of methods, states to rewind to, pruning itself. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from regrow.study.comparison import Comparison
from regrow.study.lengths import ArmPlan, dense_epochs, own_epochs, round_epochs
from regrow.study.machine import processor_name
from regrow.study.shape import Shape
from regrow.study.stage import Stage
from regrow.study.stages import PRIORITY, Ground, Training, fresh, trace_input, train_stage


def target_stage(comparison: Comparison) -> Stage:
    """Find the widths at which every group keeps the same share and the network the share of MACs that a study asks for."""
    spec, wanted = comparison.dense, comparison.wanted
    machine = {"processor": processor_name()} if wanted.of == "latency" else {}
    return Stage(
        kind="target",
        settings={
            "network": spec.to_json(),
            **wanted.amount(),
            **wanted.guidance,
            **_skipped(comparison),
            **machine,
        },
        inputs=trace_input(spec),
        local=comparison.local,
        label=f"widths of {spec.name} for a share of its {wanted.of}",
    )


def own_training_stage(ground: Ground, seed: int, dense: Stage, widths: tuple[int, ...] | None) -> Stage:
    """The full-size network in a training that the method takes a hand in, from scratch or from the dense network on."""
    comparison, wanted = ground.comparison, ground.comparison.wanted
    scratch = wanted.start == "scratch"
    training = Training(
        start=fresh(seed, "dense") if scratch else {"weights": "carved"},
        label=f"{wanted.method} training, {comparison.label}, seed {seed}",
        priority=PRIORITY["dense"],
        macs=ground.dense_macs,
        first_epoch=0 if scratch else dense_epochs(ground.study),
        inputs={} if scratch else {"pruned": dense},
        more={"method": _own_settings(comparison, widths)},
    )
    recipe = ground.dense_recipe(own_epochs(ground.study, wanted))
    return train_stage(ground, comparison.dense, recipe, seed, training)


def _own_settings(comparison: Comparison, widths: tuple[int, ...] | None) -> dict[str, Any]:
    """What a method's own training needs to know."""
    wanted = comparison.wanted
    settings: dict[str, Any] = {"name": wanted.method}
    if wanted.row.kind == "schedule":
        return {**settings, "fraction": wanted.fraction, "scope": wanted.scope, **wanted.how(), **_skipped(comparison)}
    if wanted.prune.strength is not None:
        settings["strength"] = wanted.prune.strength
    if wanted.removes == "blocks":
        settings["of"] = "blocks"
    if widths is not None and wanted.method == "soft":
        settings["widths"] = list(widths)
    else:
        settings |= _skipped(comparison)
    return settings


def _skipped(comparison: Comparison) -> dict[str, Any]:
    return {"skip": list(comparison.skip)} if comparison.skip else {}


def state_stage(ground: Ground, seed: int, step: int) -> Stage:
    """The dense run's whole state after `step` steps: the same steps once more, which give the same bits."""
    training = Training(
        start=fresh(seed, "dense"),
        label=f"dense up to step {step}, seed {seed}",
        priority=PRIORITY["dense"],
        macs=ground.dense_macs,
        until=step,
    )
    return train_stage(ground, ground.comparison.dense, ground.dense_recipe(), seed, training)


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """One application of a method."""

    source: Stage
    """Whose trained weights are pruned."""

    seed: int
    read: int
    """Epochs of the stream that were read so far; a method that looks at examples takes those that come next."""

    widths: tuple[int, ...] | None = None
    """Channels that every group keeps, where that is known before."""

    previous: Stage | None = None
    """The pruning before this one; what it removed stays removed."""

    round: int = 0
    """Which of several rounds this is, from 1; 0 where there is one only."""


def prune_stage(ground: Ground, pruning: Pruning) -> Stage:
    """Choose what goes, and remove it."""
    comparison, wanted = ground.comparison, ground.comparison.wanted
    own = wanted.row.while_training
    settings: dict[str, Any] = {
        "dense": comparison.dense.to_json(),
        "method": wanted.method,
        "widths": None if pruning.widths is None else list(pruning.widths),
        "seed": pruning.seed if wanted.row.seeded else None,
        **({"scores": "own training"} if own else {}),
        **wanted.identity,
        **wanted.how(),
        **_skipped(comparison),
    }
    if pruning.widths is None:
        settings["amount"] = wanted.amount()
    if pruning.round:
        settings["round"] = {
            "number": pruning.round,
            "rounds": wanted.prune.rounds,
            "per_round": wanted.prune.per_round,
        }
    inputs = {"dense": pruning.source.key, **trace_input(comparison.dense)}
    if pruning.previous is not None:
        inputs["previous"] = pruning.previous.key
    if wanted.row.needs_data:
        settings |= _looking(ground, pruning)
        inputs["data"] = ground.data.key
    number = f", round {pruning.round}" if pruning.round else ""
    return Stage(
        kind="prune",
        settings=settings,
        inputs=inputs,
        local=comparison.local,
        label=f"prune {comparison.label}, seed {pruning.seed}{number}",
        priority=pruning.source.priority,
    )


def _looking(ground: Ground, pruning: Pruning) -> dict[str, Any]:
    """Which training examples a method looks at, and in which arithmetic."""
    compute = {**ground.compute.alone().to_json(), "precision": "fp32", "compile": False}
    read = {"seed": pruning.seed, "epoch": pruning.read, "augment": ground.comparison.facts.augment}
    return {"examples": ground.comparison.wanted.prune.examples, "stream": read, "compute": compute}


def random_stage(ground: Ground, pruning: Pruning, shape: Shape, chosen: Stage, *, anywhere: bool = False) -> Stage:
    """The control: channels by chance at the widths that the method came to, or its mask's counts at random places.

    With `anywhere` a random mask keeps as many weights in all, not in each layer.
    """
    comparison = ground.comparison
    inputs = {"dense": pruning.source.key}
    asked: dict[str, Any] = {"dense": comparison.dense.to_json(), "seed": pruning.seed}
    if shape.masked:
        asked |= {"method": "random mask" if anywhere else "shuffled mask", "widths": None}
        inputs["like"] = chosen.key
    else:
        asked |= {"method": "random", "widths": list(shape.spec.widths)}
    return Stage(
        kind="prune",
        settings=asked,
        inputs={**inputs, **trace_input(comparison.dense)},
        local=comparison.local,
        label=f"prune {comparison.label} by chance, seed {pruning.seed}",
        priority=pruning.source.priority,
    )


def round_stage(ground: Ground, seed: int, pruned: Stage, number: int, read: int, step: int | None) -> Stage:
    """The training between two rounds of masks: rewound to a step of the dense run, or fine-tuned from where it stands."""
    study, comparison = ground.study, ground.comparison
    training = Training(
        start={"weights": "carved"} if step is None else _rewound(seed, step),
        label=f"round {number} of {comparison.label}, seed {seed}",
        priority=PRIORITY["dense"],
        macs=ground.dense_macs,
        first_epoch=read if step is None else step // ground.steps_per_epoch,
        first_step=0 if step is None else step % ground.steps_per_epoch,
        inputs={"pruned": pruned, **({"state": state_stage(ground, seed, step)} if step else {})},
        more={"mask": "kept"},
    )
    skipped = 0 if step is None else step // ground.steps_per_epoch
    recipe = ground.dense_recipe(round_epochs(study, comparison.wanted) - skipped, skipped)
    return train_stage(ground, comparison.dense, recipe, seed, training)


def _rewound(seed: int, step: int) -> dict[str, Any]:
    return {"weights": "rewound", "seed": seed, "role": "dense", "step": step}


def arm_stage(ground: Ground, plan: ArmPlan, seed: int, lr: float, pruned: Stage, read: int) -> Stage:
    """One arm of one seed at one peak lr; `pruned` is what it inherits from, if it does, and whose mask it wears."""
    arm, masked = plan.arm, plan.shape.masked and plan.arm.network == "pruned"
    role = "dense" if arm.network == "dense" else "scratch"
    starts: dict[str, dict[str, Any]] = {
        "carved": {"weights": "carved"},
        "rewound": _rewound(seed, plan.step),
        "fresh": fresh(seed, role),
    }
    inputs = {"pruned": pruned} if arm.weights != "fresh" or masked else {}
    if arm.weights == "rewound" and plan.step:
        inputs["state"] = state_stage(ground, seed, plan.step)
    training = Training(
        start=starts[arm.weights],
        label=f"{plan.name} {ground.comparison.label}, seed {seed}",
        priority=PRIORITY["arm"],
        macs=plan.shape.macs,
        first_epoch=read if arm.weights == "carved" else plan.schedule_start if arm.weights == "rewound" else 0,
        first_step=plan.step % ground.steps_per_epoch if arm.weights == "rewound" else 0,
        inputs=inputs,
        more={"mask": arm.init if arm.weights == "fresh" else "kept"} if masked else {},
    )
    return train_stage(ground, plan.shape.spec, plan.recipe(ground.study, lr), seed, training)
