"""Rules of operations that pick positions by index. Where the index runs along channels, the channels stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from regrow.channels.ids import Demands, Ids
from regrow.channels.labels import labels_of, put, tensors_in
from regrow.channels.rules.contraction import summed

Args = Sequence[Any]
Named = Mapping[str, Any]

PICKED = "is picked from by index"


def index(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """`x[i, :, j]` with tensors of indices."""
    del kwargs
    labels, indices = labels_of(args[0]), list(args[1])
    _freeze_all(demands, indices, "is an index")
    width = [max(1, entry.dim()) if entry is not None and _is_mask(entry) else 1 for entry in indices]
    axes: list[Ids] = []
    places: list[int] = []
    axis = 0
    for entry, n in zip(indices, width, strict=True):
        if entry is None:
            axes.append(labels.axes[axis])
        else:
            places.append(len(axes))
            for ids in labels.axes[axis : axis + n]:
                demands.freeze(ids, PICKED)
        axis += n
    axes += labels.axes[axis:]
    n_new = out.dim() - len(axes)
    together = places == [places[0]] * len(places) if places else True
    start = places[0] if places and together else 0
    put(out, [*axes[:start], *([None] * n_new), *axes[start:]], labels.zero)


def _freeze_all(demands: Demands, tensors: Any, reason: str) -> None:
    for tensor in tensors_in(tensors):
        for ids in labels_of(tensor).axes:
            demands.freeze(ids, reason)


def _is_mask(entry: Tensor) -> bool:
    return str(entry.dtype) in {"torch.bool", "torch.uint8"}


def index_select(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Rows picked along one axis."""
    del kwargs
    labels = labels_of(args[0])
    dim = args[1] % max(1, len(labels.axes))
    _freeze_all(demands, args[2], "is an index")
    demands.freeze(labels.axes[dim], PICKED)
    put(out, [None if axis == dim else ids for axis, ids in enumerate(labels.axes)], labels.zero)


def gather(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """`take_along_dim`: along `dim` the index decides, along all others source and index lie on each other."""
    del kwargs
    x, indices = labels_of(args[0]), labels_of(args[2])
    dim = args[1] % max(1, len(x.axes))
    axes: list[Ids] = []
    for axis, (mine, theirs) in enumerate(zip(x.axes, indices.axes, strict=True)):
        if axis == dim or args[0].shape[axis] != args[2].shape[axis]:
            demands.freeze(mine, PICKED)
            demands.freeze(theirs, PICKED)
            axes.append(None)
        else:
            axes.append(demands.meet([mine, theirs], PICKED))
    put(out, axes, x.zero)


def scatter(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Values put at places that the data chooses: all axes of all operands that are live along the way stay, but for those that match."""
    del kwargs
    x = labels_of(args[0])
    others = [tensor for tensor in tensors_in(args[1:]) if tensor.dim() == len(x.axes)]
    dim = args[1] % max(1, len(x.axes)) if isinstance(args[1], int) else None
    axes: list[Ids] = []
    for axis, ids in enumerate(x.axes):
        same = axis != dim and all(tensor.shape[axis] == args[0].shape[axis] for tensor in others) and dim is not None
        for tensor in others:
            theirs = labels_of(tensor).axes[axis]
            if same:
                demands.unite(ids, theirs, PICKED)
            else:
                demands.freeze(theirs, PICKED)
        if not same:
            demands.freeze(ids, PICKED)
        axes.append(ids if same else None)
    for result in tensors_in(out):
        put(result, axes)


def index_put(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """`x[i] = values`: indexed axes stay; axes after them lie on those of the values."""
    del kwargs
    x, values = labels_of(args[0]), labels_of(args[2])
    _freeze_all(demands, args[1], "is an index")
    n_indexed = sum(max(1, entry.dim()) if entry is not None and _is_mask(entry) else 1 for entry in args[1])
    axes = list(x.axes)
    for axis in range(n_indexed):
        demands.freeze(axes[axis], PICKED)
        axes[axis] = None
    for back in range(1, len(values.axes) + 1):
        axis = len(axes) - back
        theirs = values.axes[-back]
        if axis >= n_indexed and args[2].shape[-back] == args[0].shape[axis]:
            demands.unite(axes[axis], theirs, PICKED)
        else:
            demands.freeze(theirs, PICKED)
    put(out, axes)


def roi(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Regions cut out of feature maps, (N, C, H, W) -> (regions, C, height, width): channels stay apart."""
    del kwargs
    labels = labels_of(args[0])
    _freeze_all(demands, args[1], "says where to read")
    for result in tensors_in(out):
        axes = (
            [None, labels.axes[1], None, None] if result.dim() == 4 and len(labels.axes) == 4 else [None] * result.dim()
        )
        put(result, axes, labels.zero)


def grid_sample(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Values read between pixels, at places that the data chooses: channels stay apart."""
    del kwargs
    labels = labels_of(args[0])
    _freeze_all(demands, args[1], "says where to read")
    for ids in labels.axes[2:]:
        demands.freeze(ids, "is an image axis that is read between its pixels")
    put(out, [labels.axes[0], labels.axes[1], *([None] * (out.dim() - 2))], labels.zero)


def deformable(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Deformable convolution: input, weight, offset, mask, bias."""
    del kwargs
    x, weight = labels_of(args[0]), labels_of(args[1])
    _freeze_all(demands, args[2:4], "says where to read")
    summed(demands, x.axes[1], weight.axes[1], x.zero or weight.zero, "is convolved with an axis that keeps its size")
    demands.unite(weight.axes[0], labels_of(args[4]).axes[0], "has a bias that keeps its size")
    demands.lead(weight.axes[0])
    put(out, [None, weight.axes[0], None, None], weight.zero)


def unknown(demands: Demands, out: Any, args: Args, kwargs: Named, name: str = "") -> None:
    """An operation that no rule describes: everything that it touches stays."""
    _freeze_all(demands, (args, kwargs), f"there is no rule for the operation {name}")
    for result in tensors_in(out):
        put(result, [None] * result.dim())
