"""The dense network with the removed channels silenced: what the small network must equal.

Nothing is copied: whenever a function of PyTorch is called with one of the network's tensors, it gets that tensor with zeros at every
removed position. Two things no zeros can express, so they are done as the small network does them: the statistics of layer, group and
RMS norms are taken over the kept channels, and numbers that the code computes from sizes (1 / sqrt(head size)) take the new sizes.
Which calls these are was written down when the network was traced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from regrow.channels.attributes import mark
from regrow.channels.equations import Point
from regrow.channels.ids import Entry, Ids
from regrow.channels.onmeta import named_tensors, sharing_copy
from regrow.channels.rules.normalisation import reduced_axes
from regrow.channels.sizes import Diary, Extent, IdArray, Size
from regrow.channels.watch import UNCOUNTED, counted, function_name, plain_functions, sized, tensor_first

Masks = Mapping[str, Mapping[int, Tensor]]
Kept = Callable[[IdArray], Tensor]
"""Which positions of an axis stay, boolean."""


class DivergedError(Exception):
    """The network took another path than when it was traced, so its calls cannot be known again."""


class _SmallDiary(Diary):
    """The diary of sizes that become numbers of the small network."""

    def __init__(self, point: Point) -> None:
        super().__init__()
        self.point = point


class SmallSize(Size):
    """A size that counts as in the dense network, but becomes a number as in the small one."""

    def number(self) -> int:
        """The size in the small network."""
        diary = self.diary
        assert isinstance(diary, _SmallDiary)
        return diary.point.value(self.source)


def silenced(network: nn.Module, point: Point) -> nn.Module:
    """A copy of the network around its own parameters, for `Silence` to run: its numbers know what they become."""
    shell, _ = sharing_copy(network)
    mark(shell, _SmallDiary(point), SmallSize)
    return shell.eval()


class Silence(TorchFunctionMode):
    """While it is active, `shell` computes what is left when the removed channels are zero."""

    def __init__(self, shell: nn.Module, masks: Masks, journal: Mapping[int, Entry], kept: Kept, point: Point) -> None:
        super().__init__()
        self.gone = {
            id(tensor): {
                axis: (~keep).nonzero().flatten() for axis, keep in masks.get(name, {}).items() if not bool(keep.all())
            }
            for name, tensor in named_tensors(shell)
        }
        self.journal, self.kept, self.point = journal, kept, point
        self.calls = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Every call of PyTorch's Python interface."""
        name = function_name(func)
        kwargs = kwargs or {}
        if name in UNCOUNTED:
            return func(*args, **kwargs)
        self.calls += 1
        entry = self.journal.get(self.calls)
        if name in _QUESTIONS:
            return self._size(func, args, kwargs, entry) if entry is not None else func(*args, **kwargs)
        if entry is not None and entry.name != name:
            raise DivergedError(f"call {self.calls} was {entry.name} and is now {name}")
        args = tuple(self._zeroed(value) for value in args)
        kwargs = {key: self._zeroed(value) for key, value in kwargs.items()}
        if name.startswith("_weight_norm"):  # a filter that is all zero has no length; it stays zero
            return _finite(func(*args, **kwargs))
        if name in _ARITHMETIC:
            args = tuple(value.number() if isinstance(value, Size) else value for value in args)
        adapted = _ADAPTED.get(name) if entry is not None else None
        if adapted is None or entry is None:
            return func(*args, **kwargs)
        return adapted(self, func, *tensor_first(args, kwargs), entry)

    def _size(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], entry: Entry) -> Any:
        if len(entry.axes) != args[0].dim():
            raise DivergedError(f"call {self.calls} asked for the size of another tensor")
        found = func(*args, **kwargs)
        if function_name(func) in {"numel", "nelement"}:
            return counted(args[0], entry.axes, self._marked)
        return sized(found, entry.axes, args, kwargs, self._marked)

    def _marked(self, n: int, ids: IdArray) -> Size:
        return SmallSize.of(n, Extent(ids), _SmallDiary(self.point))

    def _zeroed(self, value: Any) -> Any:
        """A tensor of the network with zeros where channels were removed; anything else as it is."""
        if isinstance(value, Tensor):
            places = self.gone.get(id(value))
            return _filled(value, places) if places else value
        if isinstance(value, (list, tuple)) and any(isinstance(item, Tensor) for item in value):
            return type(value)([self._zeroed(item) for item in value]) if not hasattr(value, "_fields") else value
        return value

    def places(self, ids: Ids) -> Tensor | None:
        """Kept positions of an axis; None where all stay."""
        if ids is None:
            return None
        keep = self.kept(ids)
        return None if bool(keep.all()) else keep.nonzero().flatten()


def _filled(tensor: Tensor, places: Mapping[int, Tensor]) -> Tensor:
    filled = tensor.detach().clone()
    for axis, gone in places.items():
        filled.index_fill_(axis, gone.to(filled.device), 0)
    return filled


def _finite(value: Any) -> Any:
    return tuple(part.nan_to_num(0.0) for part in value) if isinstance(value, tuple) else value.nan_to_num(0.0)


def _on_kept(silence: Silence, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], entry: Entry) -> Any:
    """A mean or variance over the kept positions of the axes that it reduces."""
    x = args[0]
    for axis in reduced_axes(function_name(func), args, kwargs, x.dim()):
        places = silence.places(entry.axes[axis])
        if places is not None:
            x = x.index_select(axis, places.to(x.device))
    return func(x, *args[1:], **kwargs)


def _layer_norm(silence: Silence, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], entry: Entry) -> Any:
    """Layer and RMS norm over the kept positions of the last axes."""
    given = dict(zip(("input", "normalized_shape", "weight", "bias", "eps"), args, strict=False)) | dict(kwargs)
    if function_name(func) == "rms_norm":
        given = dict(zip(("input", "normalized_shape", "weight", "eps"), args, strict=False)) | dict(kwargs)
    x = small = given["input"]
    n = len(given["normalized_shape"])
    parts = {name: given.get(name) for name in ("weight", "bias")}
    places: dict[int, Tensor] = {}
    for axis in range(x.dim() - n, x.dim()):
        chosen = silence.places(entry.axes[axis])
        if chosen is not None:
            places[axis] = chosen
            small = small.index_select(axis, chosen)
            parts = {
                name: None if part is None else part.index_select(axis - x.dim() + n, chosen)
                for name, part in parts.items()
            }
    norm = torch.nn.functional.layer_norm if function_name(func) == "layer_norm" else torch.nn.functional.rms_norm
    chosen_parts = {name: part for name, part in parts.items() if part is not None}
    if "eps" in given:  # the default of RMS norm depends on the type
        chosen_parts["eps"] = given["eps"]
    y = norm(small, small.shape[x.dim() - n :], **chosen_parts)
    return _spread(y, x, places)


def _batch_norm(silence: Silence, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], entry: Entry) -> Any:
    """Batch statistics over the kept positions of every axis but that of the channels."""
    x = args[0]
    places = {
        axis: chosen for axis, ids in enumerate(entry.axes) if axis != 1 and (chosen := silence.places(ids)) is not None
    }
    small = x
    for axis, chosen in places.items():
        small = small.index_select(axis, chosen.to(x.device))
    return _spread(func(small, *args[1:], **kwargs), x, places)


def _group_norm(silence: Silence, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], entry: Entry) -> Any:
    """Group norm over the kept channels; groups of which nothing is left are gone."""
    given = dict(zip(("input", "num_groups", "weight", "bias", "eps"), args, strict=False)) | dict(kwargs)
    x, groups = given["input"], int(given["num_groups"])
    places = silence.places(entry.axes[1])
    if places is None:
        return func(*args, **kwargs)
    left = len(torch.unique(places // (x.shape[1] // groups)))
    small = x.index_select(1, places)
    parts = {name: given[name].index_select(0, places) for name in ("weight", "bias") if given.get(name) is not None}
    y = torch.nn.functional.group_norm(small, left, **parts, eps=given.get("eps", 1e-5))
    return _spread(y, x, {1: places})


def _spread(y: Tensor, like: Tensor, places: Mapping[int, Tensor]) -> Tensor:
    """`y` at the kept positions of a tensor like `like`, zero elsewhere."""
    for axis, chosen in sorted(places.items(), reverse=True):
        shape = list(y.shape)
        shape[axis] = like.shape[axis]
        y = torch.zeros(shape, dtype=y.dtype, device=y.device).index_copy(axis, chosen, y)
    return y


def _attention(silence: Silence, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], entry: Entry) -> Any:
    """The default scale is that of the small head size."""
    places = silence.places(entry.axes[-1])
    size = len(places) if places is not None else args[0].shape[-1]
    return func(*args[:6], **{**kwargs, "scale": size**-0.5})


_QUESTIONS: Final = frozenset(["shape", "size", "numel", "nelement"])

_ARITHMETIC: Final = frozenset(
    ["mul", "div", "true_divide", "__mul__", "__rmul__", "__truediv__", "__rtruediv__", "multiply", "mul_", "div_", "__imul__",
     "__itruediv__", "add", "sub", "__add__", "__sub__", "pow", "tensor", "as_tensor", "scalar_tensor"]
)  # fmt: skip

_ADAPTED: Final[dict[str, Callable[[Silence, Any, Sequence[Any], Mapping[str, Any], Entry], Any]]] = {
    **dict.fromkeys(("mean", "var", "std", "var_mean", "std_mean"), _on_kept),
    **dict.fromkeys(("layer_norm", "rms_norm"), _layer_norm),
    "group_norm": _group_norm,
    "batch_norm": _batch_norm,
    "scaled_dot_product_attention": _attention,
}

__all__ = ["DivergedError", "Silence", "plain_functions", "silenced"]
