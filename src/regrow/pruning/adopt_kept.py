"""Kept channels of every group of a network that was pruned elsewhere, one group after the other, and its tensors in the dense order.

A tensor can speak for a group once it is known what the groups on its other axes kept: the first convolution for its own channels, then
the second one, and so on. Channels that stand in another order than in the dense network are put back into it, in every tensor that
holds them, which changes no output.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from regrow.channels.groups import keep_masks
from regrow.networks.groups import Group, Slice
from regrow.pruning.adopt_matching import Evidence, Found, Match, match

_ASKED: Final = 8
"""Tensors that are asked about one group at most: a stream is held by every block."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What was found of all groups."""

    indices: dict[str, tuple[int, ...]]
    """Kept dense channels by name of the group, increasing."""

    how: dict[str, Found]
    cosines: dict[str, float]
    tensors: dict[str, Tensor]
    """The small network's, its channels in the dense order."""

    reordered: tuple[str, ...]
    """Groups whose channels stood in another order."""


def kept_channels(
    groups: Sequence[Group], widths: Sequence[int], dense: Mapping[str, Tensor], small: Mapping[str, Tensor]
) -> Kept:
    """Which dense channels every group of the small network is; `widths` fit the shapes."""
    work = _Work(groups, widths, dense, dict(small))
    while work.open:
        name = next((name for name in work.open if work.speaking(name)), None)
        if name is not None or not work.settle_pair():
            work.settle(name or next(iter(work.open)))
    return Kept(work.indices, work.how, work.cosines, work.tensors, tuple(work.reordered))


class _Work:
    """The groups that are settled so far; small tensors are put into the dense order as it becomes known."""

    def __init__(
        self, groups: Sequence[Group], widths: Sequence[int], dense: Mapping[str, Tensor], small: dict[str, Tensor]
    ) -> None:
        self.dense, self.tensors = dense, small
        self.open = {group.name: group for group in groups}
        self.widths = {group.name: width for group, width in zip(groups, widths, strict=True)}
        self.here: dict[str, list[Group]] = {}
        """Groups of every tensor, with their slices there only."""
        for group in groups:
            for tensor in dict.fromkeys(part.tensor for part in group.slices if part.tensor in dense):
                own = tuple(part for part in group.slices if part.tensor == tensor)
                self.here.setdefault(tensor, []).append(Group(group.name, group.channels, own))
        self.indices: dict[str, tuple[int, ...]] = {}
        self.how: dict[str, Found] = {}
        self.cosines: dict[str, float] = {}
        self.reordered: list[str] = []

    def settle(self, name: str) -> None:
        """Find one group's channels."""
        group, width = self.open[name], self.widths[name]
        found = match([self._rows(name, part) for part in self.speaking(name)], group.channels, width)
        channels = found.channels
        if list(channels) != sorted(channels):
            channels = self._put_in_order(group, found)
        self.indices[name], self.how[name], self.cosines[name] = tuple(sorted(channels)), found.how, found.cosine
        del self.open[name]

    def settle_pair(self) -> bool:
        """Find the channels of two groups that share a range, heads and what is inside them, from the range's single indices."""
        for name, group in self.open.items():
            for part in group.slices:
                twin = self._twin(name, part)
                if twin is not None and self._settled_together(group, part, *twin):
                    return True
        return False

    def _twin(self, name: str, part: Slice) -> tuple[Group, Slice] | None:
        """The only other group that is not settled where `part` lies, if it lies in the same range."""
        unknown = [one for one in self.here.get(part.tensor, []) if not self._known(one, name)]
        if len(unknown) != 1 or part.order is not None:
            return None
        whole = self.open[unknown[0].name]
        length = part.length(self.open[name].channels)
        same = [one for one in unknown[0].slices if (one.axis, one.start, one.order) == (part.axis, part.start, None)]
        return next(((whole, one) for one in same if one.length(whole.channels) == length), None)

    def _settled_together(self, group: Group, part: Slice, other: Group, there: Slice) -> bool:
        length = part.length(group.channels)
        single = Slice(part.tensor, part.axis, part.start)
        members = self.here[part.tensor]
        first = self._first(members)
        both = {group.name: range(group.channels), other.name: range(other.channels)}
        masks = keep_masks(members, {**first, **both}, self.dense)[part.tensor]
        stays = keep_masks(members, first, self.dense)[part.tensor][part.axis]
        dense_PF = _by_channel(_cut(self.dense[part.tensor], masks), single, length, masks[part.axis])
        small_QF = _by_channel(self.tensors[part.tensor], single, length, stays)
        found = match([(dense_PF, small_QF)], len(dense_PF), len(small_QF))
        if found.how == "unknown":
            return False
        for one, place in ((group, part), (other, there)):
            channel_P = _channel_at(place, one.channels, masks[part.axis])
            channel_P = channel_P[channel_P >= 0][list(found.channels)]
            votes = torch.bincount(channel_P, minlength=one.channels)
            chosen = torch.argsort(votes, descending=True, stable=True)[: self.widths[one.name]]
            self.indices[one.name], self.how[one.name] = tuple(sorted(chosen.tolist())), found.how
            self.cosines[one.name] = found.cosine
            del self.open[one.name]
        return True

    def speaking(self, name: str) -> list[Slice]:
        """Where a group is held by a tensor whose other axes are settled; the group itself may lie along one of them."""
        parts = self.open[name].slices
        axes: dict[str, set[int]] = {}
        for part in parts:
            axes.setdefault(part.tensor, set()).add(part.axis)
        alone = [
            part for part in parts if part.tensor in self.here and part.order is None and len(axes[part.tensor]) == 1
        ]
        return [part for part in alone if all(self._known(one, name) for one in self.here[part.tensor])][:_ASKED]

    def _known(self, group: Group, name: str) -> bool:
        """Settled, the one in question, or whole: a group of which all stays need not be asked first."""
        return group.name == name or group.name in self.indices or self.widths[group.name] == group.channels

    def _first(self, members: Sequence[Group]) -> dict[str, Iterable[int]]:
        """Kept channels of groups that are settled, the first ones of all others."""
        return {one.name: self.indices.get(one.name, range(self.widths[one.name])) for one in members}

    def _rows(self, name: str, part: Slice) -> Evidence:
        """Numbers per channel of one tensor, in the dense and in the small network."""
        tensor, group, members = self.dense[part.tensor], self.open[name], self.here[part.tensor]
        first = self._first(members)
        masks = keep_masks(members, {**first, name: range(group.channels)}, self.dense)[part.tensor]
        stays = masks[part.axis]
        dense_CF = _by_channel(_cut(tensor, masks), part, group.channels, stays)
        # The positions that would stay if it were the first channels: the same layout as the small network's.
        stays = keep_masks(members, first, self.dense)[part.tensor][part.axis]
        return dense_CF, _by_channel(self.tensors[part.tensor], part, group.channels, stays)

    def _put_in_order(self, group: Group, found: Match) -> tuple[int, ...]:
        """Sort the small channels in every tensor; where a tensor holds them in an order of its own, they stay as they are."""
        if any(part.order is not None for part in group.slices):
            return found.channels
        order = sorted(range(len(found.channels)), key=lambda place: found.channels[place])
        for tensor in dict.fromkeys(part.tensor for part in group.slices if part.tensor in self.dense):
            self.tensors[tensor] = self._sorted(group, tensor, order)
        self.reordered.append(group.name)
        return tuple(sorted(found.channels))

    def _sorted(self, group: Group, tensor: str, order: Sequence[int]) -> Tensor:
        found = self.tensors[tensor]
        members = self.here[tensor]
        masks = keep_masks(members, self._first(members), self.dense)[tensor]
        for part in group.slices:
            if part.tensor == tensor:
                channel_P = _channel_at(part, group.channels, masks[part.axis])
                found = found.index_select(part.axis, _permuted(channel_P, order).to(found.device))
        return found


def _cut(tensor: Tensor, masks: Mapping[int, Tensor]) -> Tensor:
    for axis, keep in masks.items():
        if not bool(keep.all()):
            tensor = tensor.index_select(axis, keep.nonzero().flatten().to(tensor.device))
    return tensor


def _channel_at(part: Slice, channels: int, stays: Tensor) -> Tensor:
    """The group's channel at every position that stays along the axis; -1 where another group's stands."""
    channel = torch.full((len(stays),), -1)
    length = part.length(channels)
    channel[part.start : part.start + length] = torch.tensor(list(part.channels_at(channels)))
    return channel[stays]


def _by_channel(tensor: Tensor, part: Slice, channels: int, stays: Tensor) -> Tensor:
    """All numbers of each channel in one row."""
    channel_P = _channel_at(part, channels, stays)
    order = torch.argsort(channel_P, stable=True)
    order = order[channel_P[order] >= 0]
    rows = tensor.movedim(part.axis, 0).index_select(0, order.to(tensor.device))
    return rows.reshape(len(set(channel_P.tolist()) - {-1}), -1)


def _permuted(channel_P: Tensor, order: Sequence[int]) -> Tensor:
    """Positions of an axis, those of channel `order[i]` where channel i stood; all others where they were."""
    places = torch.arange(len(channel_P))
    for here, there in enumerate(order):
        places[channel_P == here] = (channel_P == there).nonzero().flatten()
    return places
