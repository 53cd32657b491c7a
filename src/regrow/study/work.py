"""The work of training, pruning and evaluating. Runs in workers; with `groundwork.py`, what imports torch in this folder.

Every function takes a `Task` and returns a JSON value, the stage's result. It reads its inputs' artifacts from the store and
leaves files in the task's folder.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from regrow.channels.blocks import residual_blocks
from regrow.channels.foreign import network_at, traced
from regrow.channels.groups import channel_groups
from regrow.data.examples import open_training
from regrow.data.stream import Portion, open_stream, steps
from regrow.errors import DivergenceError
from regrow.evaluation.accuracy import evaluate
from regrow.networks.foreign import made_up_images
from regrow.networks.sources import is_foreign
from regrow.pruning.gradual import Gradual
from regrow.pruning.holding import Holding
from regrow.pruning.mask_choice import Scope
from regrow.pruning.mask_files import write_masks
from regrow.pruning.mask_schedule import cubic_over
from regrow.pruning.norms import reestimate_norms
from regrow.pruning.sparsifiers import sparsifier
from regrow.study.artifacts import ARCHITECTURE, MASK, SCALES, STATE, WEIGHTS, write_correct
from regrow.study.executor import GPUS
from regrow.study.stage import Stage
from regrow.study.starts import Start, loaded, start
from regrow.study.task import Task
from regrow.training.checkpoint import load_weights, save_weights
from regrow.training.compute import Compute
from regrow.training.interventions import Intervention
from regrow.training.loop import Part, Trained, train
from regrow.training.machine import apply
from regrow.training.ranks import run_ranks, this_rank
from regrow.training.trial import Make, choose, seconds_per_step

Result = dict[str, Any]

NORM_BATCHES = 20
"""Batches of training examples from which norm statistics are re-estimated."""
NORM_BATCH = 200


def train_network(task: Task) -> Result:
    """Train: in this process, or over several devices in processes of their own, which are gone when it ends."""
    compute = Compute.from_json(task.stage.settings["compute"])
    if compute.devices == 1:
        return train_here(task)
    result: Result = run_ranks(
        [sys.executable, "-m", "regrow.study.rank", str(task.store.root)],
        devices=compute.devices,
        request=json.dumps(task.stage.to_json()),
        tell=task.tell,
        environment=rank_environment(task.stage, compute),
    )
    return result


def rank_environment(stage: Stage, compute: Compute) -> dict[str, str]:
    """What the processes of a training over several devices find in their environment before they load torch."""
    threads = {"OMP_NUM_THREADS": str(compute.threads), "MKL_NUM_THREADS": str(compute.threads)}
    return threads | ({"CUDA_VISIBLE_DEVICES": stage.local[GPUS]} if GPUS in stage.local else {})


def train_here(task: Task) -> Result:
    """Train in this process, or take part in a training of several; a loss that is no longer finite is a result too, so that it is found
    once and reported plainly."""
    compute = _compute(task)
    begin = start(task)
    hand = _intervention(task, begin)
    try:
        trained = _trained(task, begin, hand, compute)
    except DivergenceError as error:
        return {"diverged": True, "message": str(error)}
    if this_rank() == 0:
        _keep(task, begin, hand)
    last = trained.history[-1] if trained.history else {}
    return {
        "diverged": False,
        "history": trained.history,
        "validation_loss": last.get("validation_loss"),
        "validation_accuracy": last.get("validation_accuracy"),
        "train_accuracy": last.get("train_accuracy"),
        "train_seconds": trained.train_seconds,
        "steps": trained.steps,
        "examples": trained.examples,
    }


def _intervention(task: Task, begin: Start) -> Intervention | None:
    """What takes a hand in the training: a mask that is held, or a method's own way of pruning."""
    if begin.masks is not None:
        return Holding(begin.masks)
    method = task.stage.settings.get("method")
    if method is None:
        return None
    if method["name"] == "gradual":
        steps = task.recipe.epochs * steps_of(task)
        schedule = cubic_over(steps, method["fraction"])
        scope: Scope = "layer" if method["scope"] == "group" else "global"
        return Gradual(schedule, skip=tuple(method.get("skip", ())), scope=scope)
    spec = task.spec
    groups = traced(spec, task.access).tracing.groups if is_foreign(spec.name) else channel_groups(begin.network)
    blocks = residual_blocks(begin.network, made_up_images(spec)) if method.get("of") == "blocks" else ()
    return sparsifier(method["name"], method, begin.network, groups, blocks, made_up_images(spec))


def steps_of(task: Task) -> int:
    """Training steps of an epoch."""
    examples, _ = open_training(task.input_folder("data"), "cpu")
    return steps(len(examples), task.recipe.batch)


def _keep(task: Task, begin: Start, hand: Intervention | None) -> None:
    """What later stages read: weights, and what came to be known besides."""
    if task.stage.settings.get("until") is None:
        save_weights(begin.network, task.folder / WEIGHTS)
    if isinstance(hand, Gradual):
        write_masks(task.folder / MASK, hand.masks)
    elif hand is not None and (scales := hand.scales()):
        save_file(scales, task.folder / SCALES)
    if "pruned" in task.stage.inputs and is_foreign(task.spec.name):
        inherited = task.input_folder("pruned") / ARCHITECTURE
        if inherited.exists():
            shutil.copyfile(task.input_file("pruned", ARCHITECTURE), task.folder / ARCHITECTURE)


def _trained(task: Task, begin: Start, hand: Intervention | None, compute: Compute) -> Trained:
    """The network trained in place, on the stage's part of its seed's stream."""
    asked, local, recipe = task.stage.settings, task.stage.local, task.recipe
    read = asked["stream"]
    examples, validation = open_training(task.input_folder("data"), compute.device)
    loader_workers = int(local["loader_workers"])
    return train(
        begin.network,
        stream=open_stream(
            examples,
            recipe.batch,
            read["seed"],
            read["augment"],
            compute.channels_last,
            loader_workers,
            Portion(this_rank(), compute.devices),
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
        intervention=hand,
        start=begin.state,
        part=Part(first_step=asked.get("first_step", 0), stop_at=asked.get("until"), state_file=task.folder / STATE),
    )


def import_dense(task: Task) -> Result:
    """Take over a user's checkpoint, after checking that it fits the network."""
    network = network_at(task.spec, task.access, 0, "to be overwritten")
    load_weights(network, Path(task.stage.local["checkpoint"]))
    save_weights(network, task.folder / WEIGHTS)
    return {"diverged": False, "imported": True}


def evaluate_network(task: Task) -> Result:
    """Accuracy and loss on the test set; which examples were right is kept, one bit each."""
    compute, source = _compute(task), task.input_folder("data")
    network = loaded(task, "weights", task.spec).to(compute.device)
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
    """Seconds of one training step: on one device, whatever the machine shows of those that will share it."""
    compute = Compute.from_json(task.stage.settings["compute"])
    return {"step_seconds": seconds_per_step(task.spec, task.recipe, compute, _builder(task))}


def _builder(task: Task) -> Make:
    return lambda spec, *seed: network_at(spec, task.access, *seed)


def _compute(task: Task) -> Compute:
    compute = Compute.from_json(task.stage.settings["compute"])
    apply(compute)
    return compute
