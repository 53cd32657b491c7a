"""Decisions: from a network, a method and an amount to the channels and blocks that stay. What a study's prune stage rests on.

Whatever the method, the way is the same: scores for every channel (from a criterion, or from what a sparsifier left), the width of
every group (named by the study, or found by a ranking or for a target), and in each group the highest scores stay. Reconstructions
choose channels themselves, and give the layers that read them new weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn

from regrow.channels.blocks import residual_blocks
from regrow.channels.trace import Tracing
from regrow.errors import PruningError, did_you_mean
from regrow.networks.groups import Group
from regrow.pruning.allocation import Allocation, Want, allocate
from regrow.pruning.choice import highest
from regrow.pruning.costs import cost_model
from regrow.pruning.evidence import Criterion
from regrow.pruning.mask_schedule import removed_of
from regrow.pruning.methods import METHODS, Method
from regrow.pruning.scores import score_groups
from regrow.randomness import generator
from regrow.table import load

Batches = Callable[[], Iterable[tuple[Tensor, Tensor]]]

BINS: Final = 40
"""Of a histogram of scales."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The trained network on the table."""

    network: nn.Module
    groups: tuple[Group, ...]
    example: Tensor
    """Images that the network can take, whatever they show."""

    links: tuple[tuple[int, ...], ...] = ()
    tracing: Tracing | None = None
    """Of a network from elsewhere; those of the zoo declare their groups."""


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much goes, and how scores are made."""

    widths: tuple[int, ...] | None = None
    """Channels that every group keeps; None where the rest says how much."""

    remove: str = "channels"
    of: str = "channels"
    fraction: float | None = None
    blocks: tuple[str, ...] = ()
    """Residual blocks that a design names; empty where a ranking, or zeros, say which go."""

    scope: str = "group"
    floor: float = 0.0
    skip: tuple[str, ...] = ()
    reduce: str = "sum"
    normalise: str | None = None

    @classmethod
    def from_json(cls, settings: Mapping[str, Any]) -> Amount:
        """From a prune stage's settings."""
        widths, amount = settings.get("widths"), dict(settings.get("amount", {}))
        amount["blocks"] = tuple(amount.get("blocks", ()))
        plain = {key: settings[key] for key in ("reduce", "normalise") if key in settings}
        asked = {**amount, **plain, "skip": tuple(map(str, settings.get("skip", ())))}
        return cls(widths=None if widths is None else tuple(widths), **asked)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What stays, and what is known about it."""

    kept: dict[str, tuple[int, ...]]
    """Indices that stay, by group."""

    removed: tuple[str, ...] = ()
    """Blocks that go."""

    weights: dict[str, Tensor] = field(default_factory=dict)
    """New tensors of the dense shape, from a reconstruction."""

    notes: tuple[str, ...] = ()
    scales: dict[str, Any] | None = None
    """How the scales of norm layers, or what a sparsifier left, are distributed."""

    errors: tuple[dict[str, Any], ...] = ()
    """How well a reconstruction could fit, layer by layer."""


def decide_channels(
    subject: Subject,
    method: str | Criterion,
    amount: Amount,
    *,
    scales: Mapping[str, Tensor] | None = None,
    batches: Batches | None = None,
    seed: int = 0,
) -> Decision:
    """Which channels, or which blocks, stay.

    `method` is a row of METHODS, or a criterion of somebody else's. `scales` is what a sparsifier left: one number per channel of every
    group, or per block. Raises `PruningError` where nothing or
    everything would go, and where the method cannot be applied to the network.
    """
    if amount.remove == "blocks":
        return _blocks(subject, amount, scales or {})
    if isinstance(method, str) and METHODS[method].kind == "reconstruction":
        return _reconstructed(subject, METHODS[method], amount, batches, seed)
    scores = _of_sparsifier(subject, scales) if scales is not None else _scores(subject, method, amount, batches, seed)
    found = (
        Allocation(widths=amount.widths, reached={}, notes=()) if amount.widths else _allocated(subject, amount, scores)
    )
    kept = {
        group.name: highest(group, width, scores) for group, width in zip(subject.groups, found.widths, strict=True)
    }
    return Decision(kept=kept, notes=(*found.notes, *_collapsed(scales)), scales=_scales(subject, scales))


def _of_sparsifier(subject: Subject, scales: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a sparsifier left; groups that it was told to skip have the best scores that there are."""
    return {group.name: scales.get(group.name, torch.full((group.channels,), torch.inf)) for group in subject.groups}


def _collapsed(scales: Mapping[str, Tensor] | None) -> list[str]:
    """A note where a sparsifier drove everything to zero, so that position alone decides."""
    if not scales or any(bool(scale.any()) for scale in scales.values()):
        return []
    return ["every scale is exactly zero, so nothing but the position of a channel decided: lower prune.strength"]


def _scores(
    subject: Subject, method: str | Criterion, amount: Amount, batches: Batches | None, seed: int
) -> dict[str, Tensor]:
    return score_groups(
        subject.network,
        subject.groups,
        method,
        batches=batches,
        seed=seed,
        reduce=amount.reduce,
        normalise=amount.normalise or "mean",
        example=subject.example,
    )


def _allocated(subject: Subject, amount: Amount, scores: Mapping[str, Tensor]) -> Allocation:
    """The widths that a ranking, or a target, leads to."""
    want = Want(fraction=amount.fraction, of=amount.of, scope=amount.scope, floor=amount.floor, ignore=amount.skip)
    counts = amount.of in ("macs", "params")
    model = cost_model(subject.network, subject.groups, subject.example) if counts else None
    return allocate(subject.groups, subject.links, want, scores=scores, model=model)


def _reconstructed(subject: Subject, row: Method, amount: Amount, batches: Batches | None, seed: int) -> Decision:
    if amount.widths is None:
        raise PruningError('a reconstruction needs the width of every group: use scope = "group"')
    rebuild: Callable[..., Any] = load(row.target)
    numbers = generator(seed, "prune", row.target)
    result = rebuild(subject.network, subject.groups, amount.widths, batches, numbers, subject.example)
    return Decision(
        kept=dict(result.kept),
        weights=dict(result.weights),
        notes=tuple(result.notes),
        errors=tuple(error.to_json() for error in result.errors),
        scales=_scales(subject, None),
    )


def _blocks(subject: Subject, amount: Amount, scales: Mapping[str, Tensor]) -> Decision:
    """Whole residual blocks go: those that a design names, or the ones with the smallest factors."""
    known = [block.name for block in residual_blocks(subject.network, subject.example)]
    if strange := [name for name in amount.blocks if name not in known]:
        raise PruningError(f"{strange[0]} is no block that can go whole. {did_you_mean(strange[0], known)}")
    names = [name for name in known if name in scales]
    factors = torch.stack([scales[name].reshape(()).double() for name in names]) if names else torch.zeros(0)
    if amount.blocks:
        gone = list(amount.blocks)
    elif amount.of == "zeros":
        gone = [name for name, factor in zip(names, factors.tolist(), strict=True) if factor == 0]
    else:
        order = torch.argsort(factors, stable=True).tolist()
        gone = [names[index] for index in sorted(order[: removed_of(len(names), amount.fraction or 0.0)])]
    if not gone:
        least = f"the smallest factor is {float(factors.min()):.3g}" if names else "it has no block that can go"
        raise PruningError(
            f"no block would be removed: {least} of {len(names)}. Raise prune.strength, train longer, or give a larger fraction."
        )
    return Decision(
        kept={group.name: tuple(range(group.channels)) for group in subject.groups},
        removed=tuple(gone),
        scales=histogram({name: scales[name].reshape(1) for name in names}),
    )


def _scales(subject: Subject, scales: Mapping[str, Tensor] | None) -> dict[str, Any] | None:
    """The distribution of what a sparsifier left, or of the norm layers' scales where every group has some."""
    if scales is not None:
        return histogram(scales)
    try:
        found = score_groups(subject.network, subject.groups, "scale", reduce="mean", normalise="none")
    except PruningError:
        return None
    return histogram(found)


def histogram(scales: Mapping[str, Tensor]) -> dict[str, Any]:
    """Counts of absolute scales in equal bins from 0 to the largest, and how many are exactly zero or below a hundredth of it.

    >>> found = histogram({"a": torch.tensor([0.0, 0.001, 1.0])})
    >>> found["zeros"], found["small"], found["counts"][0], found["counts"][-1]
    (1, 2, 2, 1)
    """
    values = torch.cat([scale.flatten().abs().double() for scale in scales.values()])
    largest = float(values.max()) if len(values) else 0.0
    counts = torch.histc(values, bins=BINS, min=0.0, max=largest or 1.0)
    return {
        "channels": len(values),
        "zeros": int((values == 0).sum()),
        "small": int((values < largest / 100).sum()),
        "largest": largest,
        "median": float(values.median()) if len(values) else 0.0,
        "counts": [int(count) for count in counts],
    }
