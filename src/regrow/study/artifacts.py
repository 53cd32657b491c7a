"""Files that stages leave in the store, and how they are read. Imports no torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regrow.study.store import Store

WEIGHTS = "weights.safetensors"
"""train, prune, import: the network's tensors."""

ARCHITECTURE = "architecture.json"
"""prune: which channels were kept."""

MASK = "mask.safetensors"
"""prune, train: which weights of a masked network stay."""

SCALES = "scales.safetensors"
"""train: what a sparsifier left, one number per channel of each group, or per block."""

STATE = "state.safetensors"
"""train: the whole state of a run that was stopped on the way."""

CORRECT = "correct.bits"
"""evaluate: one bit for each test example, in the order of the test set; 1 where the network was right."""


def write_correct(folder: Path, correct: NDArray[np.bool_]) -> None:
    """Keep which test examples were right, bool [examples]."""
    (folder / CORRECT).write_bytes(np.packbits(correct).tobytes())


def read_correct(store: Store, key: str, examples: int) -> NDArray[np.bool_]:
    """Which test examples an evaluated network got right, bool [examples]."""
    bits = np.frombuffer(store.file(key, CORRECT).read_bytes(), dtype=np.uint8)
    return np.unpackbits(bits, count=examples).astype(np.bool_)
