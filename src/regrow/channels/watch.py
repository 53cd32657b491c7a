"""What the forward code asks of PyTorch: which sizes it reads, and which numbers it gives.

Every call of the Python interface passes here before it reaches the primitive operations. Sizes that are read come back as `Size`s;
numbers that are given, for a view, a split, the groups of a convolution, are followed to the axis that they decide.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from regrow.channels import cuts
from regrow.channels.ids import Demands, Ids
from regrow.channels.labels import labels_of, put, tensors_in
from regrow.channels.sizes import Extent, IdArray, Size

Args = Sequence[Any]
Named = Mapping[str, Any]
Handler = Callable[[Demands, Any, Args, Named], Any]
"""Runs the function and follows its numbers; returns what it returned."""


class Watch(TorchFunctionMode):
    """While it is active, sizes are read and followed."""

    def __init__(self, demands: Demands) -> None:
        super().__init__()
        self.demands = demands

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Every call of PyTorch's Python interface."""
        name = function_name(func)
        self.demands.calls += name not in UNCOUNTED
        handler = HANDLERS.get(name)
        if handler is None:
            return func(*args, **(kwargs or {}))
        return handler(self.demands, func, *tensor_first(args, kwargs or {}))


UNCOUNTED: Final = frozenset(
    ["device", "dtype", "dim", "ndim", "requires_grad", "is_cuda", "is_meta", "is_cpu", "layout"]
)
"""Questions that code asks oftener on one device than on another: calls are numbered without them."""


def tensor_first(args: Args, kwargs: Named) -> tuple[Args, Named]:
    """The arguments with the tensor that the call is about in front: `torch.mean(input=x, dim=1)` is `torch.mean(x, dim=1)`."""
    name = next((name for name in ("input", "query", "tensor") if isinstance(kwargs.get(name), Tensor)), None)
    if args or name is None:
        return args, kwargs
    return (kwargs[name],), {key: value for key, value in kwargs.items() if key != name}


def function_name(func: Any) -> str:
    """`view` of `Tensor.view`; `shape` of the getter of `Tensor.shape`."""
    name: str = getattr(func, "__name__", "")
    return getattr(func.__self__, "__name__", name) if name == "__get__" else name


@contextlib.contextmanager
def plain_functions() -> Iterator[None]:
    """PyTorch's functions that are written in Python run as such, so that the calls inside them are seen one by one."""
    names = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")
    before = {name: getattr(torch.nn.functional, name) for name in names}
    try:
        for name in names:
            setattr(torch.nn.functional, name, lambda *_: False)
        yield
    finally:
        for name, value in before.items():
            setattr(torch.nn.functional, name, value)


def _shape(demands: Demands, func: Any, args: Args, kwargs: Named) -> Any:
    """`x.shape`, `x.size()`, `x.size(dim)`."""
    found = func(*args, **kwargs)
    labels = labels_of(args[0])
    if not labels.live:
        return found
    demands.note("shape", labels.axes)
    return sized(found, labels.axes, args, kwargs, lambda n, ids: Size.of(n, Extent(ids), demands.diary))


def sized(found: Any, axes: Sequence[Ids], args: Args, kwargs: Named, make: Callable[[int, IdArray], Size]) -> Any:
    """What `x.shape`, `x.size(dim)` or `x.numel()` returned, with the sizes of live axes marked."""
    if isinstance(found, int):
        dim = args[1] if len(args) > 1 else kwargs["dim"]
        ids = axes[dim]
        return found if ids is None else make(found, ids)
    return torch.Size([n if ids is None else make(n, ids) for n, ids in zip(found, axes, strict=True)])


def _numel(demands: Demands, func: Any, args: Args, kwargs: Named) -> Any:
    """`x.numel()`: the product of the sizes."""
    found = func(*args, **kwargs)
    labels = labels_of(args[0])
    if not labels.live:
        return found
    demands.note("numel", labels.axes)
    return counted(args[0], labels.axes, lambda n, ids: Size.of(n, Extent(ids), demands.diary))


def counted(x: Tensor, axes: Sequence[Ids], make: Callable[[int, IdArray], Size]) -> Any:
    """The number of positions of a tensor as a product of marked sizes."""
    total: Any = 1
    for n, ids in zip(tuple(x.size()), axes, strict=True):
        total = total * (n if ids is None else make(n, ids))
    return total


def _view(demands: Demands, func: Any, args: Args, kwargs: Named) -> Any:
    """`x.view(a, b)`, `x.reshape((a, b))`, `torch.reshape(x, shape)`, `x.expand(a, b)`."""
    out = func(*args, **kwargs)
    given = args[1:] or tuple(kwargs.values())
    sizes = given[0] if given and isinstance(given[0], (tuple, list, torch.Size)) else given
    if isinstance(out, Tensor) and all(isinstance(size, int) for size in sizes) and len(sizes) == out.dim():
        _follow_all(demands, out, sizes, func.__name__)
    return out


def _follow_all(demands: Demands, out: Tensor, sizes: Sequence[int], what: str, first: int = 0) -> None:
    labels = labels_of(out)
    for offset, size in enumerate(sizes):
        axis = first + offset
        demands.follow(size, labels.axes[axis], out.shape[axis], what)


def _expand(demands: Demands, func: Any, args: Args, kwargs: Named) -> Any:
    """`x.expand(-1, n)`: only new copies are sizes that the code chose."""
    return _view(demands, func, args, kwargs)


def _repeat(demands: Demands, func: Any, args: Args, kwargs: Named) -> Any:
    """`x.repeat(1, n)`: how often stays, unless single positions were repeated, which can follow."""
    out = func(*args, **kwargs)
    given = args[1:] or tuple(kwargs.values())
    times = given[0] if given and isinstance(given[0], (tuple, list, torch.Size)) else given
    labels, offset = labels_of(out), len(times) - args[0].dim()
    for place, count in enumerate(times):
        axis = place + max(0, -offset)  # `tile` may be given fewer numbers than there are axes
        alone = axis < offset or args[0].shape[axis - max(0, offset)] == 1
        if alone:
            demands.follow(count, labels.axes[axis], out.shape[axis], "repeat")
        elif isinstance(count, Size):
            demands.follow(count, None, int(count), "repeat")
    return out


def _repeat_interleave(demands: Demands, func: Any, args: Args, kwargs: Named) -> Any:
    """`x.repeat_interleave(n, dim)`: how often each position stands there."""
    out = func(*args, **kwargs)
    times = args[1] if len(args) > 1 else kwargs.get("repeats")
    dim = args[2] if len(args) > 2 else kwargs.get("dim")
    if isinstance(times, int) and int(times) > 1 and out.dim():
        axis = (dim or 0) % out.dim()
        _, copies = demands.part(labels_of(out).axes[axis], [out.shape[axis] // int(times), int(times)])
        demands.follow(times, copies, int(times), "repeat_interleave")
    return out


def _view_as(demands: Demands, func: Any, args: Args, kwargs: Named) -> Any:
    """`x.view_as(y)`: the sizes of another tensor."""
    out = func(*args, **kwargs)
    other = args[1] if len(args) > 1 else kwargs["other"]
    for axis, size in enumerate(out.shape):
        if size > 1:
            demands.unite(labels_of(out).axes[axis], labels_of(other).axes[axis], "takes the size of another tensor")
    return out


def _broadcast(demands: Demands, func: Any, args: Args, kwargs: Named) -> Any:
    """`x.expand_as(y)`, `torch.broadcast_tensors(x, y)`: copies along the axes that another tensor has."""
    out = func(*args, **kwargs)
    for result in [out] if isinstance(out, Tensor) else out:
        put(result, [_longest(demands, tensors_in((args, kwargs)), result, back) for back in range(-result.dim(), 0)])
    return out


def _longest(demands: Demands, tensors: Sequence[Tensor], out: Tensor, back: int) -> Ids:
    """Ids of the axis `back` (counted from the last) of those tensors that are not broadcast along it."""
    having = [one for one in tensors if one.dim() >= -back and one.shape[back] == out.shape[back] > 1]
    return demands.meet([labels_of(one).axes[back] for one in having], "takes the size of another tensor")


def _unflatten(demands: Demands, func: Any, args: Args, kwargs: Named) -> Any:
    """`x.unflatten(dim, (a, b))`."""
    out = func(*args, **kwargs)
    dim = kwargs.get("dim", args[1] if len(args) > 1 else 0)
    sizes = kwargs.get("sizes", args[2] if len(args) > 2 else ())
    _follow_all(demands, out, sizes, "unflatten", int(dim) % args[0].dim())
    return out


def _created(demands: Demands, func: Any, args: Args, kwargs: Named) -> Any:
    """`torch.zeros(n, self.hidden)`: a tensor whose positions are alike along each axis may follow a size that is tracked."""
    out = func(*args, **kwargs)
    given = [value for value in args if not isinstance(value, Tensor)] or [kwargs.get("size", ())]
    sizes = (
        given[0]
        if isinstance(given[0], (tuple, list, torch.Size))
        else [size for size in given if isinstance(size, int)]
    )
    if not isinstance(out, Tensor) or len(sizes) != out.dim() or not any(isinstance(size, Size) for size in sizes):
        return out
    axes = [demands.fresh(int(size)) if isinstance(size, Size) and int(size) > 1 else None for size in sizes]
    put(out, axes, zero="zeros" in func.__name__)
    _follow_all(demands, out, sizes, func.__name__)
    return out


def _counted(demands: Demands, func: Any, args: Args, kwargs: Named) -> Any:
    """`torch.arange(n)`, `torch.eye(n)`: the values depend on the position, so the size stays."""
    out = func(*args, **kwargs)
    for value in [*args, *kwargs.values()]:
        if isinstance(value, Size):
            demands.follow(value, None, int(value), func.__name__)
    return out


def _grouped(demands: Demands, func: Any, args: Args, kwargs: Named) -> Any:
    """Convolutions: `groups` is the number of blocks."""
    demands.block = None
    out = func(*args, **kwargs)
    place = 8 if "transpose" in func.__name__ else 6
    groups = kwargs.get("groups", args[place] if len(args) > place else 1)
    if demands.block is not None:
        demands.follow(groups, demands.block, int(groups), "groups of a convolution")
    elif isinstance(groups, Size):
        demands.follow(groups, None, int(groups), "groups of a convolution")
    return out


def _group_norm(demands: Demands, func: Any, args: Args, kwargs: Named) -> Any:
    """`group_norm(x, num_groups)`."""
    demands.block = None
    out = func(*args, **kwargs)
    groups = kwargs.get("num_groups", args[1] if len(args) > 1 else 1)
    demands.note("group_norm", labels_of(args[0]).axes)
    demands.follow(groups, demands.block, int(groups), "num_groups")
    return out


def _layer_norm(demands: Demands, func: Any, args: Args, kwargs: Named) -> Any:
    """`layer_norm(x, normalized_shape)`; RMS norm may be made of smaller operations, which are then those of a norm."""
    demands.note(func.__name__, labels_of(args[0]).axes)
    demands.in_norm += 1
    try:
        out = func(*args, **kwargs)
    finally:
        demands.in_norm -= 1
    sizes = kwargs.get("normalized_shape", args[1] if len(args) > 1 else ())
    x = args[0]
    _follow_all(demands, x, sizes, "normalized_shape", x.dim() - len(sizes))
    return out


def _attention(demands: Demands, func: Any, args: Args, kwargs: Named) -> Any:
    """Scaled dot product attention; without `scale=`, the scale is 1 / sqrt(head dimension)."""
    out = func(*args, **kwargs)
    scale = kwargs.get("scale", args[6] if len(args) > 6 else None)
    ids = labels_of(args[0]).axes[-1]
    if scale is None and ids is not None:
        demands.note("scaled_dot_product_attention", labels_of(args[0]).axes)
        demands.diary.scales.append(Extent(ids))
    return out


def _reduced(demands: Demands, func: Any, args: Args, kwargs: Named) -> Any:
    """Means and variances; those that a norm layer takes over channels are over the kept ones."""
    labels = labels_of(args[0]) if isinstance(args[0], Tensor) else None
    if labels is not None and labels.live and demands.is_norm():
        demands.note(func.__name__, labels.axes)
    return func(*args, **kwargs)


def _batch_norm(demands: Demands, func: Any, args: Args, kwargs: Named) -> Any:
    """Weights standardised by a batch norm over their inputs, where the caller allows it: over the kept ones."""
    labels = labels_of(args[0])
    if any(axis != 1 for axis in labels.live) and demands.is_norm():
        demands.note("batch_norm", labels.axes)
    return func(*args, **kwargs)


def _arithmetic(demands: Demands, func: Any, args: Args, kwargs: Named) -> Any:
    """`x / size`: the size becomes part of a number."""
    del demands
    plain = [value.number() if isinstance(value, Size) else value for value in args]
    return func(*plain, **kwargs)


HANDLERS: Final[dict[str, Handler]] = {
    **dict.fromkeys(("shape", "size"), _shape),
    **dict.fromkeys(("numel", "nelement"), _numel),
    **dict.fromkeys(("view", "reshape", "_reshape_from_tensor"), _view),
    **dict.fromkeys(("expand", "broadcast_to"), _expand),
    **dict.fromkeys(("repeat", "tile"), _repeat),
    "unflatten": _unflatten,
    **dict.fromkeys(("split", "split_with_sizes", "unsafe_split"), cuts.split),
    **dict.fromkeys(("tensor_split", "hsplit", "vsplit", "dsplit"), cuts.tensor_split),
    "narrow": cuts.narrow,
    "repeat_interleave": _repeat_interleave,
    **dict.fromkeys(("view_as", "reshape_as"), _view_as),
    **dict.fromkeys(("expand_as", "broadcast_tensors"), _broadcast),
    **dict.fromkeys(("__getitem__", "__setitem__"), cuts.getitem),
    **dict.fromkeys(("zeros", "ones", "full", "empty", "new_zeros", "new_ones", "new_full", "new_empty"), _created),
    **dict.fromkeys(("arange", "linspace", "eye", "randperm", "tril_indices", "triu_indices"), _counted),
    **dict.fromkeys(
        ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _grouped
    ),
    "group_norm": _group_norm,
    **dict.fromkeys(("layer_norm", "rms_norm"), _layer_norm),
    "scaled_dot_product_attention": _attention,
    "batch_norm": _batch_norm,
    **dict.fromkeys(("tensor", "as_tensor", "scalar_tensor"), _arithmetic),
    **dict.fromkeys(("mean", "var", "std", "var_mean", "std_mean"), _reduced),
    **dict.fromkeys(
        ("mul", "div", "true_divide", "__mul__", "__rmul__", "__truediv__", "__rtruediv__", "multiply"), _arithmetic
    ),
    **dict.fromkeys(
        ("mul_", "div_", "__imul__", "__itruediv__", "add", "sub", "__add__", "__sub__", "pow"), _arithmetic
    ),
}
"""What to follow, by the name of the function or method."""
