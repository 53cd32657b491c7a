"""The packaged studies for ImageNet, whole, on a small image folder: torchvision's networks, the paper's designs, several processes.

Everything but the images, their size and the lengths is the packaged file's own. The smallest runs always; the others, with up to 138
million weights, when slow tests are asked for.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import regrow
from regrow.config.load import load_study
from regrow.config.packaged import STUDIES
from regrow.config.study import Study
from regrow.pruning.settings import PruneSettings
from tests.study.conftest import environment

SIDE = 64
ROWS = tuple(name for name in STUDIES if any(data.name == "imagenet" for data in load_study(name).datasets))
SMALLEST = "table1-imagenet"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of eight training and four test images: noise in which one colour is brighter."""
    root, numbers = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for part, count in (("train", 8), ("val", 4)):
        for brighter in range(3):
            folder = root / part / f"class-{brighter}"
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = numbers.integers(0, 160, (SIDE + 6, SIDE + 12, 3), dtype=np.uint8)
                pixels[:, :, brighter] += 95
                Image.fromarray(pixels).save(folder / f"{index}.png")
    return root


def smaller(images: Path) -> list[str]:
    """What makes a study for ImageNet one for this folder."""
    return [
        'data.name="folder"',
        f'data.root="{images}"',
        "data.examples=24",
        "data.classes=3",
        f"data.shape=[3, {SIDE}, {SIDE}]",
        "data.validation=6",
        "data.loader_workers=0",
        "seeds=1",
        "train.epochs=9",
        "train.batch=8",
        "train.lr=0.001",
        "retrain.epochs=2",
        'compute.device="cpu"',
        "compute.workers=1",
    ]


def test_the_rows_for_imagenet_are_known() -> None:
    assert {"table1-imagenet", "table2-vgg16", "table2-resnet50", "table3", "table4-imagenet", "table5"} < set(ROWS)


@pytest.fixture(autouse=True)
def _processes_find_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_the_smallest_row_runs_from_images_to_a_report(images: Path, tmp_path: Path) -> None:
    arms = ['arms=["fine-tune", "scratch-e"]', 'contrast=["fine-tune", "scratch-e"]']
    run_whole(SMALLEST, [*smaller(images), *arms, "train.epochs=1", "retrain.epochs=1"], tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ROWS)
def test_every_row_runs_whole_from_images_to_a_report(name: str, images: Path, tmp_path: Path) -> None:
    run_whole(name, [*smaller(images), f"compute.devices={2 if name == SMALLEST else 1}"], tmp_path)


def run_whole(name: str, settings: list[str], out: Path) -> None:
    """Run a study, and see that every arm of every design of every network was trained, measured and reported."""
    results = regrow.run(name, set=settings, out=out, quiet=True)
    assert not results.failures
    study = load_study(name, settings)
    designs = {(row["network"], row["method"], row["design"]) for row in results.runs if row["method"]}
    assert len(designs) == sum(_designs(prune, study) for prune in study.prunings)
    assert {row["arm"] for row in results.runs} == {"dense", *study.arms}
    assert all(row["test_accuracy"] is not None for row in results.runs)
    assert results.page.stat().st_size > 1_000_000


def _designs(prune: PruneSettings, study: Study) -> int:
    """How many small networks one [[prune]] makes."""
    shares = len(prune.fraction) if isinstance(prune.fraction, tuple) else 1
    return shares * sum(prune.meant_for(network.name, study.datasets[0].name) for network in study.networks)
