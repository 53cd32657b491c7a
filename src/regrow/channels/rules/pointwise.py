"""Rules of operations that work position by position: axes that lie on each other are united.

Every rule has the signature `rule(demands, out, args, kwargs)`: what the operation was given and what it returned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from torch import Tensor

from regrow.channels.ids import Demands, Ids
from regrow.channels.labels import Labels, labels_of, put, tensors_in

KEEPS_ZERO: Final = frozenset(
    ["abs", "alias", "asin", "asinh", "atan", "atanh", "celu", "ceil", "clone", "contiguous", "detach", "elu",
     "erf", "erfinv", "expm1", "fix", "floor", "gelu", "hardshrink", "hardswish", "hardtanh", "leaky_relu",
     "lift_fresh", "lift_fresh_copy", "to", "log1p", "mish", "native_dropout", "neg", "nan_to_num", "positive",
     "prelu", "_prelu_kernel", "_to_copy", "relu", "relu6", "round", "sgn", "sign", "silu", "sin", "sinh",
     "softshrink", "softsign", "sqrt", "square", "tan", "tanh", "trunc", "conj", "real", "imag", "_conj",
     "dropout", "feature_dropout", "bernoulli"]
)  # fmt: skip
"""Functions with f(0) = 0."""

PRODUCTS: Final = frozenset(["mul", "bitwise_and", "logical_and"])
SUMS: Final = frozenset(["add", "sub", "rsub", "maximum", "minimum", "addcmul", "addcdiv", "lerp", "hypot"])
QUOTIENTS: Final = frozenset(["div", "floor_divide", "pow", "remainder", "fmod", "true_divide", "ldexp"])
"""Zero where their first operand is (for `pow`: with a positive exponent)."""


def pointwise(demands: Demands, out: Any, args: Sequence[Any], kwargs: Mapping[str, Any], name: str = "") -> None:
    """Any operation on broadcast operands."""
    operands = tensors_in((args, kwargs))
    for result in tensors_in(out):
        _broadcast(demands, result, operands, name.rstrip("_") if name != "__and__" else "logical_and", args)


def _broadcast(demands: Demands, out: Tensor, operands: Sequence[Tensor], name: str, args: Sequence[Any]) -> None:
    shape = out.shape
    labelled = [labels_of(tensor) for tensor in operands if tensor.dim() <= len(shape)]
    axes: list[Ids] = [None] * len(shape)
    for axis, size in enumerate(shape):
        if size != 1:
            lying = [_aligned(tensor, axis, len(shape), size) for tensor in operands]
            axes[axis] = demands.meet([ids for has_axis, ids in lying if has_axis], "meets a constant")
    put(out, axes, _zero(name, labelled, operands, args, axes))


Aligned = tuple[bool, Ids]
"""Whether an operand has this axis (else it is broadcast along it), and its ids there."""


def _aligned(tensor: Tensor, axis: int, ndim: int, size: int) -> Aligned:
    here = axis - (ndim - tensor.dim())
    if here < 0 or tensor.shape[here] != size:
        return False, None
    return True, labels_of(tensor).axes[here]


def _zero(
    name: str, labelled: Sequence[Labels], operands: Sequence[Tensor], args: Sequence[Any], axes: Sequence[Ids]
) -> bool:
    """Does the result hold 0 at removed positions?"""
    live = sum(ids is not None for ids in axes)
    if not live or not labelled:
        return False
    covering = [one.zero and len(one.live) >= live for one in labelled]
    if name in KEEPS_ZERO:
        return covering[0]
    if name in PRODUCTS:
        return any(covering) or all(one.zero for one in labelled)
    if name in SUMS:
        return (
            all(covering) and len(labelled) == sum(isinstance(value, Tensor) for value in operands) and _no_number(args)
        )
    if name in QUOTIENTS:
        return covering[0] and isinstance(args[0], Tensor) and (name != "pow" or _is_positive(args[1]))
    return False


def _is_positive(exponent: Any) -> bool:
    return isinstance(exponent, (int, float)) and exponent > 0


def _no_number(args: Sequence[Any]) -> bool:
    return all(isinstance(value, Tensor) for value in args[:2])


def same_axes(demands: Demands, out: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """The first operand's axes, position by position, with values that have nothing to do with zero."""
    del demands, kwargs
    for result in tensors_in(out):
        put(result, labels_of(args[0]).axes)


def like(demands: Demands, out: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """A new tensor of the same sizes, filled with what does not depend on the position."""
    del demands, kwargs
    put(out, labels_of(args[0]).axes, zero=False)


def fill(demands: Demands, out: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """`x.fill_(value)`, which is also how `x[:, 0] = value` is written."""
    del demands
    value = args[1] if len(args) > 1 else kwargs.get("value")
    put(out, labels_of(args[0]).axes, zero=not isinstance(value, Tensor) and value == 0)


def zeros_like(demands: Demands, out: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Zeros of the same sizes."""
    del demands, kwargs
    put(out, labels_of(args[0]).axes, zero=True)


def copy(demands: Demands, out: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Values written into a tensor: `target.copy_(source)`."""
    del kwargs
    target, source = args[0], args[1]
    before = labels_of(target).zero
    pointwise(demands, out, (target, source), {}, "copy")
    labels = labels_of(out)
    labels.zero = before and labels_of(source).zero


def constant(demands: Demands, out: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """A result that carries no channels: sizes, random numbers, indices."""
    del demands, args, kwargs
    for result in tensors_in(out):
        put(result, [None] * result.dim())


def triangle(demands: Demands, out: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """`tril` and `triu`: what is kept depends on the position along the last two axes."""
    del kwargs
    labels = labels_of(args[0])
    for ids in labels.axes[-2:]:
        demands.freeze(ids, "a triangle is cut out along this axis")
    put(out, [*labels.axes[:-2], None, None], labels.zero)
