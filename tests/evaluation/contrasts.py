"""Contrasts with known answers, for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from regrow.evaluation.contrast import Contrast
from tests.evaluation.samples import Correct


def by_seed(correct: Correct) -> dict[int, Correct]:
    return dict(enumerate(correct))


def noisy(gaps: list[int], images: int = 1000) -> tuple[Correct, Correct]:
    """Arms that differ by these numbers of images, seed by seed; the mistakes themselves do not vary, so the floor is low."""
    a, b = np.ones((2, len(gaps), images), bool)
    for seed, gap in enumerate(gaps):
        a[seed, : 100 + max(-gap, 0)] = False
        b[seed, : 100 + max(gap, 0)] = False
    return a, b


def contrast(gaps: list[int], **changes: Any) -> Contrast:
    """retrain against scratch-b on 1,000 images, 0.1 points each."""
    a, b = noisy(gaps)
    settings: dict[str, Any] = {
        "network": "vgg11",
        "data": "digits",
        "method": "l1",
        "fraction": 0.5,
        "design": "50 %",
        "a": "retrain",
        "b": "scratch-b",
        "correct_a": by_seed(a),
        "correct_b": by_seed(b),
        "convention": "B1",
        "tuned": True,
    }
    return Contrast(**{**settings, **changes})


GAPS = {
    "better by more than the margin": [28, 30, 32, 30, 30],
    "better": [8, 12, 10, 14, 6],
    "better but within the margin": [3, 4, 5, 4, 4],
    "equivalent": [-2, 3, 0, 1, -3],
    "undecided": [-20, 25, 10, -5, 5],
    "worse but within the margin": [-3, -4, -5, -4, -4],
    "worse": [-8, -12, -10, -14, -6],
    "worse by more than the margin": [-28, -30, -32, -30, -30],
}
"""Differences in images out of 1,000 that earn each word at a margin of 1 point."""
