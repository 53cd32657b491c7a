"""Starts: what a training begins with is exactly what its stage asks for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from regrow.networks.build import build
from regrow.pruning.mask_files import read_masks
from regrow.study.artifacts import MASK, STATE, WEIGHTS
from regrow.study.expansion import Expansion
from regrow.study.starts import Start, start
from regrow.study.store import Store
from regrow.study.task import Task
from tests.study.test_work import do

ARMS = ["retrain", "scratch-b", "ticket", "late-ticket", "dense-longer"]


@pytest.fixture(scope="module", params=["l1", "magnitude"])
def done(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> tuple[str, Expansion, Store]:
    folder = tmp_path_factory.mktemp("starts")
    arms = f"arms={ARMS}".replace("'", '"')
    found, store = do(
        folder, f'prune={{method="{request.param}", fraction=0.5}}', arms, "train.epochs=3", "retrain.late=0.4"
    )
    return request.param, found, store


def begin(found: Expansion, store: Store, arm: str, folder: Path) -> tuple[Task, Start]:
    stage = next(run.train for run in found.runs if run.arm == arm)
    task = Task(stage=stage, store=store, folder=folder, tell=print)
    return task, start(task)


def test_a_ticket_has_the_dense_networks_first_weights(done: tuple[str, Expansion, Store], tmp_path: Path) -> None:
    method, found, store = done
    task, begun = begin(found, store, "ticket", tmp_path)
    spec = next(run.shape.spec for run in found.runs if run.arm == "dense")
    first = build(spec, 0, "dense").state_dict()["features.conv1.weight"]
    ours = begun.network.state_dict()["features.conv1.weight"]
    if method == "magnitude":
        mask = read_masks(task.input_file("pruned", MASK))["features.conv1.weight"]
        assert torch.equal(ours, first * mask)
    else:
        assert {tuple(row) for row in ours.flatten(1).tolist()} < {tuple(row) for row in first.flatten(1).tolist()}
    assert begun.state is None


def test_a_late_ticket_has_the_dense_runs_weights_and_momentum(
    done: tuple[str, Expansion, Store], tmp_path: Path
) -> None:
    method, found, store = done
    task, begun = begin(found, store, "late-ticket", tmp_path)
    state = load_file(task.input_file("state", STATE))
    assert begun.state is not None
    parameters = [parameter for parameter in begun.network.parameters() if parameter.requires_grad]
    for key, tensor in begun.state.optimizer.items():
        assert tensor.shape == parameters[int(key.partition(".")[0])].shape
    first = begun.state.optimizer["0.momentum_buffer"]
    whole = state["optimizer.0.momentum_buffer"]
    if method == "magnitude":
        mask = read_masks(task.input_file("pruned", MASK))["features.conv1.weight"]
        assert torch.equal(first, whole * mask)
    else:
        assert len(first) < len(whole)


def test_scratch_arms_begin_anew_under_the_same_mask(done: tuple[str, Expansion, Store], tmp_path: Path) -> None:
    method, found, store = done
    _, begun = begin(found, store, "scratch-b", tmp_path)
    assert (begun.masks is not None) is (method == "magnitude")
    if begun.masks is not None:
        weights = begun.network.state_dict()
        assert all(int(weights[name][~mask].count_nonzero()) == 0 for name, mask in begun.masks.items())


def test_a_dense_control_wears_no_mask(done: tuple[str, Expansion, Store], tmp_path: Path) -> None:
    _, found, store = done
    assert begin(found, store, "dense-longer", tmp_path)[1].masks is None


def test_inheritors_have_what_pruning_left(done: tuple[str, Expansion, Store], tmp_path: Path) -> None:
    _, found, store = done
    task, begun = begin(found, store, "retrain", tmp_path)
    left = load_file(task.input_file("pruned", WEIGHTS))
    assert all(torch.equal(tensor, left[name]) for name, tensor in begun.network.state_dict().items())
