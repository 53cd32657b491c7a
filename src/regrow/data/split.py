"""The split: which examples train, which decide (validation), which judge (test). Fixed by a seed, the same for every arm.

Held-out examples are drawn class by class in proportion (stratified). Which ones: those whose number, hashed with the seed,
comes first. So the split depends on no library's generator, and stays what it is when libraries change.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regrow.data.source import Labels
from regrow.files import digest
from regrow.randomness import derive_seed


@dataclass(frozen=True, slots=True)
class Split:
    """Positions in the training files, each part ascending; none stands twice, and without a share they are all of them."""

    train: Labels
    """What networks are trained on."""

    validation: Labels
    """What every choice is made on."""

    test: Labels | None
    """What networks are judged on; None where the data set has a test set of its own."""

    def digest(self) -> str:
        """SHA-256 over the positions of the three parts, 64 hexadecimal digits."""
        test = None if self.test is None else self.test.tolist()
        return digest({"train": self.train.tolist(), "validation": self.validation.tolist(), "test": test})


def split(labels_N: Labels, *, validation: int, test: int | None, seed: int) -> Split:
    """Hold out exactly `test` examples (None: no test set is drawn), then exactly `validation` of the others."""
    left = np.arange(len(labels_N))
    tested = None
    if test is not None:
        tested = draw(labels_N, left, test, seed, "test")
        left = np.setdiff1d(left, tested, assume_unique=True)
    validating = draw(labels_N, left, validation, seed, "validation")
    return Split(np.setdiff1d(left, validating, assume_unique=True), validating, tested)


def draw(labels_N: Labels, positions: Labels, count: int, seed: int, purpose: str) -> Labels:
    """Exactly `count` of `positions`, ascending, from every class in proportion to its share."""
    order = np.asarray([derive_seed(seed, purpose, position) for position in positions.tolist()])
    shuffled = positions[np.argsort(order, kind="stable")]
    classes_M = labels_N[shuffled]
    present = np.unique(classes_M)
    quotas = quota([int((classes_M == label).sum()) for label in present], count)
    chosen: list[NDArray[np.int64]] = [
        shuffled[classes_M == label][:n] for label, n in zip(present, quotas, strict=True)
    ]
    return np.sort(np.concatenate(chosen))


def quota(sizes: list[int], count: int) -> list[int]:
    """`count` shared out in proportion to `sizes`: rounded down, the rest to the largest remainders (ties: the first).

    >>> quota([50, 30, 20], 5)
    [3, 1, 1]
    """
    total = sum(sizes)
    shares = [count * size // total for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda i: -(count * sizes[i] % total))
    for i in by_remainder[: count - sum(shares)]:
        shares[i] += 1
    return shares
