"""Rules of norm layers, softmax and reductions: whatever is computed over an axis.

Batch norm treats every channel by itself. Layer, group and RMS norm take statistics over channels: pruned, they take them over the
channels that are left, which is what a small network of that width does; it is reported and allowed for. Everything else that is
computed over channels keeps them, because the value would change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from regrow.channels.ids import Demands, Ids
from regrow.channels.labels import labels_of, put, tensors_in

Args = Sequence[Any]
Named = Mapping[str, Any]


def batch_norm(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Per channel, axis 1; statistics over all other axes."""
    x = labels_of(args[0])
    own = [value for value in args[1:5] if isinstance(value, Tensor)]
    channels = x.axes[1]
    for tensor in own:
        channels = demands.meet([channels, labels_of(tensor).axes[0]], "is normalised with values that keep their size")
    trains = _takes_statistics(args, kwargs)
    for axis, ids in enumerate(x.axes):
        if axis != 1 and trains and ids is not None:
            _over(demands, ids, "is an axis over which batch statistics are taken")
    affine = isinstance(args[1], Tensor)
    axes = [ids if axis != 1 else channels for axis, ids in enumerate(x.axes)]
    put(tensors_in(out)[0], axes, affine and labels_of(args[1]).zero)


def _over(demands: Demands, ids: Ids, reason: str) -> None:
    """Statistics over channels: allowed for norm layers and where the caller allows them, else the channels stay."""
    if demands.is_norm():
        demands.statistic(ids, "statistics over the kept channels")
    else:
        demands.freeze(ids, reason)


def _takes_statistics(args: Args, kwargs: Named) -> bool:
    flags = [value for value in [*args, *kwargs.values()] if isinstance(value, bool)]
    running = [value for value in args[3:5] if isinstance(value, Tensor)]
    return not running or any(flags[:1])


def layer_norm(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Over the last axes, as many as `normalized_shape` has."""
    del kwargs
    x, shape = labels_of(args[0]), args[1]
    first = len(x.axes) - len(shape)
    axes = list(x.axes)
    affine = False
    for tensor in (value for value in args[2:4] if isinstance(value, Tensor)):
        affine = True
        for axis, ids in enumerate(labels_of(tensor).axes):
            axes[first + axis] = demands.meet(
                [axes[first + axis], ids], "is normalised with values that keep their size"
            )
    for ids in axes[first:]:
        demands.statistic(ids, "statistics over the kept channels")
    put(tensors_in(out)[0], axes, affine)


def group_norm(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Over blocks of neighbouring channels and all positions: x, weight, bias, N, C, HxW, groups."""
    del kwargs
    x, groups = labels_of(args[0]), int(args[6])
    channels = x.axes[1]
    affine = False
    for tensor in (value for value in args[1:3] if isinstance(value, Tensor)):
        affine = True
        channels = demands.meet([channels, labels_of(tensor).axes[0]], "is normalised with values that keep their size")
    blocks, inside = demands.part(channels, [groups, int(args[4]) // groups])
    demands.block = blocks
    demands.statistic(inside, "statistics over the kept channels")
    for ids in x.axes[2:]:
        demands.freeze(ids, "is an axis over which statistics are taken")
    put(tensors_in(out)[0], [x.axes[0], channels, *([None] * (len(x.axes) - 2))], affine)


def softmax(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Every position along the axis changes when one goes."""
    _along(
        demands,
        out,
        args[0],
        args[1] if len(args) > 1 else kwargs["dim"],
        "is a softmax axis: all its values depend on each other",
    )


def cumulative(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Running sums and products."""
    _along(demands, out, args[0], args[1] if len(args) > 1 else kwargs["dim"], "is summed up step by step")


def ordered(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Sorting, and the k largest: which positions come out depends on the values."""
    dims = [value for value in args[1:] if isinstance(value, int) and not isinstance(value, bool)]
    dim = kwargs.get("dim", dims[-1] if dims else -1)
    _along(demands, out, args[0], dim, "is sorted or picked from by value")


def _along(demands: Demands, out: Any, x: Tensor, dim: int, reason: str) -> None:
    labels = labels_of(x)
    axis = dim % max(1, len(labels.axes))
    axes = list(labels.axes)
    if axes:
        demands.freeze(axes[axis], reason)
        axes[axis] = None
    for result in tensors_in(out):
        put(result, axes if result.dim() == len(axes) else [None] * result.dim())


def glu(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """First half times the sigmoid of the second."""
    x = labels_of(args[0])
    dim = (args[1] if len(args) > 1 else kwargs.get("dim", -1)) % len(x.axes)
    axes = list(x.axes)
    ids = axes[dim]
    if ids is not None:
        half = len(ids) // 2
        demands.unite(ids[:half], ids[half:])
        axes[dim] = ids[:half]
    put(out, axes, x.zero)


def reduction(demands: Demands, out: Any, args: Args, kwargs: Named, name: str = "") -> None:
    """Sums, means, maxima, lengths: the reduced axes go away.

    A sum over channels is the same with and without those that hold 0; any other value would change, and keeps its channels, but for
    the statistics of norm layers that are written out in a module of their own.
    """
    x = args[0]
    labels = labels_of(x)
    dims = reduced_axes(name, args, kwargs, len(labels.axes))
    live = [labels.axes[dim] for dim in dims if labels.axes[dim] is not None]
    additive = name in {"sum", "linalg_vector_norm", "norm"} and labels.zero
    for ids in live:
        if not additive:
            _over(demands, ids, f"a {name} over it is used as a value")
    keep = [ids for axis, ids in enumerate(labels.axes) if axis not in dims]
    for result in tensors_in(out):
        spread = result.dim() == len(labels.axes)
        axes = [None if axis in dims else ids for axis, ids in enumerate(labels.axes)] if spread else keep
        fits = result.dim() == len(axes)
        put(
            result,
            axes if fits else [None] * result.dim(),
            labels.zero and name in {"sum", "mean", "amax", "max", "linalg_vector_norm"},
        )


def reduced_axes(name: str, args: Args, kwargs: Named, ndim: int) -> set[int]:
    """The axes that a reduction of this name, called like this, reduces."""
    place = 2 if name in {"linalg_vector_norm", "norm"} else 1
    dims = args[place] if len(args) > place else kwargs.get("dim")
    if dims is None or (isinstance(dims, (list, tuple)) and not dims) or isinstance(dims, bool):
        return set(range(ndim))
    chosen = dims if isinstance(dims, (list, tuple)) else [dims]
    return {int(dim) % max(1, ndim) for dim in chosen} if ndim else set()


def pool(demands: Demands, out: Any, args: Args, kwargs: Named, name: str = "") -> None:
    """Pools and interpolations: batch and channels stay apart, the image axes keep their sizes."""
    del kwargs
    labels = labels_of(args[0])
    n_spatial = int(next(letter for letter in name if letter.isdigit()))
    for ids in labels.axes[len(labels.axes) - n_spatial :]:
        demands.freeze(ids, "is an image axis of a pool or an interpolation")
    axes = [*labels.axes[: len(labels.axes) - n_spatial], *([None] * n_spatial)]
    for result in tensors_in(out):
        put(result, axes if result.dim() == len(axes) else [None] * result.dim(), labels.zero)
