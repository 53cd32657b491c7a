"""From what one run demanded to what can be pruned: atoms, groups, links, corrections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from regrow.channels.equations import settle, system_of
from regrow.channels.families import Families, Place, group_up
from regrow.channels.ids import Demands
from regrow.channels.labels import labels_of
from regrow.channels.module_sizes import read_size
from regrow.channels.sizes import Attribute, Extent, IdArray, parts
from regrow.channels.solve import solve
from regrow.channels.tracing import Tracing


@dataclass(slots=True)
class Attempt:
    """One copy of the network, and what its run demanded."""

    demands: Demands
    copy: nn.Module
    tensors: dict[str, Tensor]
    notes: list[str]


def concluded(attempt: Attempt, on: str, again: Callable[[], Tracing] | None = None) -> Tracing:
    """What the demands of one run come down to; `on` says what it ran on, `again` traces once more."""
    demands = attempt.demands
    places = _places(attempt)
    led = _led(demands)
    produced = {(place.tensor, place.axis) for place in places if led[place.ids].any()}
    attributes = _attributes(attempt)
    extents = _extents(demands)
    for couple in (True, True, True, True, False):
        families = group_up(places, produced, solve(demands), led, extents)
        system = system_of(demands, families, attributes)
        settled = settle(system, couple=couple)
        demands.coupled += settled.coupled
        if not settled.coupled:
            break
    everything = families
    links = tuple(tuple(sorted(link)) for link in settled.links)
    if settled.stay:
        families, links = _without(families, settled.stay, links)
        system = replace(system, families=families)
    return Tracing(
        groups=families.groups,
        links=links,
        notes=tuple(dict.fromkeys([*attempt.notes, *_statistics(demands, families)])),
        on=on,
        again=again,
        _demands=demands,
        _families=families,
        _system=system,
        _places=tuple(places),
        _produced=frozenset(produced),
        _everything=everything,
        _stay=settled.stay,
    )


def _places(attempt: Attempt) -> list[Place]:
    return [
        Place(name, axis, ids)
        for name, tensor in attempt.tensors.items()
        for axis, ids in enumerate(labels_of(tensor).axes)
        if ids is not None
    ]


def _led(demands: Demands) -> NDArray[np.bool_]:
    """Which ids are channels that a weight computes."""
    led = np.zeros(demands.count, dtype=bool)
    for ids in demands.led:
        led[ids] = True
    for _ in range(3):
        for grid in demands.grids:
            if led[grid.cells].any():
                led[grid.rows] = led[grid.columns] = True
            elif led[grid.columns].any() or led[grid.rows].any():
                led[grid.cells] = True
    led[0] = False
    return led


def _attributes(attempt: Attempt) -> dict[Attribute, int]:
    """The values of all attributes that the code spoke of."""
    diary = attempt.demands.diary
    spoken = [equation.expression for equation in attempt.demands.equations]
    spoken += [side for one in diary.comparisons for side in (one.left, one.right)] + list(diary.scales)
    named = {part for expression in spoken for part in parts(expression) if isinstance(part, Attribute)}
    return {one: int(read_size(attempt.copy.get_submodule(one.module), one.path)) for one in named}


def _extents(demands: Demands) -> list[IdArray]:
    """Axes whose lengths the code speaks of."""
    diary = demands.diary
    spoken: list[Any] = [side for equation in demands.equations for side in (equation.expression, equation.target)]
    spoken += [side for one in diary.comparisons for side in (one.left, one.right)] + list(diary.scales)
    found = [part.ids for expression in spoken for part in parts(expression) if isinstance(part, Extent)]
    return list({ids.tobytes(): ids for ids in found}.values())


def _without(
    families: Families, stay: dict[int, str], links: tuple[tuple[int, ...], ...]
) -> tuple[Families, tuple[tuple[int, ...], ...]]:
    """The groups without those that stay, numbered anew."""
    kept = [number for number in range(len(families.groups)) if number not in stay]
    renumber = np.full(len(families.groups) + 1, -1, dtype=np.int64)
    renumber[kept] = np.arange(len(kept))
    groups = tuple(families.groups[number] for number in kept)
    inner = {
        (part.tensor, part.axis)
        for group in groups
        if group.role != "heads"
        for part in group.slices[: group.producers]
    }
    groups = tuple(
        replace(group, role="channels")
        if not {(p.tensor, p.axis) for p in group.slices[: group.producers]} & inner
        else group
        for group in groups
    )
    left = tuple(tuple(int(renumber[member]) for member in link if member not in stay) for link in links)
    fresh = Families(groups, renumber[families.family], families.channel, families.atoms)
    return fresh, tuple(link for link in left if len(link) > 1)


def _statistics(demands: Demands, families: Families) -> list[str]:
    """Norm layers over channels that can go."""
    notes = []
    for ids, what in demands.statistics:
        if any(members for members in families.sizes(ids)):
            notes.append(what)
    return notes
