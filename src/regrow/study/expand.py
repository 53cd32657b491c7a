"""Expansion: which stages a study consists of, as far as the results so far can tell. Imports no torch.

Some stages follow from others' results: scratch-b's epochs from the counted MACs, an arm's learning rate from its tuning runs.
So the study is expanded again whenever results arrive, as a pure function of the study and of what the store holds, until
nothing is missing. Adding a seed, an arm or a fraction adds stages and changes none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from regrow.config.study import FIRST_TUNING_SEED, Study
from regrow.errors import ProtocolError
from regrow.networks.spec import NetworkSpec
from regrow.study.comparison import (
    ArmPlan,
    Comparison,
    comparisons,
    dense_epochs,
    final_lr,
    foreign_networks,
    plan_arms,
    round_lr,
)
from regrow.study.stage import Stage
from regrow.study.stages import (
    PRIORITY,
    Ground,
    arm_stage,
    cost_stage,
    data_stage,
    dense_stage,
    evaluate_reestimated_stage,
    evaluate_stage,
    prune_stage,
    trace_stage,
    traces,
    trial_stage,
)
from regrow.training.compute import Compute

Lookup = Callable[[str], "Mapping[str, Any] | None"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training that the report shows: an arm, or the dense network, of one seed."""

    comparison: Comparison
    arm: str
    """A row of `ARMS`, or `dense`."""

    seed: int
    spec: NetworkSpec
    lr: float
    train: Stage
    evaluate: Stage


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One arm at one learning rate, over the tuning seeds."""

    comparison: Comparison
    arm: str
    lr: float
    loss: float
    """Mean validation loss at the last epoch; infinite where a run diverged."""

    chosen: bool
    at_edge: bool
    stages: tuple[Stage, ...]


@dataclass
class Expansion:
    """All stages known so far, and what they are for."""

    stages: dict[str, Stage] = field(default_factory=dict)
    """Key to stage, in the order they were first needed."""

    runs: list[Run] = field(default_factory=list)
    tried: list[Tried] = field(default_factory=list)
    pruned: list[tuple[Comparison, int, str, Stage]] = field(default_factory=list)
    """Networks right after pruning: comparison, seed, norms, evaluate stage."""

    arms: list[tuple[Comparison, tuple[ArmPlan, ...]]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What went wrong in stages that finished, e.g. divergence, for people."""

    waiting: list[float] = field(default_factory=list)
    """Training FLOPs of trainings that are certain to come but wait for a result; for progress."""


class Expander:
    """Walks a study once. `lookup` gives the result of a finished stage by key, or None.

    With `assume`, unfinished tuning counts as having chosen the dense lr from the first grid, so that a plan shows every stage.
    """

    def __init__(self, study: Study, lookup: Lookup, *, assume: bool = False) -> None:
        self.study, self.lookup, self.assume = study, lookup, assume
        self.found = Expansion()
        self.tune_seeds = tuple(FIRST_TUNING_SEED + i for i in range(study.retrain.tune_seeds))

    def expand(self) -> Expansion:
        """All stages of the study that the results so far let us name. Nothing is done before every network was traced."""
        traced = [self.need(trace_stage(dense, access)) for dense, access in foreign_networks(self.study)]
        if None not in traced:
            for comparison in comparisons(self.study, traces(self.lookup)):
                self._compare(comparison)
        return self.found

    def need(self, stage: Stage) -> Mapping[str, Any] | None:
        """Make the stage part of the study; its result where it is finished."""
        kept = self.found.stages.get(stage.key)
        if kept is None or stage.priority < kept.priority:
            self.found.stages[stage.key] = stage
        return self.lookup(stage.key)

    def _compare(self, comparison: Comparison) -> None:
        data = data_stage(comparison.data)
        self.need(data)
        specs = (comparison.dense, comparison.pruned)
        dense_cost, small_cost = (self.need(cost_stage(spec, comparison.access)) for spec in specs)
        compute = self._compute(comparison)
        if dense_cost is None or small_cost is None or compute is None:
            return
        dense_macs, small_macs = int(dense_cost["macs"]), int(small_cost["macs"])
        plans = plan_arms(self.study, comparison, dense_macs, small_macs)
        self.found.arms.append((comparison, plans))
        ground = Ground(
            study=self.study,
            comparison=comparison,
            compute=compute,
            data=data,
            dense_macs=dense_macs,
            small_macs=small_macs,
        )
        walk = _Walk(self, comparison, ground, plans)
        rates = walk.tune() if self.study.retrain.tune_lr else walk.untuned()
        walk.report(rates)

    def _compute(self, comparison: Comparison) -> Compute | None:
        """The study's arithmetic: as written, or as the trial on its dense network chose."""
        wish = self.study.compute
        if "auto" not in (wish.device, wish.precision, wish.channels_last, wish.compile):
            return Compute(
                device=wish.device,  # type: ignore[arg-type]  # not "auto", see above
                threads=wish.threads,
                precision=wish.precision,  # type: ignore[arg-type]
                channels_last=bool(wish.channels_last),
                compile=bool(wish.compile),
            )
        steps = dense_epochs(self.study) * math.ceil(comparison.facts.train / self.study.train.batch)
        result = self.need(trial_stage(self.study, comparison.dense, steps, comparison.access))
        return None if result is None else Compute.from_json(result["compute"])


@dataclass
class _Walk:
    """One comparison, with everything that its stages share."""

    owner: Expander
    comparison: Comparison
    ground: Ground
    plans: tuple[ArmPlan, ...]

    def _dense(self, seed: int) -> Stage:
        return dense_stage(self.ground, seed)

    def _pruned(self, plan: ArmPlan, seed: int) -> Stage:
        method = "random" if plan.arm.channels == "random" else self.comparison.method
        return prune_stage(self.comparison, method, seed, self._dense(seed))

    def _arm(self, plan: ArmPlan, seed: int, lr: float) -> Stage:
        """The arm's training; what it inherits from is needed too."""
        pruned = self._pruned(plan, seed)
        stage = arm_stage(self.ground, plan, seed, lr, pruned)
        if plan.arm.weights == "carved":
            self._inherit(pruned, seed)
        return stage

    def _inherit(self, pruned: Stage, seed: int) -> None:
        for stage in (self._dense(seed), pruned):
            self.owner.need(_sooner(stage, "tuning dense") if seed in self.owner.tune_seeds else stage)

    def untuned(self) -> dict[str, float | None]:
        """Without tuning: the dense lr for all, the final lr for fine-tune, as in the paper."""
        study = self.owner.study
        constant = study.retrain.fine_tune_lr or final_lr(study)
        return {plan.name: constant if plan.schedule != study.train.schedule else study.train.lr for plan in self.plans}

    def tune(self) -> dict[str, float | None]:
        """The lr of every arm, from one grid that grows for all while any arm's best is at an edge; None where not known yet."""
        study = self.owner.study
        first = study.retrain.lrs or tuple(study.train.lr * 10 ** (-k / 2) for k in range(4))
        grid = sorted({round_lr(lr) for lr in first})
        while True:
            losses = {plan.name: {lr: self._tuning_loss(plan, lr) for lr in grid} for plan in self.plans}
            if any(loss is None for row in losses.values() for loss in row.values()):
                return self._tuning_unfinished(grid)
            best = {name: min(row, key=lambda lr: (row[lr], -lr)) for name, row in losses.items()}
            wider = self._widen(grid, set(best.values()))
            if wider == grid:
                self._record(grid, losses, best)
                return {name: None if math.isinf(losses[name][lr] or 0.0) else lr for name, lr in best.items()}
            grid = wider

    def _widen(self, grid: list[float], best: set[float]) -> list[float]:
        """The grid with one more value at each edge where some arm is best, within the study's limits."""
        limit, lowest, step = self.owner.study.retrain.max_lrs, final_lr(self.owner.study), math.sqrt(10)
        wider = list(grid)
        if grid[-1] in best and len(wider) < limit:
            wider.append(round_lr(grid[-1] * step))
        down = round_lr(grid[0] / step)
        if grid[0] in best and len(wider) < limit and down >= lowest * (1 - 1e-4):
            wider.insert(0, down)
        return wider

    def _tuning_loss(self, plan: ArmPlan, lr: float) -> float | None:
        """Mean validation loss over the tuning seeds; None where one is not finished."""
        results = [self.owner.need(_sooner(stage, "tuning")) for stage in self._tuning_stages(plan, lr)]
        if any(result is None for result in results):
            return None
        losses = [math.inf if result["diverged"] else float(result["validation_loss"]) for result in results if result]
        return sum(losses) / len(losses)

    def _tuning_stages(self, plan: ArmPlan, lr: float) -> list[Stage]:
        return [self._arm(plan, seed, lr) for seed in self.owner.tune_seeds]

    def _tuning_unfinished(self, grid: Sequence[float]) -> dict[str, float | None]:
        study = self.owner.study
        if self.owner.assume:
            return {plan.name: grid[-1] for plan in self.plans}
        for plan in self.plans:
            work = self._tuning_stages(plan, grid[-1])[0].work
            self.owner.found.waiting += [work] * len(study.seed_list)
        return {plan.name: None for plan in self.plans}

    def _record(
        self, grid: Sequence[float], losses: Mapping[str, Mapping[float, float | None]], best: Mapping[str, float]
    ) -> None:
        for plan in self.plans:
            row = losses[plan.name]
            for lr in grid:
                tried = Tried(
                    comparison=self.comparison,
                    arm=plan.name,
                    lr=lr,
                    loss=math.inf if row[lr] is None else float(row[lr] or 0.0),
                    chosen=best[plan.name] == lr,
                    at_edge=best[plan.name] == lr and lr in (grid[0], grid[-1]),
                    stages=tuple(self._tuning_stages(plan, lr)),
                )
                self.owner.found.tried.append(tried)
            if math.isinf(row[best[plan.name]] or 0.0):
                self.owner.found.problems.append(
                    f"{plan.name} {self.comparison.label}: training diverged at every learning rate from {grid[0]:g} to "
                    f"{grid[-1]:g}. Lower train.lr or give retrain.lrs."
                )

    def report(self, rates: Mapping[str, float | None]) -> None:
        """The stages whose numbers the report shows."""
        for seed in self.owner.study.seed_list:
            dense = self._dense(seed)
            self._run("dense", seed, self.comparison.dense, self.owner.study.train.lr, dense)
            self._right_after_pruning(seed)
            for plan in self.plans:
                lr = rates[plan.name]
                if lr is not None:
                    self._run(plan.name, seed, plan.spec, lr, self._arm(plan, seed, lr))

    def _run(self, arm: str, seed: int, spec: NetworkSpec, lr: float, train: Stage) -> None:
        evaluate = evaluate_stage(self.ground, spec, train)
        self.owner.found.runs.append(
            Run(comparison=self.comparison, arm=arm, seed=seed, spec=spec, lr=lr, train=train, evaluate=evaluate)
        )
        result = self.owner.need(train)
        if result is not None and result.get("diverged"):
            self.owner.found.problems.append(f"{train.label}: {result['message']}")
            return
        self.owner.need(evaluate)

    def _right_after_pruning(self, seed: int) -> None:
        pruned = prune_stage(self.comparison, self.comparison.method, seed, self._dense(seed))
        self.owner.need(pruned)
        stored = evaluate_stage(self.ground, self.comparison.pruned, pruned)
        reestimated = evaluate_reestimated_stage(self.ground, pruned, seed)
        for norms, stage in (("stored", stored), ("re-estimated", reestimated)):
            self.owner.need(stage)
            self.owner.found.pruned.append((self.comparison, seed, norms, stage))


def _sooner(stage: Stage, purpose: str) -> Stage:
    """The same stage, to be run earlier: others wait for it."""
    return replace(stage, priority=PRIORITY[purpose])


def expand(study: Study, lookup: Lookup, *, assume: bool = False) -> Expansion:
    """All stages of a study that the results so far let us name. Raises `ProtocolError` where arms cannot be compared."""
    found = Expander(study, lookup, assume=assume).expand()
    if study.retrain.tune_lr and study.dense.trained_on in ("train+validation", "all"):
        raise ProtocolError(
            "the dense checkpoint has seen the validation examples, so no learning rate may be chosen on them."
        )
    return found
