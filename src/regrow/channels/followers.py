"""Followers: what else is sized like the network, carved along with it: weight averages (EMA, SWA) and optimiser state.

An average has the network's shapes and other weights, so the same architecture applies. An optimiser keeps tensors shaped like each
parameter (momentum buffers, moments); they lose the same rows and columns, so training goes on as it would have.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from regrow.channels.architecture import Architecture
from regrow.channels.carve import carve
from regrow.channels.masks import axis_masks, named_tensors
from regrow.errors import PruningError

ModuleT = TypeVar("ModuleT", bound=nn.Module)
OptimizerT = TypeVar("OptimizerT", bound=torch.optim.Optimizer)


def carve_average(average: ModuleT, architecture: Architecture) -> ModuleT:
    """The small average of an averaged copy of the dense network; `average` is left as it is.

    `average` is a network, or a wrapper that holds one as `.module`, such as `torch.optim.swa_utils.AveragedModel`, whose own
    counters are copied.
    """
    inner = getattr(average, "module", None)
    if not isinstance(inner, nn.Module):
        small: Any = carve(average, architecture, other_weights=True)
        return small  # type: ignore[no-any-return]
    # deepcopy takes what the memo holds instead of copying it.
    return copy.deepcopy(average, {id(inner): carve(inner, architecture, other_weights=True)})


def carve_optimizer(
    optimizer: OptimizerT, network: nn.Module, small: nn.Module, architecture: Architecture
) -> OptimizerT:
    """A copy of an optimiser that trains the small network and goes on from the same state; `optimizer` is left as it is.

    Settings of its parameter groups and step counts are copied, tensors shaped like a parameter are cut as it was, and factored
    ones (size 1 along an axis) along the axes that they have. Parameters that are not the network's (of a loss, say) stay with both
    optimisers. Hooks and learning-rate schedulers follow the old optimiser: attach new ones. Raises `PruningError` for state that
    is sized in another way.
    """
    masks = axis_masks(network, architecture)
    heirs = named_tensors(small)
    memo: dict[int, Any] = {id(one): one for group in optimizer.param_groups for one in group["params"]}
    for name, parameter in network.named_parameters():
        memo[id(parameter)] = heirs[name]
        axes = {axis: keep.nonzero().flatten() for axis, keep in masks.get(name, {}).items()}
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                memo[id(value)] = _cut_state(value, parameter, axes, f"{key} of {name}")
    return copy.deepcopy(optimizer, memo)


def _cut_state(value: Tensor, parameter: Tensor, axes: Mapping[int, Tensor], what: str) -> Tensor:
    """A copy of one tensor of the state, cut along the axes that it shares with its parameter."""
    if value.numel() == 1:  # a step count
        return value.detach().clone()
    fits = value.ndim == parameter.ndim and all(
        size in (1, whole) for size, whole in zip(value.shape, parameter.shape, strict=True)
    )
    if not fits:
        raise PruningError(
            f"{what} has shape {tuple(value.shape)}, its parameter {tuple(parameter.shape)}: regrow cannot tell which of it "
            "belongs to which channel. Start a new optimiser for the small network."
        )
    block = value.detach().clone()
    for axis, positions in axes.items():
        if value.shape[axis] == parameter.shape[axis]:
            block = block.index_select(axis, positions.to(block.device))
    return block
