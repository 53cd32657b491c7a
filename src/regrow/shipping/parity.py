"""Parity: does an exported network compute what the network computes? Asked of the file that was written, on random inputs.

    error = max over outputs of  max |exported - network| / max |network|

Integer and boolean outputs must be equal. A difference above the tolerance is an error, never a warning: the file is not kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from regrow.errors import ExportError
from regrow.networks.modes import evaluating
from regrow.shipping.inputs import Arguments, drawn

Run = Callable[[Arguments], Sequence[Tensor]]
"""Calls an exported network."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """A file that was exported and checked."""

    path: Path

    bytes: int
    """Of the file, and of the weights file beside it where it needs one."""

    error: float
    """Largest relative difference of an output from the network's own, over all batch sizes."""

    batches: tuple[int, ...]
    """Batch sizes at which it was compared."""

    constant: bool = False
    """Every example had the same outputs, as where a fresh network's last layer is zero: the comparison then says little."""

    opset: int | None = None
    """ONNX operator set; None for a program of torch.export."""

    def __str__(self) -> str:
        opset = f", opset {self.opset}" if self.opset else ""
        sizes = ", ".join(map(str, self.batches))
        doubt = ", but every example had the same outputs: train the network first" if self.constant else ""
        return (
            f"{self.path}: {self.bytes:,} bytes{opset}, relative error {self.error:.1e} at batch sizes {sizes}{doubt}"
        )


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a comparison found."""

    error: float
    constant: bool


def parity(
    network: nn.Module, run: Run, call: Arguments, batches: Sequence[int], tolerance: float, what: str
) -> Agreement:
    """The largest relative error of `run` on random inputs of every batch size; raises `ExportError` above the tolerance."""
    worst, constant = 0.0, False
    for batch in batches:
        inputs = drawn(call, batch, "parity", batch)
        with evaluating(network), torch.no_grad():
            expected = outputs(network(*inputs.positional, **inputs.keywords))
        try:
            found = run(inputs)
        except ExportError:
            raise
        except Exception as error:  # whatever the runtime raises is a file that does not work
            raise ExportError(f"{what} cannot run a batch of {batch}: {reason(error)}. {_FIXED}") from error
        worst = max(worst, _compare(found, expected, tolerance, f"{what}, at a batch of {batch},"))
        constant = all(_says_nothing(tensor) for tensor in expected)  # the last batch is the largest
    return Agreement(worst, constant)


_FIXED = (
    "If the network fixes its batch size (a reshape with a number, a loop over examples), pass dynamic_batch=False."
)


def outputs(result: Any) -> list[Tensor]:
    """The tensors of whatever a network returned, in order."""
    return [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, Tensor)]


def reason(error: BaseException) -> str:
    """Why it failed, in one line: the first of the message of the error that started it, or its kind where it has none."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line for line in _COLOUR.sub("", str(error)).splitlines() if line.strip()]
    return lines[0].strip().rstrip(". ") if lines else type(error).__name__


_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
"""Terminal colours, in which torch writes its messages."""


def _compare(found: Sequence[Tensor], expected: Sequence[Tensor], tolerance: float, what: str) -> float:
    shapes, wanted = [tuple(tensor.shape) for tensor in found], [tuple(tensor.shape) for tensor in expected]
    if shapes != wanted:
        raise ExportError(f"{what} gives outputs of shapes {shapes}; the network gives {wanted}")
    errors = [_relative(here.detach().cpu(), there.detach().cpu()) for here, there in zip(found, expected, strict=True)]
    worst = max(errors, default=0.0)
    if not worst <= tolerance:
        place = errors.index(worst) if worst in errors else [error != error for error in errors].index(True)
        raise ExportError(
            f"{what} differs from the network by {worst:.1e} of its largest value at output {place}; allowed is {tolerance:.0e}. "
            "The file was not kept. Export in float32 (network.float()), or allow more with tolerance=."
        )
    return worst


def _relative(found: Tensor, expected: Tensor) -> float:
    """NaN where the network itself gives no finite numbers."""
    if not expected.is_floating_point() and not expected.is_complex():
        return 0.0 if torch.equal(found.to(expected.dtype), expected) else float("inf")
    if not expected.numel():
        return 0.0
    wide = torch.complex128 if expected.is_complex() else torch.float64
    difference = float((found.to(wide) - expected.to(wide)).abs().max())
    return difference / max(float(expected.abs().max()), torch.finfo(torch.float32).tiny)


def _says_nothing(output_B: Tensor) -> bool:
    """Whether all examples have the same output; of a single one, whether all its numbers are the same."""
    rows = output_B if output_B.ndim and len(output_B) > 1 else output_B.reshape(-1)
    return len(rows) > 1 and bool((rows == rows[:1]).all())
