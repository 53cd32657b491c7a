"""The expansion of a study: all stages known so far and what they are for. Values, and what every walk through it needs. No torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from regrow.config.study import FIRST_TUNING_SEED, Study
from regrow.networks.spec import NetworkSpec
from regrow.study.comparison import Comparison
from regrow.study.lengths import ArmPlan, dense_epochs
from regrow.study.shape import Shape
from regrow.study.stage import Stage
from regrow.study.stages import cost_stage, trial_stage
from regrow.training.compute import Compute

Lookup = Callable[[str], "Mapping[str, Any] | None"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training that the report shows: an arm, or the dense network, of one seed."""

    comparison: Comparison
    arm: str
    """A row of `ARMS`, or `dense`."""

    seed: int
    shape: Shape
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


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a comparison trains: for all seeds alike, or for one of them where the method finds the widths."""

    comparison: Comparison
    seed: int | None
    """None where the architecture's shape is the same for every seed."""

    shape: Shape
    plans: tuple[ArmPlan, ...]
    epochs: Mapping[str, int | None]
    """Scratch epochs by convention."""

    pruned: Stage | None = None
    """The pruning that came to it; None where it was known before."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One test of a network at the moment of pruning."""

    comparison: Comparison
    seed: int
    when: str
    """`before`, `stale` or `reestimated`: the network that is pruned; the small one with the norm statistics it inherited, and with
    new ones."""

    stage: Stage


@dataclass(frozen=True, kw_only=True)
class Analysed:
    """One analysis of one seed's trained networks."""

    comparison: Comparison
    analysis: str
    """A row of `ANALYSES`."""

    arm: str
    """Whose weights it reads: an arm's, or the dense network's."""

    second: str | None
    """The other arm, where two are looked at together."""

    seed: int
    stage: Stage


@dataclass
class Expansion:
    """All stages known so far, and what they are for."""

    stages: dict[str, Stage] = field(default_factory=dict)
    """Key to stage, in the order they were first needed."""

    runs: list[Run] = field(default_factory=list)
    tried: list[Tried] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    analysed: list[Analysed] = field(default_factory=list)
    prunings: list[tuple[Comparison, int, Stage]] = field(default_factory=list)
    """The last pruning of every seed."""

    trainings: list[tuple[Comparison, int, Stage]] = field(default_factory=list)
    """What methods train themselves: sparsity trainings, rounds."""

    cases: list[Case] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What went wrong in stages that finished, e.g. divergence, for people."""

    waiting: list[float] = field(default_factory=list)
    """Training FLOPs of trainings that are certain to come but wait for a result; for progress."""


class Expander:
    """What every walk through a study needs. `lookup` gives the result of a finished stage by key, or None.

    With `assume`, what waits for a result is supposed: unfinished tuning chose the dense lr from the first grid, and widths that
    were not found yet have the share that was asked for; so that a plan shows every stage. `found` is added to; every recipe of a
    study is expanded by an owner of its own into one expansion.
    """

    def __init__(self, study: Study, lookup: Lookup, *, assume: bool = False, found: Expansion | None = None) -> None:
        self.study, self.lookup, self.assume = study, lookup, assume
        self.found = Expansion() if found is None else found
        self.tune_seeds = tuple(FIRST_TUNING_SEED + i for i in range(study.retrain.tune_seeds))

    def need(self, stage: Stage, *, priority: int | None = None) -> Mapping[str, Any] | None:
        """Make the stage part of the study, to be run as early as its most urgent use asks; its result where it is finished."""
        wanted = stage if priority is None else replace(stage, priority=priority)
        kept = self.found.stages.get(stage.key)
        if kept is None or wanted.priority < kept.priority:
            self.found.stages[stage.key] = wanted
        return self.lookup(stage.key)

    def compute(self, comparison: Comparison) -> Compute | None:
        """The study's arithmetic: as written, or as the trial on its dense network chose."""
        wish = self.study.compute
        if "auto" not in (wish.device, wish.precision, wish.channels_last, wish.compile):
            return Compute(
                device=wish.device,  # type: ignore[arg-type]  # not "auto", see above
                threads=wish.threads,
                precision=wish.precision,  # type: ignore[arg-type]
                channels_last=bool(wish.channels_last),
                compile=bool(wish.compile),
                devices=wish.devices,
            )
        steps = dense_epochs(self.study) * math.ceil(comparison.facts.train / self.study.train.batch)
        result = self.need(trial_stage(self.study, comparison.dense, steps, comparison.access))
        return None if result is None else Compute.from_json(result["compute"])

    def cost(self, comparison: Comparison, spec: NetworkSpec) -> Mapping[str, Any] | None:
        """MACs and parameters of one network of a comparison."""
        return self.need(cost_stage(spec, comparison.access))
