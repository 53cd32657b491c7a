"""Weight histograms: how the weights of a trained network are distributed, and whether there is a hole around zero.

Magnitude pruning takes the weights near zero away, and fine-tuning moves those that are left only a little; weights that were trained from
scratch under the same mask know of no threshold. Bins are the same for all networks and symmetric about zero, narrow where most weights
lie and wider outside. Weights that a mask removes are left out and counted apart.

Source: Liu et al. 2019, arXiv:1810.05270, appendix on weight distributions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

_SIDE: Final = tuple(
    round(low + step * place, 4)
    for low, step, count in ((0.0, 0.001, 10), (0.01, 0.005, 8), (0.05, 0.025, 6), (0.2, 0.1, 9))
    for place in range(count)
)
"""Edges from zero on: steps of 0.001 to 0.01, of 0.005 to 0.05, of 0.025 to 0.2, of 0.1 to 1."""

EDGES: Final = (*(-edge for edge in reversed(_SIDE[1:])), *_SIDE)
"""Edges of the bins, from -1 to 1."""

NEAR: Final = 1e-3
"""Weights of at most this magnitude are near zero."""

_DIGITS: Final = 6
"""Digits after the point of a bin's share: one weight in a million."""


def histograms(weights: Mapping[str, Tensor], masks: Mapping[str, Tensor], stages: Mapping[str, int]) -> dict[str, Any]:
    """The distribution of all weights together (`all`), and of those of every stage (`stages`, by its number as text).

    `masks` says which weights stay (True), by tensor; tensors without a mask stay whole. `stages` gives the stage of every tensor; empty
    for a network that has none.
    """
    by_stage = {
        str(stage): histogram([(weights[name], masks.get(name)) for name in weights if stages[name] == stage])
        for stage in sorted(set(stages.values()))
    }
    return {"all": histogram([(weights[name], masks.get(name)) for name in weights]), "stages": by_stage}


def histogram(parts: Sequence[tuple[Tensor, Tensor | None]]) -> dict[str, Any]:
    """The distribution of some tensors' weights taken together, each with the mask of what stays of it.

    `weights`: how many are left; `masked`: how many are gone; `mean`, `std` (of the weights that are left, divided by their number) and
    `near_zero` (share of at most `NEAR` in magnitude); `shares`: of every bin of `EDGES`; `below` and `above`: shares outside of them.

    >>> import torch
    >>> found = histogram([(torch.tensor([0.0, -0.5, 2.0, 0.5]), torch.tensor([False, True, True, True]))])
    >>> found["weights"], found["masked"], round(found["mean"], 4), found["near_zero"], round(found["above"], 4)
    (3, 1, 0.6667, 0.0, 0.3333)
    """
    total = sum(weight.numel() for weight, _ in parts)
    kept = _kept(parts)
    if not len(kept):
        return {"weights": 0, "masked": total, "mean": None, "std": None, "near_zero": None} | {
            "shares": [],
            "below": None,
            "above": None,
        }
    counts, _ = np.histogram(kept, EDGES)
    return {
        "weights": len(kept),
        "masked": total - len(kept),
        "mean": float(kept.mean()),
        "std": float(kept.std()),
        "near_zero": float((np.abs(kept) <= NEAR).mean()),
        "shares": [round(float(count) / len(kept), _DIGITS) for count in counts],
        "below": float((kept < EDGES[0]).mean()),
        "above": float((kept > EDGES[-1]).mean()),
    }


def _kept(parts: Sequence[tuple[Tensor, Tensor | None]]) -> NDArray[np.float64]:
    """All weights that stay, one after the other."""
    flat = [(weight if mask is None else weight[mask]).detach().flatten().double().numpy() for weight, mask in parts]
    return np.concatenate([np.empty(0), *flat])


def densities(shares: Sequence[float]) -> list[float]:
    """Share of every bin divided by its width, so that bins of different widths can be drawn beside each other."""
    widths = [high - low for low, high in pairwise(EDGES)]
    return [share / width for share, width in zip(shares, widths, strict=True)]
