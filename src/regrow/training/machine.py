"""This process's arithmetic: threads, determinism and number formats. Call `apply` once, before any tensor work."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

from regrow.errors import ConfigError
from regrow.training.compute import Compute
from regrow.training.ranks import this_rank


def apply(compute: Compute) -> None:
    """Make the process compute as `compute` says, and the same way every time. May be called again with the same value.

    An operation of somebody's network that has no deterministic form (on a GPU) warns and runs. Raises `ConfigError` where
    there is no CUDA device to train on, or not as many as asked for.
    """
    torch.set_num_threads(compute.threads)
    # Dead channels let momentum fade through numbers so small that CPUs handle them a hundred times slower than zero.
    torch.set_flush_denormal(True)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Deterministic mode would otherwise write NaN over all new memory first: a safeguard that costs time in every operation.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # fp32 is meant literally: no TF32, no bf16 behind the scenes.
    torch.set_float32_matmul_precision("highest")
    if compute.device == "cuda":
        _apply_cuda(compute.devices)


@contextlib.contextmanager
def unchanged() -> Iterator[None]:
    """Inside the block `apply` may be called; afterwards this process computes on its CPU as it did before.

    What CUDA was told stays: cuBLAS reads it once.
    """
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    flushed = _flushes()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushed)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
        torch.set_float32_matmul_precision(precision)


def _flushes() -> bool:
    """Whether numbers too small to be normal become zero; PyTorch can be told, and cannot be asked."""
    return not torch.full((1,), 2e-38).mul(0.25).count_nonzero()


def _apply_cuda(devices: int) -> None:
    # cuBLAS reads this when it starts; without it its results may differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if not torch.cuda.is_available():
        raise ConfigError(
            "compute.device is where networks are trained; got cuda, but PyTorch sees no CUDA device. Write cpu or auto."
        )
    if (found := torch.cuda.device_count()) < devices:
        raise ConfigError(
            f"compute.devices is how many CUDA devices share a training; got {devices}, and PyTorch sees {found}. Write {found} or less."
        )
    if devices > 1:
        torch.cuda.set_device(this_rank())
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
