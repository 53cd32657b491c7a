"""The work of each kind of stage. Runs in workers; the only module of this folder that imports torch.

Every function has one signature: `(stage, store, folder, tell) -> result`. It reads its inputs' artifacts from the store,
leaves files in `folder`, reports progress through `tell`, and returns a JSON value.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from regrow.channels.carve import carve
from regrow.data.examples import open_training
from regrow.data.prepare import prepare
from regrow.data.settings import DataSettings
from regrow.data.stream import Stream
from regrow.errors import DivergenceError
from regrow.evaluation.accuracy import evaluate
from regrow.networks.build import build
from regrow.networks.cost import cost
from regrow.networks.spec import NetworkSpec
from regrow.pruning.norms import reestimate_norms
from regrow.pruning.prune import prune
from regrow.study.artifacts import ARCHITECTURE, WEIGHTS, write_correct
from regrow.study.stage import Stage
from regrow.study.store import Store
from regrow.training.checkpoint import load_weights, save_weights
from regrow.training.compute import Compute
from regrow.training.loop import train
from regrow.training.machine import apply
from regrow.training.recipe import Recipe
from regrow.training.trial import choose, seconds_per_step

Tell = Callable[[dict[str, Any]], None]
Result = dict[str, Any]

NORM_BATCHES = 20
"""Batches of training examples from which norm statistics are re-estimated."""
NORM_BATCH = 200


def prepare_data(stage: Stage, store: Store, folder: Path, tell: Tell) -> Result:
    """Decode and split."""
    settings = {name: value for name, value in stage.settings.items() if name != "source"}
    return prepare(DataSettings(**settings, **stage.local), folder)


def count_cost(stage: Stage, store: Store, folder: Path, tell: Tell) -> Result:
    """MACs, parameters and activation memory."""
    counted = cost(_spec(stage))
    return {"macs": counted.macs, "params": counted.params, "peak_activation_bytes": counted.peak_activation_bytes}


def train_network(stage: Stage, store: Store, folder: Path, tell: Tell) -> Result:
    """Train; a loss that is no longer finite is a result too, so that it is found once and reported plainly."""
    compute, recipe = _compute(stage), Recipe.from_json(stage.settings["recipe"])
    examples, validation = open_training(store.folder(stage.inputs["data"]), compute.device)
    stream_of = stage.settings["stream"]
    stream = Stream(
        examples,
        batch=recipe.batch,
        seed=stream_of["seed"],
        augment=stream_of["augment"],
        channels_last=compute.channels_last,
    )
    network = _start(stage, store)
    try:
        trained = train(
            network,
            stream=stream,
            first_epoch=stream_of["epoch"],
            validation=validation,
            recipe=recipe,
            compute=compute,
            folder=folder,
            on_epoch=lambda row: tell({"epoch": row["epoch"], "loss": row["train_loss"]}),
        )
    except DivergenceError as error:
        return {"diverged": True, "message": str(error)}
    save_weights(network, folder / WEIGHTS)
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


def prune_network(stage: Stage, store: Store, folder: Path, tell: Tell) -> Result:
    """Choose channels, carve, keep the architecture and the inherited weights."""
    torch.set_num_threads(1)
    dense = NetworkSpec.from_json(stage.settings["dense"])
    network = build(dense, 0, "to be overwritten")
    load_weights(network, store.file(stage.inputs["dense"], WEIGHTS))
    architecture = prune(
        network, dense, stage.settings["method"], tuple(stage.settings["widths"]), stage.settings["seed"]
    )
    save_weights(carve(network, architecture), folder / WEIGHTS)
    (folder / ARCHITECTURE).write_text(json.dumps(architecture.to_json(), sort_keys=True))
    return {"widths": list(architecture.pruned_spec().widths)}


def import_dense(stage: Stage, store: Store, folder: Path, tell: Tell) -> Result:
    """Take over a user's checkpoint, after checking that it fits the network."""
    network = build(_spec(stage), 0, "to be overwritten")
    load_weights(network, Path(stage.local["checkpoint"]))
    save_weights(network, folder / WEIGHTS)
    return {"diverged": False, "imported": True}


def evaluate_network(stage: Stage, store: Store, folder: Path, tell: Tell) -> Result:
    """Accuracy and loss on the test set; which examples were right is kept, one bit each."""
    compute, source = _compute(stage), store.folder(stage.inputs["data"])
    network = _load(_spec(stage), store, stage.inputs["weights"]).to(compute.device)
    if stage.settings["norms"] == "re-estimated":
        examples, _ = open_training(source, compute.device)
        stream = Stream(
            examples, batch=NORM_BATCH, augment="none", channels_last=False, seed=stage.settings["stream"]["seed"]
        )
        batches = (images for images, _ in stream.epoch(stage.settings["stream"]["epoch"]))
        reestimate_norms(network, islice(batches, NORM_BATCHES))
    clock = time.perf_counter()
    found = evaluate(network, source, compute)
    write_correct(folder, found.correct)
    return {
        "correct": int(found.correct.sum()),
        "examples": len(found.correct),
        "loss": found.loss,
        "evaluation_seconds": time.perf_counter() - clock,
    }


def run_trial(stage: Stage, store: Store, folder: Path, tell: Tell) -> Result:
    """Resolve what the study leaves open about arithmetic."""
    chosen = choose(
        _spec(stage),
        Recipe.from_json(stage.settings["recipe"]),
        wish=stage.settings["compute"],
        total_steps=stage.settings["steps"],
    )
    return {"compute": chosen.compute.to_json(), "measured": chosen.measured}


def time_steps(stage: Stage, store: Store, folder: Path, tell: Tell) -> Result:
    """Seconds of one training step."""
    return {"step_seconds": seconds_per_step(_spec(stage), Recipe.from_json(stage.settings["recipe"]), _compute(stage))}


def _spec(stage: Stage) -> NetworkSpec:
    return NetworkSpec.from_json(stage.settings["network"])


def _compute(stage: Stage) -> Compute:
    compute = Compute.from_json(stage.settings["compute"])
    apply(compute)
    return compute


def _start(stage: Stage, store: Store) -> nn.Module:
    """The network in its start state: freshly drawn, or as it was carved."""
    start: Mapping[str, Any] = stage.settings["start"]
    if start["weights"] == "fresh":
        return build(_spec(stage), start["seed"], start["role"])
    return _load(_spec(stage), store, stage.inputs["pruned"])


def _load(spec: NetworkSpec, store: Store, key: str) -> nn.Module:
    network = build(spec, 0, "to be overwritten")
    load_weights(network, store.file(key, WEIGHTS))
    return network
