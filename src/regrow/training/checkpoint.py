"""Weights on disk, and checkpoints from which an interrupted training goes on bit for bit. safetensors and JSON, never a pickle.

A checkpoint is two files, `000012.safetensors` and `000012.json` for twelve finished epochs. The JSON is written last, in one
rename, and holds the checksum of the tensors and of itself: a checkpoint is whole, or it is not one. The newest two are kept. No
generator state is needed, since the randomness of every epoch follows from its number.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from regrow.errors import ConfigError, Fault, StoreError
from regrow.files import canonical_json, digest, file_digest, write_atomic
from regrow.training.interventions import Intervention

Row: TypeAlias = dict[str, Any]
"""One epoch of a history."""

KEPT: Final = 2
_NETWORK, _OPTIMIZER, _HAND = "network.", "optimizer.", "intervention."


@dataclass(kw_only=True)
class Progress:
    """How far a training has come."""

    history: list[Row] = field(default_factory=list)
    """One row a finished epoch."""

    train_seconds: float = 0.0
    """Spent on them, interrupted and lost work left out."""


class Checkpoints:
    """The checkpoints of one training, in a folder of their own.

    `run` says which training it is (any JSON value): checkpoints of another one are ignored. `every_seconds` is the least time
    between two checkpoints.
    """

    def __init__(self, folder: Path, run: object, *, every_seconds: float) -> None:
        self._folder, self._run, self._every = folder, digest(run), every_seconds
        self._last = time.monotonic()

    def resume(self, network: nn.Module, optimizer: Optimizer, hand: Intervention | None = None) -> Progress:
        """Bring all three to the newest whole checkpoint; where there is none, leave them as they are."""
        for path in sorted(self._folder.glob("*.json"), reverse=True):
            found = self._read(path)
            if found is not None:
                record, tensors = found
                network.load_state_dict(part_of(tensors, _NETWORK))
                optimizer.state.clear()
                restore_optimizer(optimizer, part_of(tensors, _OPTIMIZER))
                if hand is not None:
                    hand.load_state(part_of(tensors, _HAND))
                return Progress(history=record["history"], train_seconds=record["train_seconds"])
        return Progress()

    def save_if_due(
        self, network: nn.Module, optimizer: Optimizer, progress: Progress, hand: Intervention | None = None
    ) -> None:
        """Write a checkpoint if the last one is old enough. Raises `StoreError` where it cannot be written."""
        if time.monotonic() - self._last < self._every:
            return
        try:
            self._write(network, optimizer, progress, hand)
        except (OSError, SafetensorError) as error:
            raise StoreError(
                f"a checkpoint could not be written to {self._folder}: {error}. Make room or choose another folder with --out, "
                "then run again: training goes on from the checkpoint before."
            ) from error
        self._last = time.monotonic()

    def _write(self, network: nn.Module, optimizer: Optimizer, progress: Progress, hand: Intervention | None) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        tensors = self._folder / f"{len(progress.history):06d}.safetensors"
        part = tensors.with_suffix(".part")
        state = on_cpu(_NETWORK, network.state_dict()) | on_cpu(_OPTIMIZER, optimizer_tensors(optimizer))
        state |= on_cpu(_HAND, hand.state()) if hand is not None else {}
        save_file(state, part)
        record = {
            "run": self._run,
            "tensors": file_digest(part),
            "history": progress.history,
            "train_seconds": progress.train_seconds,
        }
        # Not flushed to the disk: should a power cut lose the end of it, the checksum tells.
        part.replace(tensors)
        write_atomic(tensors.with_suffix(".json"), canonical_json(record | {"record": digest(record)}))
        self._forget()

    def _forget(self) -> None:
        """Remove all but the newest whole checkpoints, and what a killed process left half-written."""
        kept = {path.stem for path in sorted(self._folder.glob("*.json"))[-KEPT:]}
        for path in list(self._folder.iterdir()):
            if path.stem not in kept or path.suffix not in (".json", ".safetensors"):
                path.unlink(missing_ok=True)

    def _read(self, path: Path) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """A checkpoint of this run whose checksums agree, or None."""
        tensors = path.with_suffix(".safetensors")
        try:
            record = json.loads(path.read_text())
            if record.pop("record") != digest(record) or record["run"] != self._run:
                return None
            if record["tensors"] != file_digest(tensors):
                return None
            return record, load_file(tensors)
        except (OSError, ValueError, KeyError, AttributeError, TypeError, SafetensorError):
            return None


def save_weights(network: nn.Module, path: Path) -> None:
    """Write all parameters and buffers to a safetensors file, whole or not at all; equal tensors give equal bytes."""
    write_atomic(path, save(on_cpu("", network.state_dict())))


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill a network from a safetensors file of the same names and shapes; layout, device and dtype stay the network's.

    Raises `ConfigError` with a fault for every tensor that is missing, unexpected or of another shape, and for a file that is
    not safetensors. The network is then unchanged.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        rule = f"must be a readable safetensors file: {error}"
        hint = "Save the state dict with safetensors.torch.save_file; pickled checkpoints (.pt, .pth) are not read."
        raise ConfigError(faults=[Fault(where=str(path), key="", rule=rule, hint=hint)]) from None
    fill(network, tensors, str(path))


def fill(network: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Give a network these tensors; layout, device and dtype stay the network's.

    Raises `ConfigError` with a fault, at `where`, for every tensor that is missing, unexpected or of another shape. The network is then
    unchanged.
    """
    if faults := _misfits(network.state_dict(), tensors, where):
        raise ConfigError(faults=faults)
    network.load_state_dict(dict(tensors))


def _misfits(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], where: str) -> list[Fault]:
    faults = []
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            rule = "is missing; the network has a tensor of this name"
        elif name not in expected:
            rule = "is not a tensor of the network"
        elif expected[name].shape != found[name].shape:
            rule = f"must have shape {list(expected[name].shape)}; found {list(found[name].shape)}"
        else:
            continue
        faults.append(Fault(where=where, key=name, rule=rule))
    return faults


def on_cpu(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous copies on the CPU: safetensors takes neither shared memory (tied weights) nor other layouts."""
    return {
        prefix + name: torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu").copy_(tensor.detach())
        for name, tensor in tensors.items()
    }


def part_of(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimiser's tensors by position of their parameter, e.g. `3.momentum_buffer`."""
    return {
        f"{position}.{key}": value
        for position, parameter in enumerate(_parameters(optimizer))
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser, whose state is empty, the tensors that `optimizer_tensors` found."""
    parameters = _parameters(optimizer)
    for name, tensor in tensors.items():
        position, _, key = name.partition(".")
        parameter = parameters[int(position)]
        # Fused optimisers walk memory in one line, so a buffer must lie in memory as its parameter does.
        like = parameter if tensor.shape == parameter.shape else tensor
        empty = torch.empty_like(like, dtype=tensor.dtype, device=parameter.device, requires_grad=False)
        optimizer.state[parameter][key] = empty.copy_(tensor)


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
