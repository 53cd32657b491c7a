"""Made-up correctness of arms, for tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Correct = NDArray[np.bool_]


def arm(accuracies: list[float], images: int, rng: np.random.Generator) -> Correct:
    """Correctness [S, N]: exactly this share right in each seed, at random places."""
    rows = [rng.permutation(images) < round(share * images) for share in accuracies]
    return np.stack(rows)


def spread_arms(
    seeds: int, rng: np.random.Generator, *, images: int = 400, gap: float = 0.02
) -> tuple[Correct, Correct]:
    """Two arms whose runs differ by far more than examples explain, with the paired difference about `gap`."""
    level = 0.7 + 0.1 * rng.standard_normal(seeds)
    own = 0.12 * rng.standard_normal((2, seeds))
    shares = np.clip([level + gap + own[0], level + own[1]], 0.05, 0.95)
    return arm(list(shares[0]), images, rng), arm(list(shares[1]), images, rng)


def constant_gap(seeds: int, gap: int, images: int = 500) -> tuple[Correct, Correct]:
    """Two arms that differ by exactly `gap` images in every seed, though by other images each time."""
    a, b = np.ones((2, seeds, images), bool)
    for seed in range(seeds):
        a[seed, 20 * seed : 20 * seed + 5] = False
        b[seed, 20 * seed + 10 : 20 * seed + 15 + gap] = False
    return a, b


def flat_arms(gap: int, seeds: int = 3, images: int = 500) -> tuple[Correct, Correct]:
    """Two arms that make the same mistakes in every seed; arm b makes `gap` more."""
    a, b = np.ones((2, seeds, images), bool)
    a[:, :10] = False
    b[:, : 10 + gap] = False
    return a, b
