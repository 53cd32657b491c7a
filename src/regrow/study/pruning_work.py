"""The work of prune stages: read a trained network, choose what goes, leave what stays. Run by workers only."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from regrow.channels.architecture import Architecture, write_architecture
from regrow.channels.carve import carve
from regrow.channels.foreign import traced
from regrow.channels.groups import channel_groups
from regrow.channels.verify import verify
from regrow.data.examples import open_training
from regrow.data.stream import open_stream
from regrow.networks.cost import cost_of
from regrow.networks.foreign import made_up_images
from regrow.networks.prunable import prunable_of_zoo
from regrow.networks.sources import Access, is_foreign
from regrow.networks.spec import NetworkSpec
from regrow.pruning.decide import Amount, Subject
from regrow.pruning.evidence import Criterion
from regrow.pruning.foreign_methods import load_method, run_method
from regrow.pruning.guide import Guide
from regrow.pruning.guide_masks import guided_masks
from regrow.pruning.kernel_shares import shares_by_position, shares_by_stage, stages_of
from regrow.pruning.mask_choice import keep_weights
from regrow.pruning.mask_draws import random_masks, shuffled
from regrow.pruning.mask_files import read_masks, write_masks
from regrow.pruning.mask_schedule import Scope, round_targets
from regrow.pruning.method_results import MethodResult
from regrow.pruning.nominal import nominal_macs
from regrow.pruning.prune import prune
from regrow.pruning.random_widths import random_widths
from regrow.pruning.scores import score_weights
from regrow.pruning.sparsity import Masks, apply_masks, collapsed, maskable
from regrow.study.artifacts import ARCHITECTURE, MASK, SCALES, WEIGHTS
from regrow.study.starts import loaded
from regrow.study.task import Task
from regrow.training.checkpoint import save_weights
from regrow.training.compute import Compute
from regrow.training.machine import apply

Result = dict[str, Any]

LOOK_BATCH = 64
"""Examples of a batch that data-driven methods read."""

DESIGNS_OF_CHANNELS = ("random-widths", "guided")
"""Methods that say the widths; of each group's channels those stay that `CHOOSES_WITHIN` scores highest."""

CHOOSES_WITHIN = "l1"

_BY_CHANCE = {"shuffled mask": shuffled, "random mask": random_masks}


def prune_network(task: Task) -> Result:
    """Choose what goes, remove it, and keep the architecture (or the mask) and the inherited weights."""
    clock = time.perf_counter()
    torch.set_num_threads(1)
    if "compute" in task.stage.settings:
        apply(Compute.from_json(task.stage.settings["compute"]))
    subject, asked = _subject(task), task.stage.settings
    if asked["method"] in _BY_CHANCE or asked.get("amount", {}).get("remove") == "weights":
        result = _masked(task, subject)
    elif asked.get("kind") == "whole":
        result = _by_others(task, subject)
    else:
        result = _carved(task, subject)
    return {**result, "prune_seconds": time.perf_counter() - clock}


def _subject(task: Task) -> Subject:
    spec = NetworkSpec.from_json(task.stage.settings["dense"])
    network = loaded(task, "dense", spec)
    if is_foreign(spec.name):
        tracing = traced(spec, task.access).tracing
        return Subject(
            network=network, groups=tracing.groups, links=tracing.links, example=made_up_images(spec), tracing=tracing
        )
    return Subject(network=network, groups=channel_groups(network), example=made_up_images(spec))


def _carved(task: Task, subject: Subject) -> Result:
    """Whole channels or blocks go: the network becomes physically small."""
    asked = task.stage.settings
    amount, method, notes = Amount.from_json(asked), _method(task), list[str]()
    if method in DESIGNS_OF_CHANNELS:
        amount, notes = _designed(task, subject, amount)
        method = CHOOSES_WITHIN
    scales = load_file(task.input_file("dense", SCALES)) if asked.get("scores") == "own training" else None
    dense = NetworkSpec.from_json(asked["dense"])
    architecture, decision = prune(
        subject, dense, method, amount, scales=scales, batches=_batches(task), seed=asked["seed"] or 0
    )
    small = carve(subject.network, architecture)
    if subject.tracing is not None and not decision.removed:
        verify(subject.network, small, architecture, subject.tracing, subject.example)
    if decision.weights:
        small = _with_weights(subject.network, architecture, decision.weights)
    save_weights(small, task.folder / WEIGHTS)
    write_architecture(task.folder / ARCHITECTURE, architecture)
    return {
        "widths": list(architecture.widths),
        "removed": list(decision.removed),
        "notes": [*notes, *decision.notes],
        **({"scales": decision.scales} if decision.scales else {}),
        **({"errors": list(decision.errors)} if decision.errors else {}),
    }


def _designed(task: Task, subject: Subject, amount: Amount) -> tuple[Amount, list[str]]:
    """The amount with the widths of a design, and its notes. A guide's were found before; those by chance are drawn here, by seed."""
    if amount.widths is not None:
        return amount, []
    assert amount.fraction is not None  # a design is asked for a share
    asked = task.stage.settings
    drawn = random_widths(
        subject.network,
        subject.groups,
        subject.links,
        subject.example,
        amount.of,
        amount.fraction,
        amount.skip,
        seed=asked["seed"],
        name=asked["dense"]["name"],
    )
    return replace(amount, widths=drawn.widths), list(drawn.notes)


def _method(task: Task) -> str | Criterion:
    """A row's name, or the function of somebody else's."""
    asked = task.stage.settings
    if "origin" not in asked:
        return str(asked["method"])
    access = Access(trust=task.access.trust, place=task.stage.local.get("method_place", ""))
    return load_method(asked["method"], asked["origin"], access)


def _result(task: Task, subject: Subject) -> MethodResult:
    """What a whole method of somebody else's makes of the network."""
    asked, function = task.stage.settings, _method(task)
    amount = asked.get("amount", {})
    assert callable(function)
    return run_method(
        function,
        subject.network,
        subject.example,
        fraction=amount.get("fraction"),
        widths=asked["widths"],
        batches=_batches(task),
        seed=asked["seed"] or 0,
        scope=amount.get("scope", "group"),
        remove=amount.get("remove", "channels"),
        dense=NetworkSpec.from_json(asked["dense"]),
        traced=subject.tracing,
        name=asked["method"],
    )


def _by_others(task: Task, subject: Subject) -> Result:
    """Channels go by a whole method of somebody else's; what it did is adopted."""
    result = _result(task, subject)
    assert result.architecture is not None  # `remove` was channels
    architecture = result.architecture
    small = carve(subject.network, architecture) if result.weights is None else result.weights
    save_weights(small, task.folder / WEIGHTS)
    write_architecture(task.folder / ARCHITECTURE, architecture)
    return {"widths": list(architecture.widths), "removed": list(architecture.removed), "notes": list(result.notes)}


def _with_weights(network: nn.Module, architecture: Architecture, weights: dict[str, Tensor]) -> nn.Module:
    """The small network with what a reconstruction fitted in place of what the dense network had."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name in weights:
                parameter.copy_(weights[name])
    return carve(network, architecture, other_weights=True)


def _masked(task: Task, subject: Subject) -> Result:
    """Single weights go: shapes stay, a mask says which weights are left."""
    spec = NetworkSpec.from_json(task.stage.settings["dense"])
    network, masks = subject.network, _masks(task, subject)
    if isinstance(masks, MethodResult):
        network, masks = masks.weights or network, masks.masks or {}
    apply_masks(network, masks)
    save_weights(network, task.folder / WEIGHTS)
    write_masks(task.folder / MASK, masks)
    gone = sum(int((~mask).sum()) for mask in masks.values())
    return {
        "widths": list(spec.widths),
        "kept": sum(int(mask.sum()) for mask in masks.values()),
        "total": sum(mask.numel() for mask in masks.values()),
        "layers": {name: int(mask.sum()) for name, mask in masks.items()},
        "nominal_macs": nominal_macs(subject.network, masks, spec.shape),
        "nominal_params": cost_of(subject.network, spec.shape).params - gone,
        **_where_kept(masks, spec),
        "notes": list(collapsed(masks)),
    }


def _where_kept(masks: Masks, spec: NetworkSpec) -> Result:
    """Kept shares by stage and by 3x3 kernel position, of networks that say which stages they have."""
    if is_foreign(spec.name):
        return {}
    stages = stages_of(masks, prunable_of_zoo(spec).groups)
    return {"kernels": shares_by_position(masks, stages), "stage_shares": shares_by_stage(masks, stages)}


def _masks(task: Task, subject: Subject) -> Masks | MethodResult:
    asked = task.stage.settings
    if asked["method"] in _BY_CHANCE:
        like = read_masks(task.input_file("like", MASK))
        return _BY_CHANCE[asked["method"]](like, asked["seed"], asked["method"])
    if asked.get("scores") == "own training":
        return read_masks(task.input_file("dense", MASK))
    if asked.get("kind") == "whole":
        return _result(task, subject)
    names = maskable(subject.network, tuple(asked.get("skip", ())))
    if asked["method"] == "guided-sparsity":
        return _guided(task, subject, names)
    scores = score_weights(
        subject.network,
        names,
        _method(task),
        batches=_batches(task),
        seed=asked["seed"] or 0,
        example=subject.example,
    )
    return _kept(task, scores)


def _guided(task: Task, subject: Subject, names: Iterable[str]) -> Masks:
    """Masks in the proportions of a guide, at places drawn by chance."""
    asked, parameters = task.stage.settings, dict(subject.network.named_parameters())
    return guided_masks(
        {name: tuple(parameters[name].shape) for name in names},
        NetworkSpec.from_json(asked["dense"]),
        Guide.from_json(asked["guide"]),
        fraction=asked["amount"]["fraction"],
        seed=asked["seed"],
    )


def _kept(task: Task, scores: Mapping[str, Tensor]) -> Masks:
    """The masks that keep the highest scores: in one go, or as many as this round's schedule says."""
    asked = task.stage.settings
    amount = asked["amount"]
    scope: Scope = "layer" if amount["scope"] == "group" else "global"
    previous = read_masks(task.input_file("previous", MASK)) if "previous" in task.stage.inputs else None
    if "round" not in asked:
        return keep_weights(scores, fraction=amount["fraction"], scope=scope, pattern=asked.get("pattern", ""))
    number, rounds = asked["round"]["number"], asked["round"]["rounds"]
    sizes = {name: score.numel() for name, score in scores.items()}
    targets = round_targets(
        sizes, rounds, scope=scope, fraction=amount["fraction"], per_round=asked["round"]["per_round"]
    )
    return keep_weights(scores, kept=targets[number - 1], scope=scope, previous=previous)


def _batches(task: Task) -> Any:
    """The training examples that a method may look at, from the start at every call; None where it needs none."""
    asked = task.stage.settings
    if "examples" not in asked:
        return None
    examples, _ = open_training(task.input_folder("data"), asked["compute"]["device"])
    read = asked["stream"]
    batch = min(LOOK_BATCH, asked["examples"])
    stream = open_stream(examples, batch, read["seed"], read["augment"], asked["compute"]["channels_last"])

    def batches() -> Iterable[tuple[Tensor, Tensor]]:
        return islice(stream.epoch(read["epoch"]), -(-asked["examples"] // batch))

    return batches
