"""What the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.training.rank_work import ALL, Done, spread


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Every case of `rank_work` on two devices, done once."""
    folder = tmp_path_factory.mktemp("two")
    return folder, spread(ALL, folder)


@pytest.fixture(autouse=True)
def arithmetic_of_this_process() -> Iterator[None]:
    """One thread, and every switch that training sets for the whole process back where it was."""
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)
    torch.set_flush_denormal(False)
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
