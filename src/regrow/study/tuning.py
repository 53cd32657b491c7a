"""Tuning: the learning rate of every arm, from one grid that grows for all of them. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from regrow.study.expansion import Expander, Tried
from regrow.study.lengths import ArmPlan, final_lr, round_lr
from regrow.study.stage import Stage
from regrow.study.stages import PRIORITY

if TYPE_CHECKING:
    from regrow.study.walk import Walk

Rates: TypeAlias = dict[str, float | None]
"""Peak lr by arm; None where it is not known yet, or where every value diverged."""


class Tuning:
    """The choice of one comparison's learning rates on validation, with seeds that the report never uses."""

    def __init__(self, owner: Expander, walk: Walk) -> None:
        self.owner, self.walk = owner, walk
        self.names = owner.study.arms

    def rates(self) -> Rates:
        """The lr of every arm, from one grid that grows for all while any arm's best is at an edge."""
        study = self.owner.study
        grid = sorted({round_lr(lr) for lr in study.retrain.lrs or (study.train.lr * 10 ** (-k / 2) for k in range(4))})
        unknown = [seed for seed in self.owner.tune_seeds if self.walk.plans(seed) is None]
        if unknown:
            for seed in unknown:
                self.walk.explain(seed)
            return self._unfinished(grid)
        while True:
            losses = {name: {lr: self._loss(name, lr) for lr in grid} for name in self.names}
            if any(loss is None for row in losses.values() for loss in row.values()):
                return self._unfinished(grid)
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

    def _loss(self, name: str, lr: float) -> float | None:
        """Mean validation loss over the tuning seeds; None where one is not finished."""
        results = [self.owner.need(stage, priority=PRIORITY["tuning"]) for stage in self._stages(name, lr)]
        if any(result is None for result in results):
            return None
        losses = [math.inf if result["diverged"] else float(result["validation_loss"]) for result in results if result]
        return sum(losses) / len(losses)

    def _stages(self, name: str, lr: float) -> list[Stage]:
        return [self.walk.arm(self._plan(name, seed), seed, lr) for seed in self.owner.tune_seeds]

    def _plan(self, name: str, seed: int) -> ArmPlan:
        plans = self.walk.plans(seed)
        assert plans is not None
        return next(plan for plan in plans if plan.name == name)

    def _unfinished(self, grid: Sequence[float]) -> Rates:
        if self.owner.assume:
            return dict.fromkeys(self.names, grid[-1])
        self.owner.found.waiting += self.walk.waiting(self.owner.tune_seeds[0]) * len(self.owner.study.seed_list)
        return dict.fromkeys(self.names)

    def _record(
        self, grid: Sequence[float], losses: Mapping[str, Mapping[float, float | None]], best: Mapping[str, float]
    ) -> None:
        for name in self.names:
            row = losses[name]
            for lr in grid:
                tried = Tried(
                    comparison=self.walk.comparison,
                    arm=name,
                    lr=lr,
                    loss=math.inf if row[lr] is None else float(row[lr] or 0.0),
                    chosen=best[name] == lr,
                    at_edge=best[name] == lr and lr in (grid[0], grid[-1]),
                    stages=tuple(self._stages(name, lr)),
                )
                self.owner.found.tried.append(tried)
            if math.isinf(row[best[name]] or 0.0):
                self.owner.found.problems.append(
                    f"{name} {self.walk.comparison.label}: training diverged at every learning rate from {grid[0]:g} to "
                    f"{grid[-1]:g}. Lower train.lr or give retrain.lrs."
                )
