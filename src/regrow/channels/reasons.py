"""Why channels stay: from each weight whose channels cannot go, back to the demand that keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    stay: Mapping[int, str],
) -> list[tuple[str, int, str]]:
    """(tensor, number of its output channels that stay, why) for every weight that has some.

    `families` are all groups, those that stay because of what the code computes (`stay`: number -> reason) included.
    """
    whys = [_first_reasons(demands, label) for label in _ever_wider(demands)]
    result = []
    for place in places:
        if (place.tensor, place.axis) not in produced:
            continue
        groups = families.family[families.atoms.of(place.ids)]
        stays = np.isin(groups, list(stay))
        fixed = ((groups < 0) | stays).all(axis=0)
        if fixed.any():
            texts = [why.get(int(number), "") for why, label in whys for number in label[place.ids[fixed]]]
            texts = [stay[int(group)] for group in groups[stays]] + texts
            reason = next((text for text in texts if text), "stands alone: a group of one channel")
            result.append((place.tensor, int(fixed.sum()), reason))
    return result


def _ever_wider(demands: Demands) -> list[IdArray]:
    """Classes of ids: united ones; with columns of grids; with axes that must be equally long; with rows of grids."""
    inner = [(grid.cells, np.tile(grid.columns, len(grid.rows))) for grid in demands.grids]
    outer = [(grid.cells, np.repeat(grid.rows, len(grid.columns))) for grid in demands.grids]
    pairs = list(demands.united)
    labels = [_classes(demands, pairs)]
    for more in (inner, demands.coupled, outer):
        pairs += more
        labels.append(_classes(demands, pairs))
    return labels


def _classes(demands: Demands, pairs: Sequence[tuple[IdArray, IdArray]]) -> IdArray:
    alive = [(one[(one > 0) & (other > 0)], other[(one > 0) & (other > 0)]) for one, other in pairs]
    return components(demands.count, alive, [])


def _first_reasons(demands: Demands, label: IdArray) -> tuple[dict[int, str], IdArray]:
    why: dict[int, str] = {}
    for entry in demands.frozen:
        for root in np.unique(label[entry.ids]).tolist():
            why.setdefault(root, entry.reason)
    tied = [(pair, "is tied to positions that stay") for pair in demands.united]
    tied += [(pair, "must be as long as an axis that stays") for pair in demands.coupled]
    for (one, other), reason in tied:
        for ids, zero in ((one, other), (other, one)):
            for root in np.unique(label[ids[zero == 0]]).tolist():
                why.setdefault(root, reason)
    return why, label
