"""A whole study, small enough to be run many times: real digits, a very narrow VGG-11, two epochs."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from regrow.config.load import load_study
from regrow.config.study import Study
from regrow.study.progress import Snapshot
from regrow.study.runner import Outcome, run_study
from regrow.study.store import Store

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
