"""Composition: two prunings in a row as one architecture.

An architecture counts in the channels of the network that it was made from. When a small network is pruned again, the second
architecture therefore speaks of the small network, and is translated here: position s along an axis of a small tensor is the s-th
position of the dense tensor's axis that the first pruning kept.

Suffix of arrays: R = one row per position of a tensor's axis that a group holds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regrow.channels.architecture import Architecture, Correction, KeptChannels
from regrow.channels.groups import Slice, channel_groups
from regrow.errors import PruningError
from regrow.networks.build import blueprint
from regrow.networks.removed import inside

Axis = tuple[str, int]
"""Name of a tensor, and one of its axes."""

_SHIFT = 2**32


def compose(first: Architecture, second: Architecture) -> Architecture:
    """Prune twice, say it once: the architecture, in channels of the dense network, of a small network that was pruned again.

    `first` leads from the dense network to the small one, `second` from there to the smaller one; carving the result from the
    dense network gives the tensors of carving one after the other. A group of the second that is none of the first (one that the
    first froze, joined with another, or divided) becomes a group of its own. Blocks that either removes are removed. Raises
    `PruningError` where the second cannot have been made from the small network of the first.
    """
    _check_order(first, second)
    entries = _with_slices(first)
    axes = _Axes(entries)
    left = _outside(entries, first.missing)
    found: dict[int, tuple[int, ...]] = {}
    added: list[KeptChannels] = []
    for entry in _outside(_with_slices(second), first.missing):
        home = _home(entry, left, axes) if entry.slices else None
        if not entry.slices:
            continue
        if home is None:
            added.append(_own_group(entry, axes, {one.group for one in (*entries, *added)}))
        else:
            found[home[0]] = home[1]
    kept = [replace(entry, indices=found.get(index, entry.indices)) for index, entry in enumerate(entries)]
    return _composed(first, second, kept, added)


def _outside(entries: Iterable[KeptChannels], missing: Sequence[str]) -> list[KeptChannels]:
    """The entries without their slices in blocks that the small network lacks; none is left of some."""
    return [
        replace(entry, slices=tuple(part for part in entry.slices if not inside(part.tensor, missing)))
        for entry in entries
    ]


def _outermost(removed: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in removed if not inside(name, [other for other in removed if other != name]))


class _Axes:
    """Which positions of the dense tensors the first pruning removed, and the way between old and new positions."""

    def __init__(self, entries: Iterable[KeptChannels]) -> None:
        removed: dict[Axis, list[Tensor]] = {}
        for entry in entries:
            for part in entry.slices:
                removed.setdefault((part.tensor, part.axis), []).append(_removed(entry, part))
        self._removed = {axis: torch.unique(torch.cat(positions)) for axis, positions in removed.items()}
        self._number = {axis: number for number, axis in enumerate(self._removed)}

    def key(self, part: Slice) -> int:
        """A number per axis, to tell positions of different axes apart; -1 for an axis of which nothing was known."""
        return self._number.get((part.tensor, part.axis), -1)

    def to_dense(self, part: Slice, small_R: Tensor) -> Tensor:
        """Positions in the dense tensor of positions in the small one."""
        gone = self._removed.get((part.tensor, part.axis))
        if gone is None:
            return small_R
        return small_R + torch.searchsorted(gone - torch.arange(len(gone)), small_R, right=True)

    def to_small(self, part: Slice, dense_R: Tensor) -> tuple[Tensor, Tensor]:
        """Positions in the small tensor, and which of the given positions are still there."""
        gone = self._removed[(part.tensor, part.axis)]
        before_R = torch.searchsorted(gone, dense_R)
        there_R = ~torch.isin(dense_R, gone)
        return (dense_R - before_R)[there_R], there_R


@dataclass(frozen=True, slots=True)
class _Rows:
    """Positions of the small network that a group holds, in order, and the channel that each belongs to."""

    keys: Tensor
    channels: Tensor


def _channels(part: Slice, channels: int) -> Tensor:
    return torch.tensor(list(part.channels_at(channels)), dtype=torch.int64)


def _removed(entry: KeptChannels, part: Slice) -> Tensor:
    """Positions along the slice's axis that go."""
    gone_R = ~torch.isin(_channels(part, entry.channels), torch.tensor(entry.indices))
    return part.start + gone_R.nonzero().flatten()


def _sorted_rows(keys: Sequence[Tensor], channels: Sequence[Tensor]) -> _Rows:
    keys_R, order_R = torch.sort(torch.cat(list(keys)), stable=True)
    return _Rows(keys_R, torch.cat(list(channels))[order_R])


def _rows_of_second(entry: KeptChannels, axes: _Axes) -> _Rows:
    keys, channels = [], []
    for part in entry.slices:
        channels.append(_channels(part, entry.channels))
        keys.append(axes.key(part) * _SHIFT + part.start + torch.arange(len(channels[-1])))
    return _sorted_rows(keys, channels)


def _rows_of_first(entry: KeptChannels, axes: _Axes) -> _Rows:
    """What is left of a group of the first pruning, in positions of the small network."""
    keys, channels = [], []
    for part in entry.slices:
        all_R = _channels(part, entry.channels)
        small_R, there_R = axes.to_small(part, part.start + torch.arange(len(all_R)))
        keys.append(axes.key(part) * _SHIFT + small_R)
        channels.append(all_R[there_R])
    return _sorted_rows(keys, channels)


def _home(entry: KeptChannels, entries: Sequence[KeptChannels], axes: _Axes) -> tuple[int, tuple[int, ...]] | None:
    """The group of the first pruning that this one is, with the indices that both leave; None where there is none."""
    leader, rows = entry.slices[0], _rows_of_second(entry, axes)
    for index, candidate in enumerate(entries):
        holds = any((part.tensor, part.axis) == (leader.tensor, leader.axis) for part in candidate.slices)
        if not holds or len(candidate.indices) != entry.channels:
            continue
        dense_of = _same_channels(rows, _rows_of_first(candidate, axes), entry.channels)
        if dense_of is not None:
            return index, tuple(sorted(dense_of[channel] for channel in entry.indices))
    return None


def _same_channels(rows: _Rows, others: _Rows, count: int) -> dict[int, int] | None:
    """For each channel of the one group the channel of the other that holds just the same positions; None where some has none."""
    if not torch.equal(rows.keys, others.keys):
        return None
    pairs = set(zip(rows.channels.tolist(), others.channels.tolist(), strict=True))
    dense_of = dict(pairs)
    one_to_one = len(pairs) == len(dense_of) == len(set(dense_of.values())) == count
    return dense_of if one_to_one else None


def _own_group(entry: KeptChannels, axes: _Axes, taken: set[str]) -> KeptChannels:
    """A group of the second pruning with its slices moved to the dense network; gaps that the first left cut them into runs."""
    name = entry.group
    for number in itertools.count(2):
        if name not in taken:
            break
        name = f"{entry.group} ({number})"
    slices = tuple(run for part in entry.slices for run in _runs(part, entry.channels, axes))
    return replace(entry, group=name, slices=slices)


def _runs(part: Slice, channels: int, axes: _Axes) -> list[Slice]:
    """A slice of the small network as slices of the dense one: one per stretch without a gap."""
    held = list(part.channels_at(channels))
    dense = axes.to_dense(part, part.start + torch.arange(len(held))).tolist()
    if dense[-1] - dense[0] + 1 == len(dense):
        return [replace(part, start=dense[0])]
    ends = [place for place in range(1, len(dense)) if dense[place] != dense[place - 1] + 1]
    stretches = itertools.pairwise([0, *ends, len(dense)])
    return [Slice(part.tensor, part.axis, start=dense[low], order=tuple(held[low:high])) for low, high in stretches]


def _with_slices(architecture: Architecture) -> tuple[KeptChannels, ...]:
    """The entries, each with its slices; networks of the zoo know theirs themselves."""
    if architecture.dense is None or all(entry.slices for entry in architecture.kept):
        return architecture.kept
    groups = channel_groups(blueprint(replace(architecture.dense, removed=())))
    return tuple(replace(entry, slices=group.slices) for entry, group in zip(architecture.kept, groups, strict=True))


def _composed(
    first: Architecture, second: Architecture, kept: Sequence[KeptChannels], added: Sequence[KeptChannels]
) -> Architecture:
    declared = not any(entry.slices for entry in first.kept) and not added
    if declared:
        kept = [replace(entry, slices=()) for entry in kept]
    traced_zoo = not declared and first.dense is not None and ":" not in first.dense.name
    composed = Architecture(
        dense=None if traced_zoo else first.dense,
        kept=(*kept, *added),
        corrections=_corrections(first.corrections, second.corrections),
        network=first.network,
        fingerprint=first.fingerprint,
        regrow=second.regrow,
    )
    return composed.without(_outermost((*first.removed, *second.removed)))


def _corrections(first: Iterable[Correction], second: Iterable[Correction]) -> tuple[Correction, ...]:
    """Both, one after the other; a number that is back at its dense value needs none."""
    last = {(one.module, one.attribute): one for one in first}
    for one in second:
        earlier = last.get((one.module, one.attribute))
        if earlier is not None and earlier.small != one.dense:
            raise PruningError(
                f"the second architecture was not made from the small network of the first: there, {one.attribute} of "
                f"{one.module or 'the network'} is {earlier.small}; the second expects {one.dense}"
            )
        last[(one.module, one.attribute)] = replace(one, dense=earlier.dense) if earlier else one
    return tuple(one for one in last.values() if one.dense != one.small)


def _check_order(first: Architecture, second: Architecture) -> None:
    """Refuse two architectures of the same dense network, and what cannot follow the first."""
    for name in second.removed:
        if inside(name, first.missing):
            raise PruningError(
                f"the second architecture removes {name}, which the first has removed already, so it was not made from the small "
                "network of the first. Prune the carved network, or compare the two with regrow.diff."
            )
    small = {entry.group: (entry.channels, len(entry.indices)) for entry in first.kept}
    for entry in second.kept:
        dense, left = small.get(entry.group, (entry.channels, entry.channels))
        if entry.channels == dense != left:
            raise PruningError(
                f"compose takes the architecture of a network and that of the small network pruned again; the second has "
                f"{entry.group} with {dense} channels, which the first reduced to {left}. Prune the carved network, or "
                "compare the two with regrow.diff."
            )
