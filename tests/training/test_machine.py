"""The process's arithmetic, as `apply` leaves it."""

from __future__ import annotations

import pytest
import torch

from regrow.errors import ConfigError
from regrow.training.compute import Compute
from regrow.training.machine import apply, unchanged


def test_threads_are_as_asked() -> None:
    apply(Compute(threads=2))
    assert torch.get_num_threads() == 2
    apply(Compute(threads=1))
    assert torch.get_num_threads() == 1


def test_algorithms_are_deterministic_and_new_memory_is_left_alone() -> None:
    apply(Compute())
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]


def test_numbers_too_small_to_be_normal_become_zero() -> None:
    tiny = torch.full((64,), 2e-38)
    assert (tiny * 0.25).count_nonzero() == 64
    apply(Compute())
    assert (tiny * 0.25).count_nonzero() == 0


def test_fp32_is_not_cut_short_behind_the_scenes() -> None:
    torch.set_float32_matmul_precision("medium")
    apply(Compute())
    assert torch.get_float32_matmul_precision() == "highest"


def test_a_cuda_device_that_is_not_there_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with pytest.raises(ConfigError, match="got cuda, but PyTorch sees no CUDA device"):
        apply(Compute(device="cuda"))


def test_fewer_cuda_devices_than_asked_for_are_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with pytest.raises(ConfigError, match=r"got 4, and PyTorch sees 2\. Write 2 or less"):
        apply(Compute(device="cuda", devices=4))


def state() -> tuple[object, ...]:
    """Everything that `apply` changes on a CPU."""
    return (
        torch.get_num_threads(),
        torch.get_float32_matmul_precision(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        int((torch.full((8,), 2e-38) * 0.25).count_nonzero()),
    )


@pytest.mark.parametrize("applied_before", [False, True])
def test_afterwards_the_process_computes_as_it_did(applied_before: bool) -> None:
    if applied_before:
        apply(Compute(threads=1))
    else:
        torch.set_float32_matmul_precision("medium")
    before = state()
    with unchanged():
        apply(Compute(threads=2))
        torch.set_flush_denormal(not applied_before)
        assert state() != before
    assert state() == before


def test_an_error_leaves_the_arithmetic_too() -> None:
    before = state()
    with pytest.raises(ZeroDivisionError), unchanged():
        apply(Compute(threads=2))
        _ = 1 / 0
    assert state() == before
