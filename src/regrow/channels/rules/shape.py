"""Rules of operations that move positions about: views, permutations, cuts and joins. No value is computed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from regrow.channels.ids import Demands, Ids
from regrow.channels.labels import labels_of, put

Args = Sequence[Any]
Named = Mapping[str, Any]


def view(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Views and reshapes: neighbouring axes are joined and cut again where the products of their sizes agree."""
    del kwargs
    x = args[0]
    labels = labels_of(x)
    put(out, regroup(demands, tuple(x.shape), labels.axes, tuple(out.shape)), labels.zero)


def regroup(demands: Demands, before: Sequence[int], axes: Sequence[Ids], after: Sequence[int]) -> list[Ids]:
    """The ids of `axes`, of sizes `before`, seen in the sizes `after`."""
    if all(ids is None for ids in axes) or 0 in before:
        for ids in axes:
            demands.freeze(ids, "is part of an empty tensor")
        return [None] * len(after)
    result: list[Ids] = [None] * len(after)
    i = j = 0
    while i < len(before) or j < len(after):
        i_end, j_end = _block(before, after, i, j)
        mine = [(before[k], axes[k]) for k in range(i, i_end) if before[k] != 1]
        theirs = [k for k in range(j, j_end) if after[k] != 1]
        for k, ids in zip(theirs, _recut(demands, mine, [after[k] for k in theirs]), strict=True):
            result[k] = ids
        i, j = i_end, j_end
    return result


def _block(before: Sequence[int], after: Sequence[int], i: int, j: int) -> tuple[int, int]:
    """The ends of the shortest stretches from i and j on that hold equally many positions."""
    i_end, j_end = min(i + 1, len(before)), min(j + 1, len(after))
    while (n := math.prod(before[i:i_end])) != (m := math.prod(after[j:j_end])):
        if (n < m and i_end < len(before)) or j_end >= len(after):
            i_end += 1
        else:
            j_end += 1
    return i_end, j_end


def _recut(demands: Demands, mine: Sequence[tuple[int, Ids]], theirs: Sequence[int]) -> list[Ids]:
    if not theirs:
        return []
    if all(ids is None for _, ids in mine):
        return [None] * len(theirs)
    if len(mine) == len(theirs) == 1:
        return [mine[0][1]]
    return demands.part(demands.join(mine), theirs)


def strided(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """`as_strided`: followed only where it leaves everything as it is."""
    del kwargs
    x = args[0]
    labels = labels_of(x)
    if (out.shape, out.stride(), out.storage_offset()) == (x.shape, x.stride(), x.storage_offset()):
        put(out, labels.axes, labels.zero)
        return
    for ids in labels.axes:
        demands.freeze(ids, "is laid out anew by its place in memory")
    put(out, [None] * out.dim())


def permute(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Axes in another order."""
    del demands, kwargs
    labels = labels_of(args[0])
    put(out, [labels.axes[dim] for dim in args[1]], labels.zero)


def transpose(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Two axes change places."""
    del demands, kwargs
    labels = labels_of(args[0])
    axes = list(labels.axes)
    if axes:
        one, other = args[1] % len(axes), args[2] % len(axes)
        axes[one], axes[other] = axes[other], axes[one]
    put(out, axes, labels.zero)


def t(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """A matrix transposed."""
    del demands, kwargs
    labels = labels_of(args[0])
    put(out, labels.axes[::-1], labels.zero)


def unsqueeze(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """A new axis of one position."""
    del demands, kwargs
    labels = labels_of(args[0])
    dim = args[1] % out.dim()
    put(out, [*labels.axes[:dim], None, *labels.axes[dim:]], labels.zero)


def squeeze(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Axes of one position go away: all, one, or those named."""
    del demands, kwargs
    x = args[0]
    labels = labels_of(x)
    named = args[1] if len(args) > 1 else range(x.dim())
    dims = {dim % max(1, x.dim()) for dim in (named if isinstance(named, (list, tuple, range)) else [named])}
    kept = [ids for axis, ids in enumerate(labels.axes) if axis not in dims or x.shape[axis] != 1]
    put(out, kept, labels.zero)


def expand(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Axes of one position repeated: all their positions are alike, so any of them can go."""
    del kwargs
    x = args[0]
    labels = labels_of(x)
    offset = out.dim() - x.dim()
    axes: list[Ids] = []
    for axis, size in enumerate(out.shape):
        same = axis >= offset and x.shape[axis - offset] == size
        axes.append(labels.axes[axis - offset] if same else _copies(demands, out, x, axis))
    put(out, axes, labels.zero and len(labels.live) == len(_live(axes)))  # a copy that goes holds what the others hold


def _live(axes: Sequence[Ids]) -> list[Ids]:
    return [ids for ids in axes if ids is not None]


def _copies(demands: Demands, out: Tensor, x: Tensor, axis: int) -> Ids:
    """Ids for an axis whose positions are copies of each other; only worth having where something else of the tensor is live."""
    return demands.fresh(out.shape[axis]) if labels_of(x).live and out.shape[axis] > 1 else None


def repeat(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """The whole tensor, so many times along each axis."""
    del kwargs
    x, times = args[0], args[1]
    labels = labels_of(x)
    offset = len(times) - x.dim()
    axes: list[Ids] = []
    for axis, count in enumerate(times):
        ids = labels.axes[axis - offset] if axis >= offset else None
        alone = axis < offset or x.shape[axis - offset] == 1
        if alone:
            axes.append(_copies(demands, out, x, axis))
        else:
            axes.append(None if ids is None else np.tile(ids, int(count)))
    put(out, axes, labels.zero and len(labels.live) == len(_live(axes)))


def repeat_interleave(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Every position so many times in a row."""
    x = args[0]
    labels = labels_of(x)
    dim = args[2] if len(args) > 2 else kwargs.get("dim")
    if dim is None or not isinstance(args[1], int):
        for ids in labels.axes:
            demands.freeze(ids, "is repeated by the data")
        put(out, [None] * out.dim())
        return
    axes = list(labels.axes)
    ids = axes[dim % len(axes)]
    axes[dim % len(axes)] = None if ids is None else np.repeat(ids, args[1])
    put(out, axes, labels.zero)


def pixel_shuffle(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """(..., C r r, H, W) -> (..., C, H r, W r): the r x r positions of one channel go together."""
    del kwargs
    labels, factor = labels_of(args[0]), int(args[1])
    *batch, ids, _, _ = labels.axes
    kept = _first_of_blocks(demands, ids, factor * factor)
    put(out, [*batch, kept, None, None], labels.zero)


def _first_of_blocks(demands: Demands, ids: Ids, length: int) -> Ids:
    """Blocks of neighbouring positions go together; the ids of their first ones."""
    if ids is None or length == 1:
        return ids
    table = ids.reshape(-1, length)
    for offset in range(1, length):
        demands.unite(table[:, 0], table[:, offset])
    return table[:, 0].copy()


def pixel_unshuffle(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """(..., C, H r, W r) -> (..., C r r, H, W)."""
    del demands, kwargs
    labels, factor = labels_of(args[0]), int(args[1])
    *batch, ids, _, _ = labels.axes
    put(out, [*batch, None if ids is None else np.repeat(ids, factor * factor), None, None], labels.zero)


def channel_shuffle(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """(N, groups x C, ...) -> (N, C x groups, ...); which group a channel is in must not change."""
    del kwargs
    labels, groups = labels_of(args[0]), int(args[1])
    axes = list(labels.axes)
    blocks, inside = demands.part(axes[1], [groups, args[0].shape[1] // groups])
    demands.freeze(blocks, "is a block of a channel shuffle")
    axes[1] = demands.join([(args[0].shape[1] // groups, inside), (groups, blocks)])
    put(out, axes, labels.zero)


def im2col(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Unfold: (N, C, H, W) -> (N, C x kernel positions, places)."""
    del demands, kwargs
    labels = labels_of(args[0])
    window = math.prod(int(size) for size in args[1])
    ids = labels.axes[-3]
    put(out, [*labels.axes[:-3], None if ids is None else np.repeat(ids, window), None], labels.zero)


def col2im(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Fold: (N, C x kernel positions, places) -> (N, C, H, W)."""
    del kwargs
    labels = labels_of(args[0])
    window = math.prod(int(size) for size in args[2])
    put(out, [*labels.axes[:-2], _first_of_blocks(demands, labels.axes[-2], window), None, None], labels.zero)
