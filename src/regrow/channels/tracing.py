"""What one trace of a network found: its channel groups, and what its code makes of other sizes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regrow.channels.architecture import Correction
from regrow.channels.equations import Point, System
from regrow.channels.families import Families, Place
from regrow.channels.ids import Demands, Entry
from regrow.channels.reasons import frozen_channels
from regrow.channels.sizes import IdArray
from regrow.errors import PruningError
from regrow.networks.groups import Group


@dataclass(frozen=True, slots=True)
class Frozen:
    """Channels of a weight that cannot go."""

    what: str
    """The tensor that computes them."""

    channels: int
    reason: str


@dataclass(frozen=True)
class Tracing:
    """What one trace found."""

    groups: tuple[Group, ...]
    """Channels that must go together, in the order in which their first weights are registered."""

    links: tuple[tuple[int, ...], ...]
    """Groups (by number) that must keep the same share of their channels, because the code takes one size for another."""

    notes: tuple[str, ...]
    """What a person should know: statistics that change, modes that could not be traced."""

    on: str
    """`meta` where no numbers were computed, else `values`."""

    again: Callable[[], Tracing] | None
    """Traces the same network once more; tables that its code has filled since then are not made anew."""

    _demands: Demands
    _families: Families
    _system: System
    _places: tuple[Place, ...]
    _produced: frozenset[tuple[str, int]]
    _everything: Families
    _stay: dict[int, str]

    def corrections(self, widths: Sequence[int]) -> tuple[Correction, ...]:
        """The Python numbers that change when every group keeps as many channels as `widths` says.

        Raises `PruningError` for widths at which the network's own code could not run.
        """
        point = self._at(widths)
        dense = self._system.dense
        return tuple(
            Correction(module=key.module, attribute=key.path, dense=dense[key], small=value)
            for key, value in sorted(point.attributes().items(), key=lambda item: (item[0].module, item[0].path))
            if value != dense[key]
        )

    def at(self, widths: Sequence[int]) -> Point:
        """All sizes of the network's code at these widths; raises `PruningError` like `corrections`."""
        return self._at(widths)

    @property
    def journal(self) -> dict[int, Entry]:
        """Calls of PyTorch's interface that read sizes or follow them, by number; see `regrow.channels.silence`."""
        return self._demands.journal

    @property
    def calls(self) -> int:
        """Calls of PyTorch's interface that the traced run made."""
        return self._demands.calls_in_all

    def kept(self, indices: Sequence[Sequence[int]]) -> Callable[[IdArray], NDArray[np.bool_]]:
        """When every group keeps the channels in `indices`: a function that says which positions of an axis stay."""
        stays = [np.zeros(group.channels, dtype=bool) for group in self.groups]
        for flags, chosen in zip(stays, indices, strict=True):
            flags[list(chosen)] = True
        starts = np.cumsum([0, *(len(flags) for flags in stays)])
        flat = np.concatenate(stays) if stays else np.ones(1, dtype=bool)
        member = self._families.family >= 0
        gone = np.zeros(len(member), dtype=bool)
        gone[member] = ~flat[starts[self._families.family[member]] + self._families.channel[member]]
        return lambda ids: np.asarray(~gone[self._families.atoms.of(ids)].any(axis=0), dtype=np.bool_)

    def _at(self, widths: Sequence[int]) -> Point:
        """The sizes at these widths; `PruningError` where they do not fit."""
        if len(widths) != len(self.groups):
            raise PruningError(
                f"the network has {len(self.groups)} channel groups and needs one width for each; found {len(widths)}"
            )
        for group, width in zip(self.groups, widths, strict=True):
            if not 1 <= width <= group.channels:
                raise PruningError(f"{group.name} keeps 1 to {group.channels} channels; asked for {width}")
        point = self._system.at(widths)
        for equation in point.broken():
            members = self._system.groups_in(equation.expression, equation.target)
            names = ", ".join(sorted({self.groups[index].name for index in members}))
            raise PruningError(
                f"these widths do not fit together: {equation.where} computes one size from another ({names}), so these "
                "groups must keep the same share of their channels"
            )
        for comparison in point.turned():
            raise PruningError(
                f"at these widths the network's code takes another path: a comparison of sizes ({comparison.name}) "
                "turns out otherwise. Keep more channels, or ignore the layers around it."
            )
        return point

    def scales(self, widths: Sequence[int]) -> bool:
        """Whether a number that the code computes from sizes, such as 1 / sqrt(head size), changes at these widths."""
        here, dense = self._system.at(widths), self._system.at([group.channels for group in self.groups])
        return any(here.value(scale) != dense.value(scale) for scale in self._system.scales)

    @functools.cached_property
    def frozen(self) -> tuple[Frozen, ...]:
        """Weights with output channels that cannot go, and why."""
        entries = frozen_channels(self._demands, self._everything, self._places, self._produced, self._stay)
        return tuple(Frozen(*entry) for entry in entries)
