"""Widths of a network that was pruned elsewhere, read off the shapes of its tensors. Imports no torch.

Along one axis of a tensor lie ranges of groups. A range of L indices that is held by the groups g has, when each keeps w_g of its C_g
channels,

    L * product over g of  w_g / C_g

indices left (two groups hold one range where attention heads and the dimensions inside them do), and an axis is the sum of its ranges
plus what no group holds. Each axis of the small network is one such equation; they are solved one unknown at a time, from the weights
that compute the channels on, and every equation is checked in the end.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod

from regrow.errors import PruningError, did_you_mean
from regrow.networks.groups import Group, Slice

Shape = tuple[int, ...]
_PREFIXES = ("module.", "_orig_mod.")


@dataclass(frozen=True, slots=True)
class Range:
    """Neighbouring indices of an axis that the same groups hold."""

    length: int
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of one tensor, in the dense and in the small network."""

    tensor: str
    axis: int
    dense: int
    small: int
    ranges: tuple[Range, ...]

    def size(self, channels: Sequence[int], widths: Mapping[int, Fraction | int]) -> Fraction:
        """Indices that are left when group g keeps `widths[g]` of `channels[g]`."""
        left = Fraction(self.dense - sum(part.length for part in self.ranges))
        for part in self.ranges:
            left += part.length * prod((Fraction(widths[g]) / channels[g] for g in part.groups), start=Fraction(1))
        return left


def widths_of(
    groups: Sequence[Group], dense: Mapping[str, Shape], small: Mapping[str, Shape]
) -> tuple[tuple[int, ...], ...]:
    """How many channels of every group the small network has, found from the shapes of both by name of the tensor.

    Nearly always one answer. Where shapes alone cannot tell fewer heads from smaller heads, both are given, whole heads first.
    Raises `PruningError` where names differ, where an axis is smaller that no group holds, and where shapes contradict each other: it
    names the tensor, the shape that was expected and the one that was found.
    """
    _check_names(dense, small)
    axes = _axes(groups, dense, small)
    _check_untouched(groups, dense, small)
    channels = [group.channels for group in groups]
    answers: dict[tuple[int, ...], None] = {}
    first: PruningError | None = None
    for assumed in _assumptions(groups, axes):
        try:
            known = _solved(groups, axes, channels, assumed, small)
        except PruningError as error:
            first = first or error
            continue
        answers[tuple(known[index] for index in range(len(groups)))] = None
    if not answers:
        assert first is not None
        raise first
    return tuple(answers)


def _check_names(dense: Mapping[str, Shape], small: Mapping[str, Shape]) -> None:
    missing, more = sorted(set(dense) - set(small)), sorted(set(small) - set(dense))
    if not missing and not more:
        return
    prefix = next((one for one in _PREFIXES if more and all(name.startswith(one) for name in more)), "")
    if prefix:
        hint = f"Its names begin with {prefix!r}: hand over the network inside that wrapper."
    elif any(name.endswith(("_orig", "_mask")) for name in more):
        hint = "It carries masks of torch.nn.utils.prune: call prune.remove on its layers, or hand it over as masks."
    else:
        hint = did_you_mean(more[0], missing).partition("Known: ")[0].strip() if more and missing else ""
    raise PruningError(
        "the small network must have the dense network's tensors, by the same names. "
        f"Missing: {_some(missing)}; not in the dense network: {_some(more)}. {hint}".rstrip()
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (", ".join(names[:5]) or "none") + more


def _axes(groups: Sequence[Group], dense: Mapping[str, Shape], small: Mapping[str, Shape]) -> tuple[Axis, ...]:
    """The axes that groups hold, in the order of the groups: those of the weights that compute the channels come first."""
    held: dict[tuple[str, int], dict[tuple[int, int], list[int]]] = {}
    unclear = set()
    for index, group in enumerate(groups):
        for part in group.slices:
            place = (part.tensor, part.axis)
            if part.tensor not in dense:  # a buffer that is not saved: nothing can be read off it
                continue
            length = part.length(group.channels)
            held.setdefault(place, {}).setdefault((part.start, length), []).append(index)
            if not _even(part, group.channels):
                unclear.add(place)
    for place, ranges in held.items():
        if len(dense[place[0]]) != len(small[place[0]]):
            raise PruningError(_expected(place[0], dense[place[0]], small, "as many axes as the dense network's"))
        spans = sorted(ranges)
        if any(start + length > later for (start, length), (later, _) in itertools.pairwise(spans)):
            unclear.add(place)
    return tuple(
        Axis(
            tensor=tensor,
            axis=axis,
            dense=dense[tensor][axis],
            small=small[tensor][axis],
            ranges=tuple(Range(length, tuple(members)) for (_, length), members in sorted(ranges.items())),
        )
        for (tensor, axis), ranges in held.items()
        if (tensor, axis) not in unclear
    )


def _even(part: Slice, channels: int) -> bool:
    """Whether every channel takes the same number of indices, so that the size says how many there are."""
    return part.order is None or len({part.order.count(channel) for channel in range(channels)}) == 1


def _check_untouched(groups: Sequence[Group], dense: Mapping[str, Shape], small: Mapping[str, Shape]) -> None:
    held = {(part.tensor, part.axis) for group in groups for part in group.slices}
    for name, shape in dense.items():
        if len(shape) != len(small[name]):
            raise PruningError(_expected(name, shape, small, "as many axes as the dense network's"))
        for axis, (size, found) in enumerate(zip(shape, small[name], strict=True)):
            if size != found and (name, axis) not in held:
                reason = f"no group of channels that may go lies along axis {axis}"
                raise PruningError(_expected(name, shape, small, reason))


def _assumptions(groups: Sequence[Group], axes: Sequence[Axis]) -> Iterator[dict[int, int]]:
    """What may be taken for granted of groups that share a range: all heads stay, all that is inside them does, or equally many heads."""
    shared = {index for one in axes for part in one.ranges if len(part.groups) > 1 for index in part.groups}
    outer = {index for index in shared if groups[index].role == "heads"}
    yield {index: groups[index].channels for index in outer}
    if shared:
        yield {index: groups[index].channels for index in shared - outer}
    for heads in range(max((groups[index].channels for index in outer), default=1) - 1, 0, -1):
        yield {index: min(heads, groups[index].channels) for index in outer}


def _solved(
    groups: Sequence[Group],
    axes: Sequence[Axis],
    channels: Sequence[int],
    assumed: Mapping[int, int],
    small: Mapping[str, Shape],
) -> dict[int, int]:
    """The width of every group."""
    known = dict(assumed)
    told: dict[int, str] = {}
    before = -1
    while before < len(known):
        before = len(known)
        for one in axes:
            if len(unknown := _unknown(one, known)) == 1:
                (index,) = unknown
                known[index] = _width(one, index, groups, known, channels)
                told[index] = one.tensor
    for index, group in enumerate(groups):
        if index not in known:
            raise PruningError(f"the shapes of the small network do not say how many channels {group.name} keeps")
    for one in axes:
        if one.size(channels, known) != one.small:
            raise PruningError(_contradiction(one, groups, channels, known, told, small))
    return known


def _unknown(one: Axis, known: Mapping[int, int]) -> set[int]:
    return {index for part in one.ranges for index in part.groups} - set(known)


def _width(one: Axis, index: int, groups: Sequence[Group], known: Mapping[int, int], channels: Sequence[int]) -> int:
    """The only unknown of an axis; its size grows with it in equal steps."""
    empty = one.size(channels, {**known, index: 0})
    step = one.size(channels, {**known, index: 1}) - empty
    width = (one.small - empty) / step
    if width.denominator != 1 or not 1 <= width <= channels[index]:
        raise PruningError(
            f"{one.tensor}: axis {one.axis} has {one.small} indices, where the dense network has {one.dense}. Each of the "
            f"{channels[index]} channels of {groups[index].name} takes {step} of them and {empty} are others', so no whole number of "
            f"channels from 1 to {channels[index]} gives {one.small}"
        )
    return int(width)


def _contradiction(
    one: Axis,
    groups: Sequence[Group],
    channels: Sequence[int],
    known: Mapping[int, int],
    told: Mapping[int, str],
    small: Mapping[str, Shape],
) -> str:
    size = one.size(channels, known)
    members = dict.fromkeys(index for part in one.ranges for index in part.groups)
    because = ", ".join(
        f"{groups[index].name} keeps {known[index]} of {channels[index]} channels"
        + (f" ({told[index]} says so)" if index in told else "")
        for index in members
    )
    shape = list(small[one.tensor])
    shape[one.axis] = int(size) if size.denominator == 1 else shape[one.axis]
    return _expected(one.tensor, tuple(shape), small, because)


def _expected(name: str, shape: Shape, small: Mapping[str, Shape], reason: str) -> str:
    return f"{name}: the shape {tuple(shape)} was expected, found {tuple(small[name])}: {reason}"
