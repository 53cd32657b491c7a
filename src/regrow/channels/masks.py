"""Masks: an architecture as zeros in a network of full size.

A masked network has the dense network's shapes, names and cost; what the architecture removes is zero, and stays zero while the
network trains. It is for methods that need the full shape (soft pruning, regrowing channels), and for looking at what a removal
does; it is never faster.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from regrow.channels.architecture import Architecture
from regrow.channels.groups import Group, channel_groups, check_groups, keep_masks, surviving
from regrow.errors import PruningError
from regrow.networks.removed import inside


def named_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, tied ones once, under their first name."""
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def axis_masks(network: nn.Module, architecture: Architecture) -> dict[str, dict[int, Tensor]]:
    """Per tensor and axis of the dense network, which positions stay: boolean. Axes that no group touches, and tensors of blocks that the
    architecture removes, are left out.

    Raises `PruningError` where the architecture was made from another network.
    """
    tensors = named_tensors(network)
    groups = surviving(_groups(network, architecture), architecture.missing)
    check_groups(groups, tensors)
    return keep_masks(groups, architecture.indices, tensors)


def _groups(network: nn.Module, architecture: Architecture) -> tuple[Group, ...]:
    """The groups that the architecture carries, or those that a network of the zoo declares."""
    if all(entry.slices for entry in architecture.kept):
        return tuple(Group(entry.group, entry.channels, entry.slices) for entry in architecture.kept)
    groups = channel_groups(network)
    found = [(group.name, group.channels) for group in groups]
    gone = architecture.dense.removed if architecture.dense else ()
    if found != [(entry.group, entry.channels) for entry in architecture.kept if not inside(entry.group, gone)]:
        raise PruningError(
            f"the architecture was made from another network: it has {len(architecture.kept)} groups of "
            f"{sum(entry.channels for entry in architecture.kept)} channels in all, this network {len(groups)} of "
            f"{sum(channels for _, channels in found)}. Pass the dense network that was pruned."
        )
    return groups


def mask_only(network: nn.Module, architecture: Architecture) -> nn.Module:
    """A copy of the dense network, of full shape, in which everything that the architecture removes is zero; `network` is untouched.

    Rows that compute a removed channel, its biases and norm scales, and columns that read it are zero. Gradients there are zero
    too, so optimisers with or without momentum and weight decay leave them zero; and they are zeroed again before every forward
    pass, whatever was loaded or added since. The output equals that of the carved network, except where a statistic over channels
    (LayerNorm, RMSNorm, GroupNorm) or a default attention scale counts the silent ones as well.

    Raises `PruningError` where the architecture was made from another network, and where it removes whole blocks.
    """
    if architecture.removed:
        raise PruningError(
            f"a mask zeroes channels, and this architecture removes whole blocks ({', '.join(architecture.removed[:3])}, ...). "
            "Carve it, or drop the blocks first with regrow.channels.blocks.drop_blocks."
        )
    masks = axis_masks(network, architecture)
    masked = copy.deepcopy(network)
    parameters = dict(masked.named_parameters())
    removed = {
        name: {axis: (~keep).nonzero().flatten() for axis, keep in axes.items() if not keep.all()}
        for name, axes in masks.items()
        if name in parameters
    }
    silence = _Silence({name: axes for name, axes in removed.items() if axes})
    silence(masked, ())
    for name, axes in silence.removed.items():
        if parameters[name].requires_grad:
            parameters[name].register_hook(_Still(axes))  # type: ignore[no-untyped-call]  # torch's is not annotated
    masked.register_forward_pre_hook(silence)
    return masked


class _Silence:
    """Before every forward pass: zero what was removed. A class, so that copies of the network carry it along."""

    def __init__(self, removed: Mapping[str, Mapping[int, Tensor]]) -> None:
        self.removed = dict(removed)

    def __call__(self, module: nn.Module, inputs: Any) -> None:
        del inputs
        parameters = dict(module.named_parameters())
        for name, axes in self.removed.items():
            # `.data`: these zeros change nothing that a backward pass still needs, so autograd need not know of them.
            _zero(parameters[name].data, axes)


class _Still:
    """As a gradient hook: what was removed does not move."""

    def __init__(self, axes: Mapping[int, Tensor]) -> None:
        self.axes = axes

    def __call__(self, gradient: Tensor) -> Tensor:
        return _zero(gradient.clone(), self.axes)


def _zero(tensor: Tensor, axes: Mapping[int, Tensor]) -> Tensor:
    for axis, positions in axes.items():
        tensor.index_fill_(axis, positions.to(tensor.device), 0)
    return tensor
