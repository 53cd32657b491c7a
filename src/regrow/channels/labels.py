"""Labels: the channel ids that a tensor's axes carry while a network is traced.

They are kept on the tensor itself, as an attribute, because PyTorch hands the same Python object back for as long as the tensor
lives; a tensor without labels is a constant, all of whose axes keep their size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from torch import Tensor

from regrow.channels.ids import Ids

_KEY: Final = "_regrow_labels"


@dataclass(slots=True)
class Labels:
    """Ids of every axis of one tensor."""

    axes: list[Ids]

    zero: bool = False
    """True where a removed position holds 0 in the dense network whose removed channels are silenced. Sums over such an axis
    come out the same with and without the position."""

    data: bool = True
    """False for what is computed from the network's own tensors alone."""

    @property
    def live(self) -> list[int]:
        """The axes that carry ids."""
        return [axis for axis, ids in enumerate(self.axes) if ids is not None]


def labels_of(tensor: Tensor) -> Labels:
    """The labels of a tensor; none on any axis for a constant."""
    found: Labels | None = tensor.__dict__.get(_KEY)
    return found if found is not None else Labels([None] * tensor.dim())


def put(tensor: Tensor, axes: Sequence[Ids], zero: bool = False) -> None:
    """Label a tensor: ids per axis. An axis of one position carries none."""
    cleared = [None if size == 1 else ids for size, ids in zip(tensor.shape, axes, strict=True)]
    tensor.__dict__[_KEY] = Labels(cleared, zero)


def clear(tensors: Iterable[Tensor]) -> None:
    """Take the labels off again."""
    for tensor in tensors:
        tensor.__dict__.pop(_KEY, None)


def tensors_in(value: Any) -> list[Tensor]:
    """All tensors in nested tuples, lists and dicts, and in objects that look like one of them; in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        return [tensor for item in value.values() for tensor in tensors_in(item)]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [tensor for item in value for tensor in tensors_in(item)]
    fields = getattr(value, "__dataclass_fields__", None)
    if fields and not isinstance(value, type):
        return [tensor for name in fields for tensor in tensors_in(getattr(value, name, None))]
    return []
