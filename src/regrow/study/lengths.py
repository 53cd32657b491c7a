"""Lengths: how long every training of a study is, and along which schedule. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import ceil, floor
from typing import Literal

from regrow.config.study import Study
from regrow.errors import ProtocolError
from regrow.pruning.wanted import Wanted
from regrow.retraining.arms import ARMS, Arm
from regrow.retraining.conventions import CONVENTIONS, default_convention, scratch_epochs
from regrow.retraining.ledger import Ledger
from regrow.study.comparison import Comparison
from regrow.study.shape import Shape
from regrow.training.recipe import Recipe
from regrow.training.schedule import learning_rates

Schedule = Literal["step", "cosine", "one-cycle", "constant"]


@dataclass(frozen=True, kw_only=True)
class ArmPlan:
    """How long one arm of one comparison (and seed, where seeds differ) is trained, and along which schedule; lr comes later."""

    name: str
    arm: Arm
    shape: Shape
    """What is trained, and what it costs."""

    epochs: int
    schedule: Schedule
    schedule_epochs: int
    schedule_start: int
    step: int = 0
    """Of a rewound arm: the step of the dense run that it goes on from."""

    def recipe(self, study: Study, lr: float) -> Recipe:
        """The study's recipe with this arm's columns filled in."""
        return base_recipe(
            study,
            epochs=self.epochs,
            lr=lr,
            schedule=self.schedule,
            schedule_epochs=self.schedule_epochs,
            schedule_start=self.schedule_start,
        )


def base_recipe(
    study: Study,
    *,
    epochs: int,
    lr: float,
    schedule: Schedule | None = None,
    schedule_epochs: int | None = None,
    schedule_start: int = 0,
) -> Recipe:
    """The study's recipe; by default the dense run's."""
    train = study.train
    chosen = schedule or train.schedule
    return Recipe(
        epochs=epochs,
        schedule=chosen,
        peak_lr=lr,
        final_lr=lr if chosen == "constant" else final_lr(study),
        schedule_epochs=schedule_epochs or epochs,
        schedule_start=schedule_start,
        warmup=0.0 if chosen == "constant" else train.warmup,
        batch=train.batch,
        optimizer=train.optimizer,
        momentum=train.momentum,
        nesterov=train.nesterov,
        weight_decay=train.weight_decay,
        label_smoothing=train.label_smoothing,
        validate_every=train.validate_every,
    )


def final_lr(study: Study) -> float:
    """The lr at which every schedule but a constant one ends."""
    return study.train.final_lr if study.train.final_lr is not None else round_lr(study.train.lr / 100)


def round_lr(lr: float) -> float:
    """Six significant digits: a grid value reads the same and hashes the same however it was reached."""
    return float(f"{lr:.6g}")


def dense_epochs(study: Study) -> int:
    """K1."""
    given = study.dense.epochs if study.dense.checkpoint is not None else None
    return given or study.train.epochs


def retrain_epochs(study: Study) -> int:
    """K2."""
    return study.retrain.epochs or max(1, round(study.train.epochs / 4))


def own_epochs(study: Study, wanted: Wanted) -> int:
    """Epochs of a training that the method itself asks for."""
    return wanted.prune.own_epochs or (dense_epochs(study) if wanted.start == "scratch" else retrain_epochs(study))


def round_epochs(study: Study, wanted: Wanted) -> int:
    """Epochs of the training between two rounds."""
    given = wanted.prune.round_epochs
    return given or (retrain_epochs(study) if wanted.prune.between == "fine-tune" else dense_epochs(study))


def late_step(study: Study, examples: int) -> int:
    """The step of the dense run that a late ticket goes back to: a share of all steps, rounded down, at least 1."""
    steps = dense_epochs(study) * ceil(examples / study.train.batch)
    return max(1, floor(Decimal(str(study.retrain.late)) * steps))


def budget_epochs(study: Study, comparison: Comparison, shape: Shape, ledger: Ledger) -> dict[str, int | None]:
    """Scratch epochs under every convention; None where a convention does not pay for one epoch.

    Raises `ProtocolError` where that is the study's own convention.
    """
    epochs: dict[str, int | None] = {}
    for name in CONVENTIONS:
        try:
            epochs[name] = scratch_epochs(
                name,
                ledger,
                small_macs=shape.macs,
                nominal_macs=shape.nominal_macs,
                examples=comparison.facts.train,
                dense_epochs=dense_epochs(study),
                retrain_epochs=retrain_epochs(study),
            )
        except ProtocolError:
            if name == convention(study, comparison.wanted):
                raise
            epochs[name] = None
    return epochs


def convention(study: Study, wanted: Wanted) -> str:
    """The study's budget convention, or the default for what the method removes."""
    return study.retrain.convention or default_convention(wanted.removes)


def plan_arms(study: Study, comparison: Comparison, dense: Shape, shape: Shape, ledger: Ledger) -> tuple[ArmPlan, ...]:
    """The study's arms with their lengths. Raises `ProtocolError` where two of them would be the same training."""
    scratch = budget_epochs(study, comparison, shape, ledger)
    scratch["convention"] = scratch[convention(study, comparison.wanted)]
    plans = tuple(
        _plan_arm(name, study, comparison, dense if ARMS[name].network == "dense" else shape, scratch)
        for name in study.arms
    )
    _refuse_twins(study, comparison, plans)
    return plans


def _plan_arm(
    name: str, study: Study, comparison: Comparison, shape: Shape, scratch: Mapping[str, int | None]
) -> ArmPlan:
    arm = ARMS[name]
    whole, steps = dense_epochs(study), ceil(comparison.facts.train / study.train.batch)
    step = late_step(study, comparison.facts.train) if arm.budget == "late" else 0
    start = step // steps or (floor(Decimal(str(study.retrain.rewind)) * whole) if arm.budget == "tail" else 0)
    lengths = {"K1": whole, "K2": retrain_epochs(study), "tail": whole - start, "late": whole - start}
    epochs = {**scratch, **lengths}[arm.budget]
    if epochs is None:
        raise ProtocolError(f"arm {name}: its convention {arm.budget} does not pay for one epoch. Leave the arm out.")
    return ArmPlan(
        name=name,
        arm=arm,
        shape=shape,
        epochs=epochs,
        schedule="constant" if arm.schedule == "constant" else study.train.schedule,
        schedule_epochs=whole if arm.schedule == "tail" else epochs,
        schedule_start=start,
        step=step,
    )


def _refuse_twins(study: Study, comparison: Comparison, plans: tuple[ArmPlan, ...]) -> None:
    """Two arms with the same start, the same budget and the same lr at every step would be one arm under two names."""
    seen: dict[tuple[object, ...], str] = {}
    for plan in plans:
        rates = tuple(learning_rates(plan.recipe(study, study.train.lr), steps_per_epoch=4))
        same = (plan.shape, plan.arm.weights, plan.arm.init, plan.arm.channels, plan.step, rates)
        if same in seen:
            raise ProtocolError(
                f"{comparison.label}: arms {seen[same]} and {plan.name} coincide: same start, {plan.epochs} epochs, same learning "
                "rates. Leave one out, or change retrain.epochs, retrain.rewind or retrain.convention."
            )
        seen[same] = plan.name
