"""Comparisons: a study taken apart into network x data x method x fraction. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import product
from math import floor
from typing import Literal

from regrow.config.study import Study
from regrow.data.datasets import Facts, facts
from regrow.data.settings import DataSettings
from regrow.errors import ProtocolError
from regrow.files import canonical_json, digest
from regrow.networks.prunable import Prunable, prunable_of_zoo
from regrow.networks.settings import NetworkSettings
from regrow.networks.sources import Access, dense_network, is_foreign
from regrow.networks.spec import NetworkSpec
from regrow.pruning.settings import PruneSettings
from regrow.pruning.widths import target_widths
from regrow.retraining.arms import ARMS, Arm
from regrow.retraining.budget import pipeline_ledger, scratch_epochs
from regrow.training.recipe import Recipe
from regrow.training.schedule import learning_rates

Schedule = Literal["step", "cosine", "one-cycle", "constant"]

Traces = Callable[[NetworkSpec, Access], "Prunable | None"]
"""What of a network from elsewhere can be pruned; None while it was not traced."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One network, on one data set, pruned by one method to one architecture."""

    data: DataSettings
    facts: Facts
    dense: NetworkSpec
    pruned: NetworkSpec
    prunable: Prunable
    """The dense network's groups."""

    access: Access
    """Where the networks' code lies, if they come from elsewhere; part of no stage's key."""

    method: str
    fraction: float | None
    """Share removed of every group; None where stages or widths say how much."""

    design: str
    """For people: `50 %`, `vgg16-a`, ..."""

    @property
    def label(self) -> str:
        """For people: network, method and design, e.g. `vgg11 l1 50 %`."""
        return f"{self.dense.name} {self.method} {self.design}"

    @property
    def columns(self) -> dict[str, str | float | None]:
        """The key columns that every row of the results starts with."""
        return {
            "network": network_name(self.dense),
            "data": self.facts.label,
            "method": self.method,
            "fraction": self.fraction,
            "design": self.design,
        }


def network_name(dense: NetworkSpec) -> str:
    """How results call a dense network: its name, its width where that is not 1, and its options where it has some."""
    options = [f"{key}={_option(value)}" for key, value in dense.arguments.items()]
    return " ".join([dense.name, *([] if dense.width == 1 else [f"x{dense.width:g}"]), *options])


def _option(value: object) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def _untraced(dense: NetworkSpec, access: Access) -> None:
    """Nothing is known of any network from elsewhere."""
    del dense, access


def comparisons(study: Study, traces: Traces = _untraced) -> Iterator[Comparison]:
    """Every comparison of a study, in the order of its file; those of networks from elsewhere only where they were traced."""
    for data, network in product(study.datasets, study.networks):
        dense, access = named_network(study, data, network)
        prunable = traces(dense, access) if is_foreign(dense.name) else prunable_of_zoo(dense)
        if prunable is not None:
            yield from _family(study, data, replace(dense, widths=prunable.widths), prunable, access)


def named_network(study: Study, data: DataSettings, network: NetworkSettings) -> tuple[NetworkSpec, Access]:
    """A study's dense network for one data set, and its code's access; widths are empty for a network from elsewhere."""
    known = facts(data)
    dense, access = dense_network(network, classes=known.classes, shape=known.shape, folder=study.folder)
    return dense, replace(access, trust=study.trusted)


def foreign_networks(study: Study) -> list[tuple[NetworkSpec, Access]]:
    """Every network from elsewhere that has to be traced before the study's comparisons are known."""
    named = [named_network(study, data, network) for data, network in product(study.datasets, study.networks)]
    return [(dense, access) for dense, access in named if is_foreign(dense.name)]


def _family(
    study: Study, data: DataSettings, dense: NetworkSpec, prunable: Prunable, access: Access
) -> Iterator[Comparison]:
    amounts = [
        (prune, method, fraction)
        for prune in study.prunings
        for method in prune.methods
        for fraction in prune.fractions or (None,)
    ]
    for prune, method, fraction in amounts:
        yield Comparison(
            data=data,
            facts=facts(data),
            dense=dense,
            pruned=replace(dense, widths=target_widths(prune, dense, fraction, prunable)),
            prunable=prunable,
            access=access,
            method=method,
            fraction=fraction,
            design=_design(prune, fraction),
        )


def _design(prune: PruneSettings, fraction: float | None) -> str:
    if fraction is not None:
        return f"{fraction * 100:g} %"
    if isinstance(prune.widths, str):
        return prune.widths
    if prune.widths is not None:
        return f"widths {digest(prune.widths)[:6]}"
    skipped = f" but {', '.join(map(str, prune.skip))}" if prune.skip else ""
    return "stages " + "/".join(f"{share * 100:g}" for share in prune.stages or ()) + f" %{skipped}"


@dataclass(frozen=True, kw_only=True)
class ArmPlan:
    """How long one arm of one comparison is trained, and along which schedule; the peak lr is chosen later."""

    name: str
    arm: Arm
    spec: NetworkSpec
    epochs: int
    schedule: Schedule
    schedule_epochs: int
    schedule_start: int

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


def budget_epochs(study: Study, comparison: Comparison, dense_macs: int, small_macs: int) -> dict[str, int | None]:
    """Scratch epochs under every convention; None where a convention does not pay for one epoch."""
    examples = comparison.facts.train
    ledger = pipeline_ledger(
        dense_macs=dense_macs,
        small_macs=small_macs,
        dense_epochs=dense_epochs(study),
        retrain_epochs=retrain_epochs(study),
        examples=examples,
        dense_is_free=study.dense.checkpoint is not None and study.dense.price == "free",
    )
    epochs: dict[str, int | None] = {}
    for name in ("E", "B0", "B0-cap", "B1"):
        try:
            epochs[name] = scratch_epochs(
                name, ledger, small_macs=small_macs, examples=examples, dense_epochs=dense_epochs(study)
            )
        except ProtocolError:
            if name == study.retrain.convention:
                raise
            epochs[name] = None
    return epochs


def plan_arms(study: Study, comparison: Comparison, dense_macs: int, small_macs: int) -> tuple[ArmPlan, ...]:
    """The study's arms with their lengths. Raises `ProtocolError` where two of them would be the same training."""
    scratch = budget_epochs(study, comparison, dense_macs, small_macs)
    plans = tuple(_plan_arm(name, study, comparison, scratch) for name in study.arms)
    _refuse_twins(study, comparison, plans)
    return plans


def _plan_arm(name: str, study: Study, comparison: Comparison, scratch: dict[str, int | None]) -> ArmPlan:
    arm = ARMS[name]
    whole = dense_epochs(study)
    start = floor(Decimal(str(study.retrain.rewind)) * whole) if arm.schedule == "tail" else 0
    lengths = {
        "K1": whole,
        "K2": retrain_epochs(study),
        "tail": whole - start,
        "convention": scratch[study.retrain.convention],
    }
    epochs = {**scratch, **lengths}[arm.budget]
    if epochs is None:
        raise ProtocolError(f"arm {name}: its convention {arm.budget} does not pay for one epoch. Leave the arm out.")
    return ArmPlan(
        name=name,
        arm=arm,
        spec=comparison.dense if arm.network == "dense" else comparison.pruned,
        epochs=epochs,
        schedule="constant" if arm.schedule == "constant" else study.train.schedule,
        schedule_epochs=whole if arm.schedule == "tail" else epochs,
        schedule_start=start,
    )


def _refuse_twins(study: Study, comparison: Comparison, plans: tuple[ArmPlan, ...]) -> None:
    """Two arms with the same start, the same budget and the same lr at every step would be one arm under two names."""
    seen: dict[tuple[object, ...], str] = {}
    for plan in plans:
        rates = tuple(learning_rates(plan.recipe(study, study.train.lr), steps_per_epoch=4))
        same = (plan.spec, plan.arm.weights, plan.arm.channels, rates)
        if same in seen:
            raise ProtocolError(
                f"{comparison.label}: arms {seen[same]} and {plan.name} coincide: same start, {plan.epochs} epochs, same learning "
                "rates. Leave one out, or change retrain.epochs, retrain.rewind or retrain.convention."
            )
        seen[same] = plan.name
