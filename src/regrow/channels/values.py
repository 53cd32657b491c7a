"""Known values: the numbers of small tensors that do not depend on weights, kept beside their shapes on the meta device.

Code asks about such numbers on its way: are the position ids packed, is anything masked? Masks, positions and indices are made from
sizes and from integer inputs, so their values can be worked out beside the run without numbers, and the question be answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from regrow.channels.labels import tensors_in

LARGEST: Final = 2**18
"""Elements of a tensor whose values are kept, at most."""

_KEY: Final = "_regrow_value"
_READ: Final = torch.ops.aten._local_scalar_dense.default


def know(tensor: Tensor, value: Tensor) -> None:
    """Keep the values of a tensor on the meta device; they are copied."""
    if value.device.type != "meta" and value.numel() <= LARGEST:
        tensor.__dict__[_KEY] = value.detach().cpu().clone()


def run(
    call: Callable[..., Any], func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], given: Sequence[Tensor]
) -> Any:
    """What an operation returns on the meta device, through `call`, with the values of its result where those of its operands are known.

    `given` are the tensors among the operands. An operation that needs values (`item`, `nonzero`) gets them; raises what PyTorch
    raises where they are not known.
    """
    known = all(_KEY in tensor.__dict__ for tensor in given) and torch.Tag.nondeterministic_seeded not in func.tags
    if not known:
        out = call(func, args, kwargs)
        for result in tensors_in(out):
            result.__dict__.pop(_KEY, None)  # written over with what is not known
        return out
    if func is _READ:
        return args[0].__dict__[_KEY].item()
    try:
        out = call(func, args, kwargs)
    except (NotImplementedError, RuntimeError):
        values = _computed(func, args, kwargs)
        if not given or values is None:
            raise
        return _as_meta(values)
    if all(result.numel() <= LARGEST for result in tensors_in(out)):
        _attach(out, _computed(func, args, kwargs))
    return out


def _computed(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The operation on known values; None where it cannot be computed."""
    plain = {
        key: torch.device("cpu") if key == "device" and value is not None else _value(value)
        for key, value in kwargs.items()
    }
    try:
        return func(*[_value(value) for value in args], **plain)
    except (NotImplementedError, RuntimeError):
        return None


def _value(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.__dict__[_KEY]
    if isinstance(value, (list, tuple)):
        return type(value)([_value(item) for item in value]) if not hasattr(value, "_fields") else value
    return torch.device("cpu") if isinstance(value, torch.device) else value


def _attach(out: Any, values: Any) -> None:
    if values is None:
        return
    for result, value in zip(tensors_in(out), tensors_in(values), strict=False):
        if result.shape == value.shape:
            result.__dict__[_KEY] = value


def _as_meta(values: Any) -> Any:
    """Tensors without numbers, of the shapes that the values turned out to have."""
    if isinstance(values, Tensor):
        result = torch.empty_like(values, device="meta")
        result.__dict__[_KEY] = values
        return result
    if isinstance(values, (list, tuple)):
        return type(values)([_as_meta(value) for value in values])
    return values
