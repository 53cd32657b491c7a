"""Randomness: every random number in regrow comes from a seed that is derived here, and nowhere else.

A seed is a function of what it is for, e.g. `(seed, "order", epoch)`, so an interrupted run needs no generator state to
go on, and two purposes never share numbers. torch is imported only when a generator or a seeded scope is asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive_seed(*purpose: int | str) -> int:
    """A seed in [0, 2**63) for one purpose; equal purposes give equal seeds on every machine.

    >>> derive_seed(0, "order", 3) == derive_seed(0, "order", 3)
    True
    >>> derive_seed(0, "order", 3) == derive_seed(0, "augment", 3)
    False
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in purpose)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*purpose: int | str) -> torch.Generator:
    """A CPU generator seeded for one purpose."""
    import torch

    return torch.Generator().manual_seed(derive_seed(*purpose))


@contextlib.contextmanager
def seeded(*purpose: int | str) -> Iterator[None]:
    """Torch's global CPU generator seeded for one purpose inside the block, and as it was afterwards.

    For code that cannot be handed a generator, such as the constructor of somebody's network.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(*purpose))
        yield


@contextlib.contextmanager
def seeded_everywhere(*purpose: int | str) -> Iterator[None]:
    """The global generators of torch, NumPy and Python seeded for one purpose inside the block, and as they were afterwards.

    For constructors written elsewhere, which may draw from any of them.
    """
    import random

    import numpy as np

    python, numpy, number = random.getstate(), np.random.get_state(), derive_seed(*purpose)  # noqa: NPY002 - as above
    random.seed(number)
    np.random.seed(number % 2**32)  # noqa: NPY002
    try:
        with seeded(*purpose):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
