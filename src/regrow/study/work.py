"""The work of training, pruning and evaluating. Runs in workers; with `groundwork.py`, what imports torch in this folder.

Every function takes a `Task` and returns a JSON value, the stage's result. It reads its inputs' artifacts from the store and
leaves files in the task's folder.
"""

from __future__ import annotations

import shutil
import time
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from regrow.channels.architecture import Architecture, read_architecture, write_architecture
from regrow.channels.carve import carve
from regrow.channels.foreign import carved_shell, network_at, traced
from regrow.channels.verify import verify
from regrow.data.examples import open_training
from regrow.data.stream import open_stream
from regrow.errors import DivergenceError
from regrow.evaluation.accuracy import evaluate
from regrow.networks.foreign import made_up_images
from regrow.networks.sources import is_foreign
from regrow.networks.spec import NetworkSpec
from regrow.pruning.norms import reestimate_norms
from regrow.pruning.prune import prune, prune_traced
from regrow.study.artifacts import ARCHITECTURE, WEIGHTS, write_correct
from regrow.study.task import Task
from regrow.training.checkpoint import load_weights, save_weights
from regrow.training.compute import Compute
from regrow.training.loop import Trained, train
from regrow.training.machine import apply
from regrow.training.trial import Make, choose, seconds_per_step

Result = dict[str, Any]

NORM_BATCHES = 20
"""Batches of training examples from which norm statistics are re-estimated."""
NORM_BATCH = 200


def train_network(task: Task) -> Result:
    """Train; a loss that is no longer finite is a result too, so that it is found once and reported plainly."""
    compute = _compute(task)
    network = _start(task)
    try:
        trained = _trained(task, network, compute)
    except DivergenceError as error:
        return {"diverged": True, "message": str(error)}
    save_weights(network, task.folder / WEIGHTS)
    if "pruned" in task.stage.inputs and is_foreign(task.spec.name):
        shutil.copyfile(task.input_file("pruned", ARCHITECTURE), task.folder / ARCHITECTURE)
    last = trained.history[-1]
    return {
        "diverged": False,
        "history": trained.history,
        "validation_loss": last["validation_loss"],
        "validation_accuracy": last["validation_accuracy"],
        "train_accuracy": last["train_accuracy"],
        "train_seconds": trained.train_seconds,
        "steps": trained.steps,
        "examples": trained.examples,
    }


def _trained(task: Task, network: nn.Module, compute: Compute) -> Trained:
    """The network trained in place, on the stage's part of its seed's stream."""
    read, local, recipe = task.stage.settings["stream"], task.stage.local, task.recipe
    examples, validation = open_training(task.input_folder("data"), compute.device)
    loader_workers = int(local["loader_workers"])
    return train(
        network,
        stream=open_stream(
            examples, recipe.batch, read["seed"], read["augment"], compute.channels_last, loader_workers
        ),
        first_epoch=read["epoch"],
        validation=validation,
        recipe=recipe,
        compute=compute,
        folder=task.folder,
        seed=read["seed"],
        on_epoch=lambda row: task.tell({"epoch": row["epoch"], "loss": row["train_loss"]}),
        on_tick=lambda done, steps: task.tell({"share": done / steps}),
        loader_workers=loader_workers,
        loggers=local["loggers"].split(),
        label=task.stage.label,
    )


def prune_network(task: Task) -> Result:
    """Choose channels, carve, keep the architecture and the inherited weights."""
    torch.set_num_threads(1)
    dense = NetworkSpec.from_json(task.stage.settings["dense"])
    network = network_at(dense, task.access, 0, "to be overwritten")
    load_weights(network, task.input_file("dense", WEIGHTS))
    small, architecture = _pruned(task, network, dense)
    save_weights(small, task.folder / WEIGHTS)
    write_architecture(task.folder / ARCHITECTURE, architecture)
    return {"widths": list(architecture.widths)}


def _pruned(task: Task, network: nn.Module, dense: NetworkSpec) -> tuple[nn.Module, Architecture]:
    """The carved network; one from elsewhere is held against the dense one with the removed channels silenced."""
    settings = task.stage.settings
    method, widths, seed = settings["method"], settings["widths"], settings["seed"] or 0
    if not is_foreign(dense.name):
        architecture = prune(network, dense, method, widths, seed)
        return carve(network, architecture), architecture
    tracing = traced(dense, task.access).tracing
    architecture = prune_traced(network, tracing, dense, method, widths, seed)
    small = carve(network, architecture)
    verify(network, small, architecture, tracing, made_up_images(dense))
    return small, architecture


def import_dense(task: Task) -> Result:
    """Take over a user's checkpoint, after checking that it fits the network."""
    network = network_at(task.spec, task.access, 0, "to be overwritten")
    load_weights(network, Path(task.stage.local["checkpoint"]))
    save_weights(network, task.folder / WEIGHTS)
    return {"diverged": False, "imported": True}


def evaluate_network(task: Task) -> Result:
    """Accuracy and loss on the test set; which examples were right is kept, one bit each."""
    compute, source = _compute(task), task.input_folder("data")
    network = _load(task, "weights").to(compute.device)
    if task.stage.settings["norms"] == "re-estimated":
        examples, _ = open_training(source, compute.device)
        read = task.stage.settings["stream"]
        stream = open_stream(examples, NORM_BATCH, read["seed"], "none", compute.channels_last)
        reestimate_norms(network, islice(stream.epoch(read["epoch"]), NORM_BATCHES))
    clock = time.perf_counter()
    found = evaluate(network, source, compute)
    write_correct(task.folder, found.correct)
    return {
        "correct": int(found.correct.sum()),
        "examples": len(found.correct),
        "loss": found.loss,
        "evaluation_seconds": time.perf_counter() - clock,
    }


def run_trial(task: Task) -> Result:
    """Resolve what the study leaves open about arithmetic."""
    chosen = choose(
        task.spec,
        task.recipe,
        wish=task.stage.settings["compute"],
        total_steps=task.stage.settings["steps"],
        make=_builder(task),
    )
    return {"compute": chosen.compute.to_json(), "measured": chosen.measured}


def time_steps(task: Task) -> Result:
    """Seconds of one training step."""
    return {"step_seconds": seconds_per_step(task.spec, task.recipe, _compute(task), _builder(task))}


def _builder(task: Task) -> Make:
    return lambda spec, *seed: network_at(spec, task.access, *seed)


def _compute(task: Task) -> Compute:
    compute = Compute.from_json(task.stage.settings["compute"])
    apply(compute)
    return compute


def _start(task: Task) -> nn.Module:
    """The network in its start state: freshly drawn, or as it was carved."""
    start = task.stage.settings["start"]
    if start["weights"] == "fresh":
        return network_at(task.spec, task.access, start["seed"], start["role"])
    return _load(task, "pruned")


def _load(task: Task, role: str) -> nn.Module:
    """The network of an earlier stage. One that was carved from elsewhere keeps what carving kept and no weights hold."""
    if is_foreign(task.spec.name) and (task.input_folder(role) / ARCHITECTURE).exists():
        network = carved_shell(read_architecture(task.input_file(role, ARCHITECTURE)), task.access)
    else:
        network = network_at(task.spec, task.access, 0, "to be overwritten")
    load_weights(network, task.input_file(role, WEIGHTS))
    return network
