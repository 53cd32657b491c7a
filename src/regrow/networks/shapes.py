"""Shapes of a few primitive operations on the meta device, without PyTorch's own rules for them.

PyTorch works these out by running Python references, and the first use of one imports its compiler: one to two seconds of a process
that may only want to plan. Everything else is left to PyTorch. The results have the sizes and types of PyTorch's own; a test
compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor


def _add(first: Tensor, second: Tensor, **_: Any) -> Tensor:
    shape = torch.broadcast_shapes(first.shape, second.shape)  # type: ignore[no-untyped-call]
    return first.new_empty(shape)


def _addmm(bias: Tensor, first: Tensor, second: Tensor, **_: Any) -> Tensor:
    return bias.new_empty(first.shape[0], second.shape[1])


def _cat(parts: Sequence[Tensor], dim: int = 0) -> Tensor:
    shape = list(parts[0].shape)
    shape[dim] = sum(part.shape[dim] for part in parts)
    return parts[0].new_empty(shape)


def _mean(images: Tensor, dims: Sequence[int], keepdim: bool = False, **_: Any) -> Tensor:
    gone = {dim % images.ndim for dim in dims}
    sizes = [1 if dim in gone else size for dim, size in enumerate(images.shape) if keepdim or dim not in gone]
    return images.new_empty(sizes)


def _normalise(images: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    """The normalised input, and two by-products."""
    channels = images.shape[1]
    return torch.empty_like(images), images.new_empty(channels), images.new_empty(channels)


_aten: Final = torch.ops.aten
SHAPES: Final[dict[Any, Callable[..., Any]]] = {
    _aten.add.Tensor: _add,
    _aten.addmm.default: _addmm,
    _aten.cat.default: _cat,
    _aten.mean.dim: _mean,
    _aten.native_batch_norm.default: _normalise,
}
"""Operation to a function of its arguments; called in inference only, with tensors on the meta device, all of one type."""
