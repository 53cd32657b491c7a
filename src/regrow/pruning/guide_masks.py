"""Guided sparsity: masks drawn by chance that keep, at every stage and kernel position, the share that a guide found.

    kept share of a cell = min(1, factor * share(stage, position))

A cell is one position of a tensor's 3x3 kernels, or the whole of a tensor without such kernels, which keeps its stage's share. One
factor for the whole network is found so that the asked number of weights stays, exactly; which weights of a cell stay is drawn. So the
masks carry the pattern that pruning found, and nothing of any trained weight. Their control keeps the same share of every tensor
(method `random`, weights removed); the masks of the network's own magnitudes are method `magnitude`.
Source: "Guided Sparsification" of Liu et al. 2019, arXiv:1810.05270, section 5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from regrow.errors import PruningError
from regrow.networks.spec import NetworkSpec
from regrow.pruning.guide import Guide
from regrow.pruning.guide_widths import fitting_groups
from regrow.pruning.kernel_shares import SIDE, has_positions, stages_of
from regrow.pruning.mask_schedule import removed_of
from regrow.pruning.sparsity import Masks
from regrow.randomness import generator

_HALVINGS: Final = 200
"""Bisections of the factor; a double has been narrowed to its last bit long before."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """Weights that a guide gives one share."""

    tensor: str
    position: int | None
    """Row by row inside the kernel; None for a tensor as a whole."""

    size: int
    share: float


def guided_masks(
    shapes: Mapping[str, Sequence[int]], dense: NetworkSpec, guide: Guide, *, fraction: float, seed: int
) -> Masks:
    """Masks that keep n - removed_of(n, fraction) of all n weights, in the proportions of a guide, at places drawn by chance.

    Args:
        shapes: shape of every tensor that may lose weights, in the network's order.
        dense: the network, one of the zoo, whose groups say what its stages are.
        guide: shares of weights kept.
        fraction: share of weights to REMOVE.
        seed: of the draw.

    Raises `PruningError` where the guide is of channels, of another number of stages, or keeps nothing where more has to stay.
    """
    groups = fitting_groups(guide, dense)
    if guide.weights is None:
        raise PruningError(
            f"the guide holds shares of channels, found by {guide.source.method}, and masks need shares of weights. Make one from a "
            "method that removes weights, e.g. magnitude."
        )
    cells = _cells(shapes, stages_of(shapes, groups), guide)
    total = sum(cell.size for cell in cells)
    counts = _none_empty(cells, _counts(cells, total - removed_of(total, fraction)))
    return {
        name: _drawn(name, shape, cells, counts, generator(seed, "guided-sparsity", dense.name, name))
        for name, shape in shapes.items()
    }


def _cells(shapes: Mapping[str, Sequence[int]], stages: Mapping[str, int], guide: Guide) -> list[_Cell]:
    found = []
    for name, shape in shapes.items():
        stage, size = stages[name], int(np.prod(shape))
        kernel = guide.kernels[stage] if has_positions(shape) else None
        if kernel is None:
            found.append(_Cell(name, None, size, (guide.weights or ())[stage]))
        else:
            flat = [share for row in kernel for share in row]
            found += [_Cell(name, place, size // SIDE**2, share) for place, share in enumerate(flat)]
    return found


def _counts(cells: Sequence[_Cell], wanted: int) -> list[int]:
    """Weights that every cell keeps: in proportion, exact in all, by largest remainders; of equal ones the first."""
    sizes = np.array([cell.size for cell in cells], dtype=np.float64)
    shares = np.array([cell.share for cell in cells], dtype=np.float64)
    most = int(sizes[shares > 0].sum())
    if not 0 < wanted <= most:
        raise PruningError(
            f"{wanted} weights are to stay, and the guide keeps some at {most} places only: at all others its share is 0. Raise "
            "prune.fraction, or use a guide that removed less."
        )
    low, high = 0.0, 1 / float(shares[shares > 0].min())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if (sizes * np.minimum(1, middle * shares)).sum() < wanted else (low, middle)
    exact = sizes * np.minimum(1, high * shares)
    counts = np.minimum(np.floor(exact + 1e-9), sizes).astype(np.int64)
    room = np.where(counts < sizes, exact - counts, -1.0)
    for index in np.argsort(-room, kind="stable")[: wanted - int(counts.sum())]:
        counts[index] += 1
    return [int(count) for count in counts]


def _none_empty(cells: Sequence[_Cell], counts: Sequence[int]) -> list[int]:
    """The same in all, and one weight at least in every tensor: the cell that keeps most gives one up."""
    left = list(counts)
    for name in dict.fromkeys(cell.tensor for cell in cells):
        own = [index for index, cell in enumerate(cells) if cell.tensor == name]
        if not any(left[index] for index in own):
            left[max(own, key=lambda index: cells[index].share)] += 1
            left[left.index(max(left))] -= 1
    return left


def _drawn(
    name: str, shape: Sequence[int], cells: Sequence[_Cell], counts: Sequence[int], numbers: torch.Generator
) -> Tensor:
    """The mask of one tensor: of every cell as many weights as were counted, drawn by chance."""
    flat = torch.zeros(int(np.prod(shape)), dtype=torch.bool)
    for cell, count in zip(cells, counts, strict=True):
        if cell.tensor == name:
            chosen = torch.randperm(cell.size, generator=numbers)[:count]
            flat[chosen if cell.position is None else chosen * SIDE**2 + cell.position] = True
    return flat.view(tuple(shape))
