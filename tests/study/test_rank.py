"""A rank of a stage, and a whole study over two devices: `regrow run` on a folder of images, as ImageNet is laid out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import regrow
from regrow.config.load import load_study
from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import dense_spec
from regrow.study.stage import Stage
from regrow.study.store import Store
from regrow.study.worker import answer
from regrow.training.compute import Compute
from tests.study.conftest import environment

STUDY = """
name = "two"
seeds = 1
arms = ["fine-tune", "scratch-e"]
contrast = ["fine-tune", "scratch-e"]

[data]
name = "folder"
root = "{root}"
examples = 60
classes = 3
shape = [3, 32, 32]
validation = 6
loader_workers = 0

[network]
name = "torchvision:{network}"

[train]
epochs = 2
lr = 0.05
batch = 16

[prune]
method = "l1"
fraction = 0.5

[retrain]
epochs = 1
tune_lr = false

[compute]
device = "cpu"
precision = "fp32"
channels_last = false
workers = 1
devices = 2
"""


@pytest.fixture(autouse=True)
def _processes_find_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def draw(root: Path) -> None:
    """Three classes of 20 images, for training and for testing: noise in which one colour is brighter."""
    numbers = np.random.default_rng(0)
    for part in ("train", "val"):
        for brighter in range(3):
            folder = root / part / f"class-{brighter}"
            folder.mkdir(parents=True)
            for index in range(20):
                pixels = numbers.integers(0, 160, (36, 40, 3), dtype=np.uint8)
                pixels[:, :, brighter] += 95
                Image.fromarray(pixels).save(folder / f"{index}.png")


def test_a_study_on_an_image_folder_trains_every_network_on_two_devices(tmp_path: Path) -> None:
    draw(tmp_path / "images")
    file = tmp_path / "two.toml"
    file.write_text(STUDY.format(root=tmp_path / "images", network="resnet18"))
    results = regrow.run(str(file), out=tmp_path / "out", quiet=True)
    assert {(row["arm"], row["epochs"]) for row in results.runs} == {("dense", 2), ("fine-tune", 1), ("scratch-e", 2)}
    written = tmp_path / "out" / "two" / "results.json"
    assert json.loads(written.read_text())["study"]["settings"]["compute"]["devices"] == 2
    store = Store(tmp_path / "out" / "store")
    trained = [stage_of(folder) for folder in sorted((store.root / "stages").glob("train-*"))]
    assert [stage["settings"]["compute"]["devices"] for stage in trained] == [2, 2, 2]
    evaluated = [stage_of(folder) for folder in sorted((store.root / "stages").glob("evaluate-*"))]
    assert evaluated and all("devices" not in stage["settings"]["compute"] for stage in evaluated)
    assert not list((store.root / "partial").iterdir())
    before = written.stat().st_mtime_ns
    regrow.run(str(file), out=tmp_path / "out", quiet=True)
    assert written.stat().st_mtime_ns == before


def stage_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "stage.json").read_text()))


def test_what_a_rank_cannot_do_is_an_ordinary_failure_with_its_message(tmp_path: Path) -> None:
    store, said = Store(tmp_path / "store"), list[dict[str, Any]]()
    (store.folder("data-nothing")).mkdir(parents=True)
    spec = dense_spec(NetworkSettings(name="resnet20", width=0.25), classes=3, shape=(3, 8, 8))
    settings = {
        "network": spec.to_json(),
        "start": {"weights": "fresh", "seed": 0, "role": "dense"},
        "stream": {"seed": 0, "epoch": 0, "augment": "none"},
        "recipe": load_recipe(tmp_path),
        "compute": Compute(devices=2).to_json(),
    }
    local = {"loader_workers": "0", "loggers": ""}
    stage = Stage(kind="train", settings=settings, inputs={"data": "data-nothing"}, local=local)
    answer(stage.to_json(), store, said.append)
    assert [event["event"] for event in said] == ["failed"]
    assert "holds no prepared data" in said[0]["message"] and said[0]["detail"] == ""


def load_recipe(folder: Path) -> dict[str, Any]:
    from regrow.study.lengths import base_recipe

    file = folder / "two.toml"
    file.write_text(STUDY.format(root=folder, network="resnet18"))
    return base_recipe(load_study(str(file), []), epochs=1, lr=0.1).to_json()
