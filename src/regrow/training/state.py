"""The whole state of a training at one step: weights, norm buffers, the optimiser's tensors, where random numbers stand.

A run that was stopped at step k, written here, read again and continued ends with the bits of a run that was not stopped. The
position in the stream of examples is the step itself. One safetensors file, never a pickle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.optim import Optimizer

from regrow.errors import StoreError
from regrow.files import write_atomic
from regrow.training.checkpoint import on_cpu, optimizer_tensors, part_of
from regrow.training.team import own_name

_WEIGHTS, _OPTIMIZER, _GENERATORS = "network.", "optimizer.", "generators."
CPU, CUDA = "cpu", "cuda"


@dataclass(frozen=True, kw_only=True)
class State:
    """What a training begins with, besides its network's own weights when it takes them from elsewhere."""

    weights: Mapping[str, Tensor] = field(default_factory=dict)
    """The network's parameters and buffers by name."""

    optimizer: Mapping[str, Tensor] = field(default_factory=dict)
    """The optimiser's tensors by position of the parameter among those that train, e.g. `3.momentum_buffer`."""

    generators: Mapping[str, Tensor] = field(default_factory=dict)
    """States of torch's generators in the middle of an epoch, by kind of device (and rank, see
    `team.own_name`); empty at an epoch's start, where seeds are new."""


def generators(device: str) -> dict[str, Tensor]:
    """The states of torch's generators that a network on this kind of device draws from."""
    found = {CPU: torch.get_rng_state()}
    return found | ({CUDA: torch.cuda.get_rng_state()} if device == CUDA else {})


def set_generators(states: Mapping[str, Tensor], rank: int = 0) -> None:
    """Put torch's generators where they were, in the process of that rank."""
    cpu, cuda = own_name(CPU, rank), own_name(CUDA, rank)
    if cpu in states:
        torch.set_rng_state(states[cpu])
    if cuda in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states[cuda])


def save_state(path: Path, network: nn.Module, optimizer: Optimizer, numbers: Mapping[str, Tensor]) -> None:
    """Write the state of a training, whole or not at all. `numbers` are states of generators, empty at an epoch's end."""
    tensors = on_cpu(_WEIGHTS, network.state_dict()) | on_cpu(_OPTIMIZER, optimizer_tensors(optimizer))
    write_atomic(path, save(tensors | on_cpu(_GENERATORS, numbers)))


def load_state(path: Path) -> State:
    """Read a state. Raises `StoreError` for a file that is missing or not one."""
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"{path} must be a state that was written by a training: {error}. Train up to it again."
        ) from error
    return State(
        weights=part_of(tensors, _WEIGHTS),
        optimizer=part_of(tensors, _OPTIMIZER),
        generators=part_of(tensors, _GENERATORS),
    )
