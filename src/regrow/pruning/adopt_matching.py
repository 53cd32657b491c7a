"""Which channels of the dense network a network that was pruned elsewhere kept, told by its numbers.

For one group, every tensor whose other axes are settled already is an evidence: a row of numbers for each of the C dense channels and for
each of the w small ones. Two questions are asked in turn:

exact      is each small row bit for bit a dense row, in every tensor where rows repeat at all? Then these channels were kept.
nearest    else, with every number standardised over the channels, which rows point the same way? Pairs are made by their cosine, from the
           largest on, each channel once. Rows of k unrelated numbers reach about sqrt(2 ln C / k) by chance, so the pairs count where
           their median is above 0.3 and above what chance reaches: fine-tuned weights are, fresh ones are not.

Shape suffixes: C = dense channels of the group, W = small ones, F = numbers of one channel in one tensor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from regrow.randomness import generator

Found = Literal["exact", "nearest", "unknown"]
Evidence = tuple[Tensor, Tensor]
"""Numbers of the dense channels [C, F] and of the small ones [W, F], from one tensor."""

_LEAST: Final = 0.3
_DEALS: Final = 20
_AS_GOOD: Final = 0.9
"""Channels are cut out more often than shuffled: pairs in the dense order are taken where they are nearly as alike as the best ones."""

_ENOUGH: Final = 8
"""Rows of which a mean and a deviation say something."""

_NUMBERS: Final = 4096
"""Of one tensor's rows, at most so many evenly spaced numbers are compared by direction."""


@dataclass(frozen=True, slots=True)
class Match:
    """The dense channel of every small channel."""

    channels: tuple[int, ...]
    """In the small network's order; each at most once."""

    how: Found
    cosine: float = 1.0
    """Median cosine of the pairs."""


def match(evidence: Sequence[Evidence], channels: int, width: int) -> Match:
    """The dense channels that the small ones are; the first `width` of them, `unknown`, where nothing can be recognised.

    >>> dense = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> match([(dense, dense[[2, 0]])], channels=3, width=2)
    Match(channels=(2, 0), how='exact', cosine=1.0)
    """
    exact = _exact(evidence, channels, width)
    if exact is not None:
        return Match(exact, "exact")
    nearest = _nearest(evidence, channels)
    return nearest or Match(tuple(range(width)), "unknown", 0.0)


def _exact(evidence: Sequence[Evidence], channels: int, width: int) -> tuple[int, ...] | None:
    possible_WC = np.ones((width, channels), dtype=np.bool_)
    told = False
    for dense_CF, small_WF in evidence:
        ids_C, ids_W = _ids(dense_CF, small_WF)
        equal_WC = ids_W[:, None] == ids_C[None, :]
        if equal_WC.any(axis=1).all():
            possible_WC &= equal_WC
            told = told or len(np.unique(ids_C)) > 1
    if not told or not possible_WC.any(axis=1).all() or not _clear(possible_WC, evidence):
        return None
    return _in_order(possible_WC)


def _ids(dense_CF: Tensor, small_WF: Tensor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Equal rows have equal numbers."""
    numbers: dict[bytes, int] = {}
    found = [
        [numbers.setdefault(row.tobytes(), len(numbers)) for row in _bits(rows, dense_CF.dtype)]
        for rows in (dense_CF, small_WF)
    ]
    return np.array(found[0], dtype=np.int64), np.array(found[1], dtype=np.int64)


def _bits(rows: Tensor, dtype: torch.dtype) -> NDArray[np.uint8]:
    """Rows as bytes; zero and minus zero are one number, so the sign of a zero goes."""
    tidy: NDArray[np.uint8] = (rows.detach().to("cpu", dtype) + 0).contiguous().view(torch.uint8).numpy()
    return tidy


def _clear(possible_WC: NDArray[np.bool_], evidence: Sequence[Evidence]) -> bool:
    """Whether channels that cannot be told apart are the same in every tensor, so that it does not matter which was kept."""
    several = [np.flatnonzero(row) for row in possible_WC if row.sum() > 1]
    alike = {tuple(places.tolist()) for places in several}
    return all(
        bool((dense_CF[list(places)] == dense_CF[places[0]]).all()) for places in alike for dense_CF, _ in evidence
    )


def _in_order(possible_WC: NDArray[np.bool_]) -> tuple[int, ...] | None:
    """One channel a row, of several the first that is free; None where a channel would be needed twice."""
    taken: dict[int, None] = {}
    for row in possible_WC:
        free = next((int(channel) for channel in np.flatnonzero(row) if int(channel) not in taken), None)
        if free is None:
            return None
        taken[free] = None
    return tuple(taken)


def _nearest(evidence: Sequence[Evidence], channels: int) -> Match | None:
    pairs = [_standardised(dense_CF, small_WF) for dense_CF, small_WF in evidence]
    numbers = sum(dense_CF.shape[1] for dense_CF, _ in pairs)
    if numbers < 2 or channels == 1:
        return None
    dense_CF, small_WF = (torch.cat(parts, dim=1) for parts in zip(*pairs, strict=True))
    cosine_WC = _directions(small_WF) @ _directions(dense_CF).T
    cosines = cosine_WC.numpy()
    chosen, reached = pair_up(cosines)
    aligned, along = in_sequence(cosines)
    if along.sum() >= _AS_GOOD * reached.sum():
        chosen, reached = aligned, along
    median = float(np.median(reached))
    if not median > max(_LEAST, _by_chance(dense_CF, small_WF)):
        return None
    return Match(chosen, "nearest", median)


def _standardised(dense_CF: Tensor, small_WF: Tensor) -> Evidence:
    """Both, each less its mean over channels and by its deviation; numbers that are the same in all dense channels tell nothing.

    By their own, because training moves all channels alike: running variances may double.
    """
    step = max(1, -(-dense_CF.shape[1] // _NUMBERS))
    dense_CF, small_WF = (rows.detach().to("cpu", torch.float32)[:, ::step] for rows in (dense_CF, small_WF))
    spread_F = _spread(dense_CF)
    telling_F = spread_F > 0
    dense_CF, small_WF, spread_F = dense_CF[:, telling_F], small_WF[:, telling_F], spread_F[telling_F]
    mean_F = dense_CF.mean(dim=0)
    dense_CF = (dense_CF - mean_F) / spread_F
    if len(small_WF) < _ENOUGH:
        return dense_CF, (small_WF - mean_F) / spread_F
    own_F = _spread(small_WF).clamp_min(torch.finfo(torch.float32).tiny)
    return dense_CF, (small_WF - small_WF.mean(dim=0)) / own_F


def _spread(rows: Tensor) -> Tensor:
    return (rows - rows.mean(dim=0)).square().mean(dim=0).sqrt()


def _by_chance(dense_CF: Tensor, small_WF: Tensor) -> float:
    """A median cosine that pairs of unrelated rows do not reach.

    With many numbers a bound on the largest of C cosines; with few, what is reached when every number is dealt anew to the channels,
    each by itself: mean and four deviations of twenty deals.
    """
    channels, numbers = dense_CF.shape
    bound = (math.sqrt(2 * math.log(channels)) + 1) / math.sqrt(numbers)
    if bound <= _LEAST:
        return bound
    rng = generator("adopt", channels, numbers)
    small_WF = _directions(small_WF)
    medians = torch.empty(_DEALS, dtype=torch.float64)
    for deal in range(_DEALS):
        order_CF = torch.rand(dense_CF.shape, generator=rng).argsort(dim=0)
        dealt_CF = _directions(dense_CF.gather(0, order_CF))
        medians[deal] = float((small_WF @ dealt_CF.T).amax(dim=1).median())
    return float(medians.mean() + 4 * medians.std())


def _directions(rows: Tensor) -> Tensor:
    return functional.normalize(rows, dim=1)


def pair_up(likeness_WC: NDArray[np.float32]) -> tuple[tuple[int, ...], NDArray[np.float32]]:
    """Pairs from the largest likeness on, each row and column once: the column of every row, and the likeness of every pair.

    >>> pair_up(np.array([[0.9, 0.8, 0.0], [0.95, 0.1, 0.2]], dtype=np.float32))[0]
    (1, 0)
    """
    left = likeness_WC.copy()
    chosen = np.full(len(left), -1, dtype=np.int64)
    while (chosen < 0).any():
        # A pair that is the best of its row and of its column is the next one that either can get: many are, at a time.
        column_W, row_C = left.argmax(axis=1), left.argmax(axis=0)
        rows = np.flatnonzero((row_C[column_W] == np.arange(len(left))) & (chosen < 0))
        chosen[rows] = column_W[rows]
        left[rows], left[:, chosen[rows]] = -np.inf, -np.inf
    return tuple(chosen.tolist()), likeness_WC[np.arange(len(left)), chosen]


def in_sequence(likeness_WC: NDArray[np.float32]) -> tuple[tuple[int, ...], NDArray[np.float32]]:
    """The most alike pairs whose columns increase with the rows: the column of every row, and the likeness of every pair.

        best[i, j] = max(best[i, j - 1], best[i - 1, j - 1] + likeness[i, j])

    the alignment of Needleman & Wunsch 1970 in which every row has a partner. There are at least as many columns as rows.

    >>> in_sequence(np.array([[0.9, 0.8, 0.0], [0.95, 0.1, 0.2]], dtype=np.float32))[0]
    (0, 2)
    """
    rows, columns = likeness_WC.shape
    best = np.full((rows + 1, columns + 1), -np.inf)
    best[0] = 0
    for row in range(rows):
        best[row + 1, 1:] = np.maximum.accumulate(best[row, :-1] + likeness_WC[row])
    chosen, column = [0] * rows, columns
    for row in range(rows, 0, -1):
        while best[row, column] == best[row, column - 1]:
            column -= 1
        column -= 1
        chosen[row - 1] = column
    return tuple(chosen), likeness_WC[np.arange(rows), chosen]
