"""Why channels stay: from each weight whose channels cannot go, back to the demand that keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np

from regrow.channels.families import Families, Place
from regrow.channels.ids import Demands
from regrow.channels.sizes import IdArray
from regrow.channels.solve import components


def frozen_channels(
    demands: Demands,
    families: Families,
    places: Sequence[Place],
    produced: AbstractSet[tuple[str, int]],
    stay: dict[str, str],
) -> list[tuple[str, int, str]]:
    """(tensor, number of its output channels that stay, why) for every weight that has some."""
    united = list(demands.united)
    united += [(grid.cells, np.repeat(grid.rows, len(grid.columns))) for grid in demands.grids]
    united += [(grid.cells, np.tile(grid.columns, len(grid.rows))) for grid in demands.grids]
    away_from_zero = [(one[(one > 0) & (other > 0)], other[(one > 0) & (other > 0)]) for one, other in united]
    label = components(demands.count, away_from_zero, [])
    why = _first_reasons(demands, label)
    result = []
    for place in places:
        if (place.tensor, place.axis) not in produced:
            continue
        atoms = families.atoms.of(place.ids)
        fixed = (families.family[atoms] < 0).all(axis=0)
        if fixed.any():
            reasons = [why.get(int(label[number]), "") for number in place.ids[fixed]]
            reason = next((text for text in reasons if text), "") or next(
                iter(stay.values()), "stands alone: a group of one channel"
            )
            result.append((place.tensor, int(fixed.sum()), reason))
    return result


def _first_reasons(demands: Demands, label: IdArray) -> dict[int, str]:
    why: dict[int, str] = {}
    for entry in demands.frozen:
        for root in np.unique(label[entry.ids]).tolist():
            why.setdefault(root, entry.reason)
    for one, other in demands.united:
        for ids, zero in ((one, other), (other, one)):
            for root in np.unique(label[ids[zero == 0]]).tolist():
                why.setdefault(root, "is tied to positions that stay")
    return why
