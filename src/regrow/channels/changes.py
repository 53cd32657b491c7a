"""Changes: what two architectures of one network keep differently, and how wide their groups are."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from regrow.channels.architecture import Architecture, KeptChannels
from regrow.errors import PruningError


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupChange:
    """One group that two architectures keep differently."""

    group: str
    channels: int
    """Channels of the group in the dense network."""

    first: tuple[int, ...]
    """Indices that only the first keeps."""

    second: tuple[int, ...]
    """Indices that only the second keeps."""

    both: int
    """How many indices both keep."""

    def __str__(self) -> str:
        counts = f"{self.both + len(self.first)} and {self.both + len(self.second)} of {self.channels}"
        return f"{self.group}: {counts}; only the first keeps {_ranges(self.first)}, only the second {_ranges(self.second)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What two architectures of one network keep differently; false where they keep the same."""

    groups: tuple[GroupChange, ...]
    """The groups that differ, in forward order."""

    compared: int
    """How many groups were compared."""

    first_removed: tuple[str, ...] = ()
    """Blocks that only the first removes whole."""

    second_removed: tuple[str, ...] = ()
    """Blocks that only the second removes whole."""

    def __bool__(self) -> bool:
        return bool(self.groups or self.first_removed or self.second_removed)

    def __str__(self) -> str:
        head = f"{len(self.groups)} of {self.compared} groups differ"
        if not self.groups:
            head = f"the same channels are kept in all {self.compared} groups"
        sides = (("first", self.first_removed), ("second", self.second_removed))
        blocks = [f"  only the {side} removes the blocks {', '.join(names)}" for side, names in sides if names]
        return "\n".join([head, *(f"  {change}" for change in self.groups), *blocks])


def to_widths(architecture: Architecture) -> dict[str, int]:
    """Channels kept, by name of the group, in forward order; 0 where the group vanished with its block."""
    return {entry.group: 0 if architecture.vanishes(entry) else len(entry.indices) for entry in architecture.kept}


def diff(first: Architecture, second: Architecture) -> Difference:
    """Which channels one keeps and the other does not, group by group, and which blocks; printing it gives a line per group.

    Raises `PruningError` for architectures of networks with other groups. Other weights of the same network (another seed) are fine.
    """
    groups = [(entry.group, entry.channels) for entry in first.kept]
    others = [(entry.group, entry.channels) for entry in second.kept]
    if groups != others:
        here, there = next(pair for pair in itertools.zip_longest(groups, others) if pair[0] != pair[1])
        raise PruningError(
            f"architectures can be compared when they were made from the same network; one has {_named(here)} "
            f"where the other has {_named(there)}. A small network that was pruned again needs regrow.compose first."
        )
    pairs = zip(first.kept, second.kept, strict=True)
    changes = tuple(_change(one, other) for one, other in pairs if one.indices != other.indices)
    return Difference(
        groups=changes,
        compared=len(groups),
        first_removed=tuple(name for name in first.removed if name not in second.removed),
        second_removed=tuple(name for name in second.removed if name not in first.removed),
    )


def _change(one: KeptChannels, other: KeptChannels) -> GroupChange:
    first, second = set(one.indices), set(other.indices)
    return GroupChange(
        group=one.group,
        channels=one.channels,
        first=tuple(sorted(first - second)),
        second=tuple(sorted(second - first)),
        both=len(first & second),
    )


def _named(group: tuple[str, int] | None) -> str:
    return f"{group[0]} with {group[1]} channels" if group else "no further group"


def _ranges(indices: tuple[int, ...]) -> str:
    """Indices as people write them.

    >>> _ranges((0, 1, 2, 5, 8, 9)), _ranges(())
    ('0-2, 5, 8-9', 'none')
    """
    runs: list[list[int]] = []
    for index in indices:
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in runs) or "none"
