"""The work of analyses, done in this process on real digits: channels cut, weights masked, a network from elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from regrow.config.load import load_study
from regrow.config.study import Study
from regrow.data.examples import Examples, open_training
from regrow.networks.build import build
from regrow.networks.spec import NetworkSpec
from regrow.study.artifacts import WEIGHTS
from regrow.study.expand import expand
from regrow.study.expansion import Expansion
from regrow.study.results import write_results
from regrow.study.runner import usable
from regrow.study.store import Store
from regrow.study.worker import execute
from tests.study.conftest import write_tiny
from tests.study.test_networks_from_elsewhere import OWN, write

Row = dict[str, Any]
ALL = 'analyses=["losses", "barrier", "weights"]'


@pytest.fixture(autouse=True, scope="module")
def _process_as_it_was() -> Iterator[None]:
    threads, path = torch.get_num_threads(), list(sys.path)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    torch.set_flush_denormal(False)
    sys.path[:] = path
    sys.modules.pop("nets", None)


def do(study: Study, store: Store) -> Expansion:
    """A whole study in this process, a stage at a time."""
    while True:
        found = expand(study, store.result)
        ready = [
            stage
            for key, stage in found.stages.items()
            if store.result(key) is None and all(map(usable, map(store.result, stage.inputs.values())))
        ]
        if not ready:
            return found
        for stage in ready:
            execute(stage, store, lambda _: None)


class Done:
    """A study that was run, its rows by analysis, arm and seed, and by method where it has several."""

    def __init__(self, study: Study, folder: Path) -> None:
        self.store = Store(folder / "store")
        self.found = do(study, self.store)
        self.results = write_results(study, self.found, self.store, folder / "out", "test")
        self.rows = {(row["method"], row["analysis"], row["arm"], row["seed"]): row for row in self.results["analyses"]}

    def weights(self, method: str, arm: str, seed: int) -> dict[str, torch.Tensor]:
        run = next(
            run
            for run in self.found.runs
            if (run.arm, run.seed) == (arm, seed) and run.comparison.method in (method, method or run.comparison.method)
        )
        return load_file(self.store.file(run.train.key, WEIGHTS))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("analysed")
    settings = [
        "seeds=2",
        "train.epochs=2",
        "retrain.epochs=1",
        "retrain.tune_lr=false",
        'arms=["retrain", "scratch-e"]',
        'contrast=["retrain", "scratch-e"]',
        'prune.method=["l1", "magnitude"]',
        ALL,
    ]
    return Done(load_study(str(write_tiny(folder)), settings), folder)


def test_rows_stand_once_for_every_network_and_pair(done: Done) -> None:
    expected = {("", name, "dense", seed) for name in ("losses", "weights") for seed in (0, 1)}
    for method in ("l1", "magnitude"):
        expected |= {
            (method, name, arm, seed)
            for name in ("losses", "weights")
            for arm in ("retrain", "scratch-e")
            for seed in (0, 1)
        }
        expected |= {(method, "barrier", "retrain", seed) for seed in (0, 1)}
    assert set(done.rows) == expected
    assert len(done.results["analyses"]) == len(expected)
    assert {row["second"] for key, row in done.rows.items() if key[1] == "barrier"} == {"scratch-e"}


def test_training_losses_are_those_of_the_kept_weights_on_unaugmented_images(done: Done) -> None:
    run = next(run for run in done.found.runs if (run.arm, run.seed) == ("dense", 1))
    network = build(NetworkSpec.from_json(run.train.settings["network"]), 0, "other")
    network.load_state_dict(load_file(done.store.file(run.train.key, WEIGHTS)))
    held, _ = open_training(done.store.folder(run.train.inputs["data"]))
    assert isinstance(held, Examples)
    pixels = held.images.float() / 255
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (held.mean, held.std))
    with torch.no_grad():
        logits = network.eval()((pixels - mean) / std)
    found = done.rows["", "losses", "dense", 1]["found"]
    assert found["images"] == len(held)
    assert found["loss"] == pytest.approx(float(functional.cross_entropy(logits, held.labels)), rel=1e-4)
    assert found["accuracy"] == pytest.approx(100 * float((logits.argmax(1) == held.labels).float().mean()), abs=0.2)


def test_histograms_are_of_all_convolutions_and_masks_stand_apart(done: Done) -> None:
    tensors = done.weights("magnitude", "retrain", 0)
    convolutions = np.concatenate([tensor.flatten() for tensor in tensors.values() if tensor.dim() == 4])
    found = done.rows["magnitude", "weights", "retrain", 0]["found"]
    assert found["all"]["weights"] + found["all"]["masked"] == len(convolutions)
    assert found["all"]["masked"] == int((convolutions == 0).sum()) == round(len(convolutions) / 2)
    assert found["all"]["std"] == pytest.approx(convolutions[convolutions != 0].std(), rel=1e-4)
    assert sum(found["all"]["shares"]) == pytest.approx(1 - found["all"]["below"] - found["all"]["above"], abs=1e-4)
    assert found["stages"].keys() == {"0", "1", "2", "3", "4"}
    assert sum(one["weights"] for one in found["stages"].values()) == found["all"]["weights"]


def test_magnitude_pruning_leaves_a_hole_and_cutting_channels_leaves_none(done: Done) -> None:
    near = {key: row["found"]["all"]["near_zero"] for key, row in done.rows.items() if key[1] == "weights"}
    assert near["magnitude", "weights", "retrain", 0] < 0.3 * near["", "weights", "dense", 0]
    assert near["l1", "weights", "retrain", 0] > 0.3 * near["", "weights", "dense", 0]


@pytest.mark.parametrize("method", ["l1", "magnitude"])
def test_barriers_are_between_the_ends_of_the_contrast(done: Done, method: str) -> None:
    found = done.rows[method, "barrier", "retrain", 0]["found"]
    assert len(found["positions"]) == len(found["before"]) == len(found["after"]) == 11
    assert found["before"][0] == found["after"][0]
    assert found["before"][-1] == pytest.approx(found["after"][-1], rel=1e-4)
    for when in ("before", "after"):
        lifts = [
            loss - ((1 - t) * found[when][0] + t * found[when][-1])
            for t, loss in zip(found["positions"], found[when], strict=True)
        ]
        assert found[f"barrier_{when}"] == pytest.approx(max(lifts))
    assert (found["groups"], found["unmatched"]) == (8, [])
    assert 0 < found["moved"] <= 1


def test_a_network_and_itself_have_no_barrier(done: Done, tmp_path: Path) -> None:
    stage = next(one.stage for one in done.found.analysed if one.analysis == "barrier")
    same = replace(stage, inputs={**stage.inputs, "second": stage.inputs["first"]})
    execute(same, done.store, lambda _: None)
    found = done.store.result(same.key) or {}
    assert found["barrier_before"] == pytest.approx(0, abs=1e-6)
    assert (found["moved"], found["before"]) == (0, pytest.approx(found["after"]))


def test_a_network_from_elsewhere_is_analysed_too(tmp_path: Path) -> None:
    path = write(tmp_path, OWN, arms=["retrain", "scratch-e"])
    one = Done(load_study(path, [ALL, 'contrast=["retrain", "scratch-e"]'], trust=True), tmp_path)
    assert {key[1] for key in one.rows} == {"losses", "barrier", "weights"}
    found = one.rows["l1", "barrier", "retrain", 0]["found"]
    assert found["groups"] > 0
    assert None not in found["before"] + found["after"]
    whole, small = (one.rows[key]["found"] for key in (("", "weights", "dense", 0), ("l1", "weights", "retrain", 0)))
    assert whole["all"]["weights"] > small["all"]["weights"] > 0
    assert whole["stages"] == {}
