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
from regrow.errors import ConfigError, Fault, PruningError
from regrow.networks.groups import Group
from regrow.networks.spec import NetworkSpec
from regrow.pruning.allocation import Latency, Want, allocate
from regrow.pruning.costs import CostModel
from regrow.pruning.scores import Batches, Criterion, score_groups
from regrow.pruning.selection import keep_highest
from regrow.pruning.shares import WHERE, Shares, Wish, shares

NO_WEIGHTS = "the network has no weights (meta device): shapes only, the first channels of every group stay"


@dataclass(frozen=True, kw_only=True)
class By:
    """What a criterion is given, and what is done with its scores: the arguments of `score_groups` of these names."""

    batches: Batches | None = None
    example: Any = None
    reduce: str = "sum"
    normalise: str = "mean"


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What the fraction is a share of, where it is not each group's channels: what `regrow.pruning.allocation.allocate` is given."""

    of: str = "channels"
    scope: str = "group"
    floor: float = 0.0
    model: CostModel | None = None
    latency: Latency | None = None


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
    budget: Budget = Budget(),
) -> Choice:
    """The architecture that is left when every group keeps its channels with the highest scores. The network is not changed.

    `dense` says how a study builds the network, where it can; `by` is what the criterion is given; `budget` says what the wish's fraction
    is a share of. Raises `PruningError` where nothing would be removed, where scores are NaN, where examples are missing and where the
    budget cannot be reached, `ConfigError` where the wish names nothing of this network.
    """
    if not traced.groups:
        raise PruningError(_nothing(traced, wish, ()))
    tensors = named_tensors(network)
    modules = [name for name, _ in network.named_modules() if name]
    share = shares(traced.groups, traced.links, wish, [*modules, *tensors])
    empty = any(tensor.is_meta for tensor in tensors.values())
    scores: dict[str, Tensor] = {}
    ranked = budget.scope == "global" or budget.of == "zeros"
    if ranked and not empty:
        scores = score_groups(network, traced.groups, criterion, seed=seed, **vars(by))
    if (budget.of, budget.scope) != ("channels", "group"):
        share = _allocated(traced, wish, budget, scores if ranked and not empty else None)
    if all(width == group.channels for width, group in zip(share.widths, traced.groups, strict=True)):
        raise PruningError(_nothing(traced, wish, share.notes))
    if not (ranked or empty):
        less = [group for group, width in zip(traced.groups, share.widths, strict=True) if width != group.channels]
        scores = score_groups(network, less, criterion, seed=seed, **vars(by))
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


def _allocated(traced: Traced, wish: Wish, budget: Budget, scores: Mapping[str, Tensor] | None) -> Shares:
    """The widths of a budget that is no share of each group's channels."""
    if not isinstance(wish.fraction, (int, float)):
        rule = f"a share per pattern is one of channels of each group; found {dict(wish.fraction)!r} with {budget.of}, {budget.scope}"
        raise ConfigError(faults=[Fault(where=WHERE, key="fraction", rule=rule, hint="Give one number.")])
    want = Want(
        fraction=wish.fraction,
        of=budget.of,
        scope=budget.scope,
        floor=budget.floor,
        ignore=wish.ignore,
        round_to=wish.round_to,
        min_channels=wish.min_channels,
    )
    found = allocate(traced.groups, traced.links, want, scores=scores, model=budget.model, latency=budget.latency)
    return Shares(widths=found.widths, notes=found.notes)


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
