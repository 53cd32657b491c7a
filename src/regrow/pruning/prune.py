"""Prune: score the channels of every group, keep the highest, write down what is left. The network itself is not changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from regrow.channels.architecture import Architecture, KeptChannels, regrow_version
from regrow.channels.fingerprint import fingerprint
from regrow.channels.groups import channel_groups
from regrow.errors import PruningError
from regrow.networks.groups import Group
from regrow.networks.spec import NetworkSpec
from regrow.pruning.choice import Traced, highest
from regrow.pruning.scores import Batches, score_groups


def prune(
    network: nn.Module,
    dense: NetworkSpec,
    method: str,
    widths: Sequence[int],
    seed: int,
    *,
    batches: Batches | None = None,
    example: Any = None,
) -> Architecture:
    """The architecture that is left when `method` reduces every group of the dense network to its width in `widths`.

    Exactly as many channels stay as `widths` says. `seed` matters to seeded methods only; their draws differ from group to group.
    `batches` and `example` are those of `score_groups`. Raises `PruningError` where widths do not fit, where `dense` does not describe
    the network, where examples are missing, and where scores are NaN.
    """
    groups = channel_groups(network)
    _check(groups, dense, widths)
    scores = score_groups(
        network, groups, method, batches=batches, seed=seed, reduce="first", normalise="none", example=example
    )
    kept = tuple(
        KeptChannels(group=group.name, channels=group.channels, indices=highest(group, width, scores))
        for group, width in zip(groups, widths, strict=True)
    )
    return Architecture(dense=dense, kept=kept, fingerprint=fingerprint(network), regrow=regrow_version())


def prune_traced(
    network: nn.Module,
    traced: Traced,
    dense: NetworkSpec,
    method: str,
    widths: Sequence[int],
    seed: int,
    *,
    batches: Batches | None = None,
    example: Any = None,
) -> Architecture:
    """The same for a network from elsewhere, whose groups were traced; all weights that compute a channel count in its score."""
    _check(traced.groups, dense, widths)
    less = [group for group, width in zip(traced.groups, widths, strict=True) if width != group.channels]
    scores = score_groups(network, less, method, batches=batches, seed=seed, example=example)
    kept = tuple(
        KeptChannels(
            group=group.name,
            channels=group.channels,
            indices=highest(group, width, scores),
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
