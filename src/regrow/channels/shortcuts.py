"""Shortcuts: what a few common operations return on the meta device, without PyTorch's own way to find out.

PyTorch asks Python references for the shape of a batch norm: 1.1 ms each, four fifths of a trace of ResNet-50. The shape is that of the
input. A shortcut serves the plain case only (meta tensors of one type) and leaves everything else to PyTorch; its results have the sizes,
strides and types of PyTorch's own, and a test compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor

Shortcut = Callable[..., Any]
"""From the arguments of an operation to what it returns, or to None where PyTorch is to be asked."""


def run(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What `func(*args, **kwargs)` returns."""
    shortcut = _SHORTCUTS.get(func)
    found = None if shortcut is None else shortcut(*args, **kwargs)
    return func(*args, **kwargs) if found is None else found


def _plain(*tensors: Any) -> bool:
    """Whether these are dense meta tensors of one type, in an order of axes that new tensors keep."""
    first = tensors[0]
    if not isinstance(first, Tensor) or not first.is_contiguous():
        return False
    return all(isinstance(one, Tensor) and one.is_meta and one.dtype == first.dtype for one in tensors)


def _same(x: Tensor, *_: Any, **options: Any) -> Tensor | None:
    """Number by number."""
    return x.new_empty(x.shape) if not options and _plain(x) and x.is_floating_point() else None


def _in_place(x: Tensor, *_: Any) -> Tensor | None:
    return x if _plain(x) and x.is_floating_point() else None


def _gelu(x: Tensor, *, approximate: str = "none") -> Tensor | None:
    del approximate
    return _same(x)


def _batch_norm(
    x: Tensor, weight: Any, bias: Any, mean: Any, variance: Any, *_: Any
) -> tuple[Tensor, Tensor, Tensor] | None:
    own = [one for one in (weight, bias, mean, variance) if one is not None]
    if not _plain(x, *own) or any(one.shape != x.shape[1:2] for one in own):
        return None
    return x.new_empty(x.shape), x.new_empty(x.shape[1]), x.new_empty(x.shape[1])


def _layer_norm(
    x: Tensor, shape: Sequence[int], weight: Any, bias: Any, _: float
) -> tuple[Tensor, Tensor, Tensor] | None:
    own = [one for one in (weight, bias) if one is not None]
    last = x.shape[x.dim() - len(shape) :]
    if not _plain(x, *own) or last != torch.Size(shape) or any(one.shape != last for one in own):
        return None
    statistics = (*x.shape[: x.dim() - len(shape)], *(1 for _ in shape))
    return x.new_empty(x.shape), x.new_empty(statistics), x.new_empty(statistics)


def _addmm(bias: Tensor, one: Tensor, other: Tensor, **options: Any) -> Tensor | None:
    if options or not _plain(one, other, bias) or bias.shape != other.shape[1:] or one.shape[1] != other.shape[0]:
        return None
    return one.new_empty(one.shape[0], other.shape[1])


def _binary(one: Tensor, other: Any, **options: Any) -> Tensor | None:
    """The sum or product of two tensors, of one shape or with one of them of size 1 along some axes."""
    if options or not _plain(one, other) or not other.is_contiguous() or one.dim() != other.dim():
        return None
    if one.shape == other.shape:
        return one.new_empty(one.shape)
    sizes = [max(here, there) for here, there in zip(one.shape, other.shape, strict=True)]
    full: Tensor = one if list(one.shape) == sizes else other
    broadcast = all(
        there in (size, 1) for tensor in (one, other) for there, size in zip(tensor.shape, sizes, strict=True)
    )
    return full.new_empty(full.shape) if broadcast and list(full.shape) == sizes else None


def _convolution(
    x: Tensor,
    weight: Tensor,
    bias: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    _: Any,
    groups: int,
) -> Tensor | None:
    spatial = x.dim() - 2
    if transposed or weight.dim() != x.dim() or not _plain(x, weight, *(one for one in (bias,) if one is not None)):
        return None
    if (
        x.shape[1] != weight.shape[1] * groups
        or weight.shape[0] % groups
        or (bias is not None and bias.shape != weight.shape[:1])
    ):
        return None
    kernel = weight.shape[2:]
    each = [[*numbers] * (1 if len(numbers) == spatial else spatial) for numbers in (stride, padding, dilation)]
    sides = zip(x.shape[2:], kernel, *each, strict=True)
    sizes = [(side + 2 * pad - spread * (width - 1) - 1) // step + 1 for side, width, step, pad, spread in sides]
    return x.new_empty([x.shape[0], weight.shape[0], *sizes]) if min(sizes, default=0) > 0 else None


def _binary_in_place(one: Tensor, other: Any, **options: Any) -> Tensor | None:
    return one if not options and _plain(one, other) and one.shape == other.shape else None


def _mean(x: Tensor, dims: Any, keepdim: bool = False, **options: Any) -> Tensor | None:
    if options or not dims or not _plain(x):
        return None
    gone = {dim % x.dim() for dim in dims}
    return x.new_empty([1 if dim in gone else size for dim, size in enumerate(x.shape) if keepdim or dim not in gone])


def _cat(parts: Sequence[Tensor], dim: int = 0) -> Tensor | None:
    if not _plain(*parts) or not all(part.is_contiguous() and part.dim() == parts[0].dim() for part in parts):
        return None
    sizes = list(parts[0].shape)
    sizes[dim] = sum(part.shape[dim] for part in parts)
    fits = all(_but(part, dim) == _but(parts[0], dim) for part in parts)
    return parts[0].new_empty(sizes) if fits else None


def _but(x: Tensor, dim: int) -> list[int]:
    """The sizes of all axes but one."""
    sizes = list(x.shape)
    del sizes[dim]
    return sizes


_aten: Final = torch.ops.aten
_SHORTCUTS: Final[dict[Any, Shortcut]] = {
    _aten.add.Tensor: _binary,
    _aten.mul.Tensor: _binary,
    _aten.add_.Tensor: _binary_in_place,
    _aten.mul_.Tensor: _binary_in_place,
    _aten.addmm.default: _addmm,
    _aten.cat.default: _cat,
    _aten.convolution.default: _convolution,
    _aten.gelu.default: _gelu,
    _aten.mean.dim: _mean,
    _aten.native_batch_norm.default: _batch_norm,
    _aten.native_layer_norm.default: _layer_norm,
    **dict.fromkeys(
        (
            _aten.hardsigmoid.default,
            _aten.hardswish.default,
            _aten.hardtanh.default,
            _aten.relu.default,
            _aten.sigmoid.default,
            _aten.silu.default,
            _aten._safe_softmax.default,
        ),
        _same,
    ),
    **dict.fromkeys(
        (_aten.hardswish_.default, _aten.hardtanh_.default, _aten.relu_.default, _aten.silu_.default), _in_place
    ),
}
