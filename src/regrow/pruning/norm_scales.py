"""Norm scales: which norm layers hold a group's channels, and where. Read by network slimming and by the criterion `scale`.

Nothing here takes two norms for one: a channel of a residual stream or of a dense block is normalised by several layers, each with a
scale of its own, and all of them are found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from regrow.errors import PruningError
from regrow.networks.groups import Group

_NORMS: Final = (_BatchNorm, _InstanceNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


@dataclass(frozen=True, slots=True, eq=False)
class NormScale:
    """Where one norm layer scales channels of one group."""

    tensor: str
    """Name of the scale, a parameter of one axis."""

    start: int
    """Index of the first of them."""

    channels: Tensor
    """The group's channel that stands at each index from `start` on, int64."""


def is_norm(module: nn.Module) -> bool:
    """Whether a module normalises and then multiplies by its weight: a norm layer of torch, or another library's that is called so.

    Some libraries' norms multiply by 1 + weight, so that a weight of zero scales by one; they are told apart by trying them.
    """
    return isinstance(module, _NORMS) or ("norm" in type(module).__name__.lower() and _vanishes(module))


def _vanishes(module: nn.Module) -> bool:
    """Whether a module gives zeros once its parameters are zero; True where it runs on neither of two usual shapes."""
    zeros = {name: torch.zeros_like(one) for name, one in module.named_parameters()}
    weight = zeros.get("weight")
    if weight is None or weight.ndim != 1:
        return False
    for shape in ((2, len(weight)), (2, len(weight), 3, 3)):
        numbers = torch.linspace(-1, 2, torch.Size(shape).numel()).square().reshape(shape)
        try:
            with torch.no_grad():
                output = functional_call(module, zeros, (numbers.to(weight),))
        except (RuntimeError, ValueError, IndexError):
            continue
        return not bool(output.any())
    return True


def norm_scales(network: nn.Module, group: Group) -> tuple[NormScale, ...]:
    """Every scale of a norm layer that holds channels of the group; empty where no norm does."""
    found = []
    for part in group.slices:
        owner, _, name = part.tensor.rpartition(".")
        if name != "weight" or part.axis != 0:
            continue
        module = network.get_submodule(owner)
        weight = module._parameters.get(name)  # frozen norms keep theirs as a buffer, which no training moves
        if weight is not None and weight.ndim == 1 and is_norm(module):
            channels = torch.tensor(list(part.channels_at(group.channels)))
            found.append(NormScale(part.tensor, part.start, channels))
    return tuple(found)


def require_norms(network: nn.Module, groups: Sequence[Group], method: str) -> dict[str, tuple[NormScale, ...]]:
    """The norm scales of every group by its name. Raises `PruningError` where a group has none."""
    found = {group.name: norm_scales(network, group) for group in groups}
    lacking = [name for name, scales in found.items() if not scales]
    if lacking:
        shown = ", ".join(lacking[:3]) + (f" and {len(lacking) - 3} more" if len(lacking) > 3 else "")
        raise PruningError(
            f"{method} reads the scales of norm layers, and no norm layer follows {shown}. Use a method that reads weights (l1, taylor), "
            "one with factors of its own (sss), or leave these groups out with prune.skip."
        )
    return found


def absolute_scales(
    tensors: Mapping[str, Tensor], groups: Sequence[Group], norms: Mapping[str, Sequence[NormScale]]
) -> dict[str, Tensor]:
    """Per group, the mean over its norm layers of each channel's absolute scale: scales_C, float64 on the CPU.

    scale[c] = mean over norms n of |gamma_n[c]|
    """
    return {group.name: _mean(tensors, group, norms[group.name]) for group in groups}


def _mean(tensors: Mapping[str, Tensor], group: Group, norms: Sequence[NormScale]) -> Tensor:
    total_C, times_C = (torch.zeros(group.channels, dtype=torch.float64) for _ in range(2))
    for norm in norms:
        here = tensors[norm.tensor].detach().narrow(0, norm.start, len(norm.channels))
        total_C.index_add_(0, norm.channels, here.abs().to("cpu", torch.float64))
        times_C.index_add_(0, norm.channels, torch.ones(len(norm.channels), dtype=torch.float64))
    return total_C / times_C.clamp(min=1)
