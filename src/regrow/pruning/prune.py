"""Prune: score the channels of every group, keep the highest, write down what is left. The network itself is not changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from regrow.channels.architecture import Architecture, KeptChannels, regrow_version
from regrow.channels.fingerprint import fingerprint
from regrow.channels.groups import channel_groups
from regrow.channels.masks import named_tensors
from regrow.errors import PruningError
from regrow.networks.groups import Group
from regrow.networks.spec import NetworkSpec
from regrow.pruning.choice import Traced, highest
from regrow.pruning.methods import METHODS
from regrow.pruning.scores import named_criterion
from regrow.pruning.selection import keep_highest
from regrow.randomness import generator
from regrow.table import load

Criterion = Callable[[Tensor, torch.Generator], Tensor]


def prune(network: nn.Module, dense: NetworkSpec, method: str, widths: Sequence[int], seed: int) -> Architecture:
    """The architecture that is left when `method` reduces every group of the dense network to its width in `widths`.

    Exactly as many channels stay as `widths` says. `seed` matters to seeded methods only; their draws differ from group to group.
    Raises `PruningError` where widths do not fit, where `dense` does not describe the network, and where scores are NaN.
    """
    groups = channel_groups(network)
    _check(groups, dense, widths)
    criterion: Criterion = load(METHODS[method].target)
    tensors = network.state_dict()
    kept = tuple(
        _kept(group, width, tensors[group.leader.tensor], criterion, generator(seed, "prune", method, group.name))
        for group, width in zip(groups, widths, strict=True)
    )
    return Architecture(dense=dense, kept=kept, fingerprint=fingerprint(network), regrow=regrow_version())


def prune_traced(
    network: nn.Module, traced: Traced, dense: NetworkSpec, method: str, widths: Sequence[int], seed: int
) -> Architecture:
    """The same for a network from elsewhere, whose groups were traced; all weights that compute a channel count in its score."""
    _check(traced.groups, dense, widths)
    tensors = named_tensors(network)
    name, criterion = named_criterion(method)
    kept = tuple(
        KeptChannels(
            group=group.name,
            channels=group.channels,
            indices=highest(group, width, tensors, criterion, (seed, "prune", name, group.name)),
            slices=group.slices,
        )
        for group, width in zip(traced.groups, widths, strict=True)
    )
    return Architecture(
        dense=dense,
        kept=kept,
        corrections=traced.corrections(widths),
        network=f"{type(network).__module__}:{type(network).__qualname__}",
        fingerprint=fingerprint(network),
        regrow=regrow_version(),
    )


def _kept(group: Group, width: int, tensor: Tensor, criterion: Criterion, numbers: torch.Generator) -> KeptChannels:
    weight_C = tensor.movedim(group.leader.axis, 0).narrow(0, group.leader.start, group.channels)
    scores_C = criterion(weight_C, numbers)
    try:
        keep_C = keep_highest(scores_C, group.channels - width)
    except PruningError as error:
        raise PruningError(f"{group.name}: {error}") from None
    return KeptChannels(
        group=group.name, channels=group.channels, indices=tuple(int(index) for index in keep_C.nonzero().flatten())
    )


def _check(groups: Sequence[Group], dense: NetworkSpec, widths: Sequence[int]) -> None:
    found = tuple(group.channels for group in groups)
    if found != dense.widths:
        raise PruningError(
            f"the network's groups have {list(found)} channels, its specification says {list(dense.widths)}"
        )
    if len(widths) != len(groups):
        raise PruningError(
            f"{dense.name} has {len(groups)} channel groups and needs one width for each; found {len(widths)}"
        )
