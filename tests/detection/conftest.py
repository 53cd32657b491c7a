"""A finished study of drawn images, and drawn boxes in both formats; made once for all tests that only look at them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from regrow.config.load import load_study
from regrow.config.study import Study
from regrow.study.expand import expand
from regrow.study.runner import usable
from regrow.study.store import Store
from regrow.study.worker import execute
from tests.detection.drawn import draw, write_coco, write_study, write_voc


@pytest.fixture(autouse=True)
def _process_as_it_was() -> Iterator[None]:
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(strict)
    torch.set_flush_denormal(False)


@dataclass(frozen=True)
class Finished:
    """A study that was really run, in this process."""

    file: Path
    study: Study
    out: Path

    @property
    def store(self) -> Store:
        return Store(self.out / "store")


def finish(file: Path, out: Path, *changes: str) -> Finished:
    """Do every stage, one at a time; code of its own is trusted."""
    study, store = load_study(file, list(changes), trust=True), Store(out / "store")
    threads = torch.get_num_threads()
    while True:
        found = expand(study, store.result)
        ready = [
            stage
            for key, stage in found.stages.items()
            if store.result(key) is None and all(map(usable, map(store.result, stage.inputs.values())))
        ]
        if not ready:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(False)
            torch.set_flush_denormal(False)
            return Finished(file, study, out)
        for stage in ready:
            execute(stage, store, lambda _: None)


@functools.cache
def small_study(base: Path) -> Finished:
    """ResNet-20 at a quarter of its width, two seeds, one epoch: run once, whoever asks. Nothing may be written into its folder."""
    folder = base / "shapes"
    folder.mkdir()
    return finish(write_study(folder, epochs=1, count=8), folder / "out")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return small_study(tmp_path_factory.getbasetemp())


@dataclass(frozen=True)
class Drawn:
    """The same boxes in two formats."""

    voc: Path
    coco: Path


@pytest.fixture(scope="session")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Eight images to train on, four to test on."""
    folder, pictures = tmp_path_factory.mktemp("boxes"), draw(12)
    train, test = pictures[:8], pictures[8:]
    return Drawn(write_voc(folder / "voc", train, test), write_coco(folder / "coco", train, test))
