"""Sources: what a loader hands to `prepare`, before anything is split or written.

Shape suffixes:  N = examples,  H = height,  W = width,  C = channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Labels: TypeAlias = NDArray[np.int64]
Pixels: TypeAlias = NDArray[np.uint8]

TEST_NAMES: Final = ("test", "val", "validation", "valid")
"""What a test set is called, best first. ImageNet's customary test set is called val; ours is always drawn from train."""

CHUNK: Final = 1024
"""Images that are decoded at a time, so that memory stays bounded."""


@dataclass(frozen=True, slots=True)
class Images:
    """Labelled images that are decoded in order, a chunk at a time."""

    labels: Labels
    """Class of each image."""

    chunks: Callable[[], Iterator[Pixels]]
    """Starts a pass over all images: arrays NHWC."""


@dataclass(frozen=True, slots=True)
class Files:
    """Labelled image files that stay where they are."""

    labels: Labels
    """Class of each file."""

    root: Path
    """Absolute folder that the paths start from."""

    paths: tuple[str, ...]
    """One per example, with forward slashes."""


@dataclass(frozen=True, slots=True)
class Source:
    """A data set as it comes: its training examples, and its test examples where it has some of its own."""

    train: Images | Files
    """Validation is held out from these, and test where `test` is None."""

    test: Images | Files | None
    """The data set's own test set."""


def in_chunks(images: Pixels) -> Callable[[], Iterator[Pixels]]:
    """Passes over images that are in memory already."""
    return lambda: (images[start : start + CHUNK] for start in range(0, len(images), CHUNK))
