"""Randomness: a seed is a function of what it is for."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from regrow.randomness import derive_seed, generator, seeded, seeded_everywhere


def test_a_seed_is_the_same_on_every_machine() -> None:
    # By hand: sha256("int:0<US>str:order<US>int:3"), its first eight bytes, big-endian, shifted right by one bit.
    assert derive_seed(0, "order", 3) == 6520630738536837906


def test_a_seed_fits_torch() -> None:
    assert all(0 <= derive_seed(i) < 2**63 for i in range(200))


PURPOSES = [
    (0, "order", 3),
    (0, "augment", 3),
    (1, "order", 3),
    (0, "order", 4),
    ("0", "order", 3),
    (0, "order"),
    (0, "order3"),
]


def test_no_two_purposes_share_a_seed() -> None:
    assert len({derive_seed(*purpose) for purpose in PURPOSES}) == len(PURPOSES)


def test_two_generators_of_one_purpose_draw_the_same_numbers() -> None:
    first, second = (torch.rand(5, generator=generator(0, "order", 1)) for _ in range(2))
    assert torch.equal(first, second)


def test_a_seeded_block_draws_the_same_numbers_whatever_came_before() -> None:
    def draw() -> torch.Tensor:
        with seeded(7, "dense"):
            return torch.rand(5)

    torch.manual_seed(1)
    first = draw()
    torch.manual_seed(2)
    assert torch.equal(first, draw())


def test_a_seeded_block_leaves_the_global_generator_as_it_was() -> None:
    torch.manual_seed(3)
    expected = torch.rand(5)
    torch.manual_seed(3)
    with seeded(7):
        torch.rand(100)
    assert torch.equal(torch.rand(5), expected)


def test_the_global_generator_is_put_back_after_an_error() -> None:
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="inside"), seeded(7):
        torch.rand(3)
        raise RuntimeError("inside")
    assert torch.equal(torch.get_rng_state(), state)


def _draw() -> tuple[float, float, float]:
    return torch.rand(()).item(), float(np.random.rand()), random.random()  # noqa: NPY002 - what others' code uses


def test_all_global_generators_are_seeded_alike_and_put_back_after_an_error() -> None:
    with seeded_everywhere(3, "nets"):
        first = _draw()
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    expected = _draw()
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    with pytest.raises(RuntimeError, match="inside"), seeded_everywhere(3, "nets"):
        assert _draw() == first
        raise RuntimeError("inside")
    assert _draw() == expected


def test_deriving_a_seed_needs_no_torch() -> None:
    code = "import sys, regrow.randomness as r; r.derive_seed(0); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
