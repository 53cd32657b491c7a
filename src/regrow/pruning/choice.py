"""Choice: from traced groups to an architecture. How many channels each group keeps, which ones, and what follows in Python numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from regrow.channels.architecture import Architecture, Correction, KeptChannels, regrow_version
from regrow.channels.fingerprint import fingerprint
from regrow.channels.masks import named_tensors
from regrow.channels.pauses import no_collection
from regrow.errors import PruningError
from regrow.networks.groups import Group
from regrow.networks.spec import NetworkSpec
from regrow.pruning.scores import Batches, Criterion, score_groups
from regrow.pruning.selection import keep_highest
from regrow.pruning.shares import Wish, shares

NO_WEIGHTS = "the network has no weights (meta device): shapes only, the first channels of every group stay"


@dataclass(frozen=True, kw_only=True)
class By:
    """What a criterion is given, and what is done with its scores: the arguments of `score_groups` of these names."""

    batches: Batches | None = None
    example: Any = None
    reduce: str = "sum"
    normalise: str = "mean"


class Traced(Protocol):
    """What a choice needs to know of a traced network; `regrow.channels.trace.Tracing` is one."""

    @property
    def groups(self) -> tuple[Group, ...]:
        """The prunable groups, in forward order."""
        ...

    @property
    def links(self) -> tuple[tuple[int, ...], ...]:
        """Indices of groups that must keep the same share."""
        ...

    def corrections(self, widths: Sequence[int]) -> tuple[Correction, ...]:
        """The Python numbers that follow when the groups get these widths."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """An architecture, and what should be known about how it came about."""

    architecture: Architecture
    notes: tuple[str, ...]


@no_collection()
def choose(
    network: nn.Module,
    traced: Traced,
    wish: Wish,
    criterion: str | Criterion = "l1",
    seed: int = 0,
    dense: NetworkSpec | None = None,
    by: By = By(),
) -> Choice:
    """The architecture that is left when every group keeps its channels with the highest scores. The network is not changed.

    `dense` says how a study builds the network, where it can; `by` is what the criterion is given. Raises `PruningError` where nothing
    would be removed, where scores are NaN and where examples are missing, `ConfigError` where the wish names nothing of this network.
    """
    if not traced.groups:
        raise PruningError(_nothing(traced, wish, ()))
    tensors = named_tensors(network)
    modules = [name for name, _ in network.named_modules() if name]
    share = shares(traced.groups, traced.links, wish, [*modules, *tensors])
    if all(width == group.channels for width, group in zip(share.widths, traced.groups, strict=True)):
        raise PruningError(_nothing(traced, wish, share.notes))
    empty = any(tensor.is_meta for tensor in tensors.values())
    less = [group for group, width in zip(traced.groups, share.widths, strict=True) if width != group.channels]
    scores = {} if empty else score_groups(network, less, criterion, seed=seed, **vars(by))
    kept = tuple(
        KeptChannels(
            group=group.name,
            channels=group.channels,
            indices=tuple(range(width)) if empty else highest(group, width, scores),
            slices=group.slices,
        )
        for group, width in zip(traced.groups, share.widths, strict=True)
    )
    architecture = Architecture(
        dense=dense,
        kept=kept,
        corrections=traced.corrections(share.widths),
        network=f"{type(network).__module__}:{type(network).__qualname__}",
        fingerprint=fingerprint(network),
        regrow=regrow_version(),
    )
    return Choice(architecture=architecture, notes=(*share.notes, *([NO_WEIGHTS] if empty else [])))


def highest(group: Group, width: int, scores: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Indices of the channels that stay, by the scores of their group; a group at full width needs none."""
    if width == group.channels:
        return tuple(range(width))
    try:
        keep_C = keep_highest(scores[group.name], group.channels - width)
    except PruningError as error:
        raise PruningError(f"{group.name}: {error}") from None
    return tuple(torch.nonzero(keep_C).flatten().tolist())


def _nothing(traced: Traced, wish: Wish, notes: Sequence[str]) -> str:
    """Why nothing would be removed; a pruning that does nothing is never returned in silence."""
    if not traced.groups:
        frozen = list(dict.fromkeys(one.reason for one in getattr(traced, "frozen", ())))
        why = (
            "".join(f"\n    {line}" for line in frozen[:10])
            or " no weight of it computes channels that are free to go."
        )
        return f"nothing of the network can be pruned:{why}"
    why = "".join(f"\n    {line}" for line in notes[:10])
    return (
        f"nothing would be removed from the {len(traced.groups)} groups: fraction = {wish.fraction!r}, "
        f"ignore = {list(wish.ignore)}, round_to = {wish.round_to}, min_channels = {wish.min_channels}{why}"
    )
