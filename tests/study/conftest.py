"""A whole study, small enough to be run many times: real digits, a very narrow VGG-11, two epochs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from regrow.config.load import load_study
from regrow.config.study import Study
from regrow.networks.spec import NetworkSpec
from regrow.study.comparison import comparisons
from regrow.study.expand import expand
from regrow.study.expansion import Expansion
from regrow.study.lengths import ArmPlan, plan_arms
from regrow.study.progress import Snapshot
from regrow.study.route import ledger
from regrow.study.runner import Outcome, run_study
from regrow.study.shape import Shape, carved_shape, masked_shape
from regrow.study.stage import Stage
from regrow.study.stages import Ground, data_stage
from regrow.study.store import Store
from regrow.training.compute import Compute

BEST = 0.0316228
"""Peak lr at which the made-up losses of `Pretend` are lowest."""

TINY = """
name = "tiny"
title = "A study for tests: too short to mean anything"
seeds = {seeds}
arms = ["fine-tune", "lr-rewind", "retrain", "scratch-e", "scratch-b", "dense-longer", "random-pruned"]

[data]
name = "digits"

[network]
name = "vgg11"
width = 0.0625

[train]
epochs = {epochs}
lr = 0.1
batch = 128
validate_every = 2

[prune]
method = "l1"
fraction = 0.5

[retrain]
epochs = 1
max_lrs = 4

[compute]
device = "cpu"
precision = "fp32"
channels_last = false
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The file of a study with three seeds."""
    return write_tiny(tmp_path)


def write_tiny(folder: Path, *, seeds: int = 3, epochs: int = 3, extra: str = "") -> Path:
    path = folder / "tiny.toml"
    path.write_text(TINY.format(seeds=seeds, epochs=epochs) + extra)
    return path


def environment() -> dict[str, str]:
    """The environment for a `regrow` started by a test: the source that is being tested, no threads of its own."""
    source = str(Path(__file__).parents[2] / "src")
    return {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "regrow", *arguments]


@dataclass(frozen=True)
class Finished:
    """A study that was really run, once for all tests that only look at it."""

    study: Study
    out: Path
    outcome: Outcome
    snapshots: tuple[Snapshot, ...]

    @property
    def store(self) -> Store:
        return Store(self.out / "store")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    study = load_study(str(write_tiny(folder)), [])
    snapshots: list[Snapshot] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
        outcome = run_study(study, folder / "out", workers=2, observer=snapshots.append, command="regrow run tiny.toml")
    return Finished(study=study, out=folder / "out", outcome=outcome, snapshots=tuple(snapshots))


def ground_of(study: Study, dense_macs: int = 300, compute: Compute | None = None) -> Ground:
    """What the stages of a study's first comparison stand on, its MACs made up."""
    comparison = next(comparisons(study))
    return Ground(
        study=study,
        comparison=comparison,
        compute=compute or Compute(),
        data=data_stage(comparison.data),
        dense_macs=dense_macs,
    )


def carved(study: Study, macs: int = 200) -> Shape:
    """A physically small network of the first comparison."""
    comparison = next(comparisons(study))
    return carved_shape(comparison.pruned or comparison.dense, {"macs": macs, "params": macs})


def masked(study: Study, macs: int = 300, nominal: int = 100) -> Shape:
    """The dense network of the first comparison under a mask."""
    found = {"nominal_macs": nominal, "nominal_params": nominal, "kept": nominal}
    return masked_shape(next(comparisons(study)).dense, {"macs": macs, "params": macs}, found)


def arms_of(study: Study, small: Shape | None = None) -> tuple[ArmPlan, ...]:
    """The arms of the first comparison: 300 MACs dense, and 200 where nothing else is said."""
    ground, small = ground_of(study), small or carved(study)
    dense = carved_shape(ground.comparison.dense, {"macs": 300, "params": 300})
    return plan_arms(study, ground.comparison, dense, small, ledger(ground, small))


class Pretend:
    """Results for every stage, made up: MACs, and a validation loss that is lowest at `best`; a method's widths differ by seed."""

    def __init__(self, study: Study, *, best: float = BEST, diverges_from: float = 9.0, missing: str = "") -> None:
        self.best, self.diverges_from, self.missing = best, diverges_from, missing
        self.dense = [comparison.dense for comparison in comparisons(study)]
        self.stages: dict[str, Stage] = {}

    def __call__(self, key: str) -> Mapping[str, Any] | None:
        stage = self.stages.get(key)
        if stage is None or stage.kind == self.missing:
            return None
        if stage.kind == "cost":
            whole = NetworkSpec.from_json(stage.settings["network"]) in self.dense
            return {"macs": 300, "params": 300} if whole else {"macs": 200, "params": 200}
        if stage.kind == "prune":
            return self._pruned(stage)
        if stage.kind != "train":
            return {}
        lr = stage.settings["recipe"]["peak_lr"]
        if lr >= self.diverges_from:
            return {"diverged": True, "message": "became nan"}
        return {"diverged": False, "validation_loss": abs(lr - self.best)}

    @staticmethod
    def _pruned(stage: Stage) -> Mapping[str, Any]:
        """The first channels of every group go; one more where another network was pruned."""
        dense = NetworkSpec.from_json(stage.settings["dense"])
        less = 1 + int(stage.inputs["dense"][-1], 16) % 2
        mask = {"nominal_macs": 60, "nominal_params": 60, "kept": 50}
        return {"widths": [width - less for width in dense.widths], **mask}

    def finish(self, study: Study) -> Expansion:
        """Expand until nothing new is found."""
        while True:
            found = expand(study, self)
            if found.stages.keys() <= self.stages.keys():
                return found
            self.stages.update(found.stages)
