"""From atoms to groups: atoms that live in the same axes, equally often, make one group; its channels are chosen among each other.

Every axis that matters has a random number; an atom's signature is the sum of the numbers of all positions that it touches, so two
atoms have one signature exactly when they touch the same axes equally often (up to chance, 1 in 2^64).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from regrow.channels.sizes import IdArray
from regrow.channels.solve import Atoms
from regrow.networks.groups import Group, Slice


@dataclass(frozen=True, slots=True)
class Place:
    """One axis of one tensor of the network."""

    tensor: str
    axis: int
    ids: IdArray


@dataclass(frozen=True, slots=True)
class Families:
    """Groups, and what every atom is in them."""

    groups: tuple[Group, ...]

    family: NDArray[np.int64]
    """Number of the group of every atom; -1 where it belongs to none and stays."""

    channel: NDArray[np.int64]
    """Which channel of its group an atom is."""

    atoms: Atoms

    _known: dict[int, tuple[IdArray, Counter[tuple[int, ...]]]] = field(default_factory=dict, repr=False, compare=False)

    def sizes(self, ids: IdArray) -> Counter[tuple[int, ...]]:
        """How many positions of an axis belong to which groups: {(): 3, (0,): 64, (1, 2): 768}; sorted group numbers."""
        known = self._known.get(id(ids))
        if known is None:
            known = self._known[id(ids)] = (
                ids,
                self._count(ids),
            )  # holding the array keeps its id from being given away
        return known[1]

    def _count(self, ids: IdArray) -> Counter[tuple[int, ...]]:
        here = self.atoms.of(ids)
        found = np.where(here > 0, self.family[here], -1)
        # One number per position for the groups that it belongs to, largest first.
        code = np.zeros(found.shape[1], dtype=np.int64)
        for layer in -np.sort(-found, axis=0):
            code = code * (len(self.groups) + 1) + layer + 1
        _, first, counts = np.unique(code, return_index=True, return_counts=True)
        result: Counter[tuple[int, ...]] = Counter()
        for place, n in zip(first.tolist(), counts.tolist(), strict=True):
            result[tuple(sorted({int(group) for group in found[:, place] if group >= 0}))] += n
        return result

    def extent(self, ids: IdArray, widths: Sequence[int]) -> int:
        """Positions left on an axis when every group keeps as many channels as `widths` says."""
        total = 0
        for members, count in self.sizes(ids).items():
            dense = left = 1
            for group in members:
                dense *= self.groups[group].channels
                left *= widths[group]
            total += count // dense * left
        return total


def group_up(
    places: Sequence[Place],
    produced: AbstractSet[tuple[str, int]],
    atoms: Atoms,
    led: NDArray[np.bool_],
    others: Iterable[IdArray],
) -> Families:
    """Groups of all atoms that some weight produces.

    `led` says of every id whether a weight computes it, `produced` along which axes that is so; `others` are axes that must come out
    in whole groups, too.
    """
    axes = [*(place.ids for place in places), *others]
    signature = np.zeros(atoms.table.shape[1], dtype=np.uint64)
    if axes:
        numbers = np.random.default_rng(0).integers(1, 2**63, size=len(axes), dtype=np.uint64)
        weight = np.repeat(numbers, np.array([len(ids) for ids in axes]))
        for layer in atoms.of(np.concatenate(axes)):
            np.add.at(signature, layer, weight)
    led_atoms = np.zeros(len(signature), dtype=bool)
    for place in places:
        if (place.tensor, place.axis) in produced:
            led_atoms[atoms.of(place.ids[led[place.ids]])] = True
    led_atoms[0] = False
    return _families(places, produced, atoms, signature, led_atoms)


def _families(
    places: Sequence[Place],
    produced: AbstractSet[tuple[str, int]],
    atoms: Atoms,
    signature: NDArray[np.uint64],
    led: NDArray[np.bool_],
) -> Families:
    members = np.flatnonzero(led)
    _, first, inverse, counts = np.unique(
        signature[members], return_index=True, return_inverse=True, return_counts=True
    )
    order = np.empty(len(first), dtype=np.int64)
    order[np.argsort(first, kind="stable")] = np.arange(len(first))
    family = np.full(atoms.table.shape[1], -1, dtype=np.int64)
    family[members] = order[inverse]
    channel = np.zeros_like(family)
    _number_channels(family, channel, members)
    sizes = counts[np.argsort(first, kind="stable")]
    # A group of one channel can lose none.
    single = np.isin(family, np.flatnonzero(sizes == 1)) & (family >= 0)
    family[single] = -1
    slices = _slices(places, produced, atoms, family, channel, sizes)
    return _renumbered(slices, sizes, family, channel, atoms, places, produced)


def _number_channels(family: NDArray[np.int64], channel: NDArray[np.int64], members: NDArray[np.int64]) -> None:
    """Channels of a group are numbered by the ids of their atoms: in the order in which the first tensor holds them."""
    order = members[np.argsort(family[members], kind="stable")]
    groups = family[order]
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]]) if len(groups) else np.empty(0, dtype=np.int64)
    lengths = np.diff(np.r_[starts, len(groups)])
    channel[order] = np.arange(len(groups)) - np.repeat(starts, lengths)


Found = dict[int, list[Slice]]


def _slices(
    places: Sequence[Place],
    produced: AbstractSet[tuple[str, int]],
    atoms: Atoms,
    family: NDArray[np.int64],
    channel: NDArray[np.int64],
    sizes: NDArray[np.int64],
) -> Found:
    """Slices of every group, those that weights produce first."""
    found: Found = {}
    cache: dict[bytes, list[tuple[int, Slice]]] = {}
    ordered = sorted(places, key=lambda place: (place.tensor, place.axis) not in produced)
    for place in ordered:
        here = atoms.of(place.ids)
        key = here.tobytes()
        if key not in cache:
            cache[key] = [
                (group, part)
                for layer in here
                for group, part in _runs(np.where(layer > 0, family[layer], -1), channel[layer], sizes)
            ]
        for group, part in cache[key]:
            found.setdefault(group, []).append(
                Slice(place.tensor, place.axis, part.start, part.repeat, part.tile, part.order)
            )
    return found


def _runs(groups: NDArray[np.int64], channels: NDArray[np.int64], sizes: NDArray[np.int64]) -> list[tuple[int, Slice]]:
    """The stretches of one axis that belong to one group each."""
    if not len(groups) or (groups < 0).all():
        return []
    edges = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1], True])
    result = []
    for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        group = int(groups[start])
        if group >= 0:
            result += [(group, part) for part in _encoded(channels[start:end], int(sizes[group]), start)]
    return result


def _encoded(channels: NDArray[np.int64], n: int, start: int) -> list[Slice]:
    """A stretch of channel numbers as a slice: in order, repeated, tiled, or as it is."""
    length = len(channels)
    if length == n and channels[0] == 0 and channels[-1] == n - 1 and (channels[1:] > channels[:-1]).all():
        return [Slice("", 0, start)]
    if length % n == 0:
        repeat = int(np.argmax(channels != channels[0])) or length
        if n * repeat and length % (n * repeat) == 0:
            tile = length // (n * repeat)
            pattern = np.tile(np.repeat(np.arange(n), repeat), tile)
            if (pattern == channels).all():
                return [Slice("", 0, start, repeat, tile)]
    return [Slice("", 0, start, order=tuple(channels.tolist()))]


def _renumbered(
    slices: Found,
    sizes: NDArray[np.int64],
    family: NDArray[np.int64],
    channel: NDArray[np.int64],
    atoms: Atoms,
    places: Sequence[Place],
    produced: AbstractSet[tuple[str, int]],
) -> Families:
    """Groups by number, in the order of their first producers, with names."""
    registered = {(place.tensor, place.axis): position for position, place in enumerate(places)}
    first = {number: (registered[parts[0].tensor, parts[0].axis], parts[0].start) for number, parts in slices.items()}
    numbers = sorted(slices, key=lambda number: (*first[number], number))
    renumber = np.full(len(sizes) + 1, -1, dtype=np.int64)
    renumber[numbers] = np.arange(len(numbers))
    groups: list[Group] = []
    taken: Counter[str] = Counter()
    for number in numbers:
        parts = slices[number]
        producers = sum((part.tensor, part.axis) in produced for part in parts)
        name = parts[0].tensor.removesuffix(".weight")
        taken[name] += 1
        unique = name if taken[name] == 1 else f"{name}#{taken[name]}"
        groups.append(Group(unique, int(sizes[number]), tuple(parts), max(1, producers)))
    return Families(tuple(_with_roles(groups)), renumber[family], channel, atoms)


def _with_roles(groups: Sequence[Group]) -> list[Group]:
    """Blocks that another group divides are heads: one of their channels takes up several neighbouring positions of a producer."""
    inner: set[tuple[str, int, int]] = set()
    for group in groups:
        for part in group.slices[: group.producers]:
            if part.tile > 1 or part.repeat == 1:
                inner.add((part.tensor, part.axis, part.start))
    return [_with_role(group, inner) for group in groups]


def _with_role(group: Group, inner: set[tuple[str, int, int]]) -> Group:
    parts = group.slices[: group.producers]
    divided = any(part.repeat > 1 and (part.tensor, part.axis, part.start) in inner for part in parts)
    return Group(group.name, group.channels, group.slices, group.producers, "heads") if divided else group
