"""Rules of operations that move positions about: views, permutations, cuts and joins. No value is computed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from torch import Tensor

from regrow.channels.ids import Demands, Ids
from regrow.channels.labels import labels_of, put

Args = Sequence[Any]
Named = Mapping[str, Any]

BESIDE: Final = "stands beside values that keep their size"


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
    """`as_strided`: followed only where it leaves the sizes as they are."""
    del kwargs
    labels = labels_of(args[0])
    if tuple(out.shape) == tuple(args[0].shape):
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
    put(out, axes, labels.zero)


def _copies(demands: Demands, out: Tensor, x: Tensor, axis: int) -> Ids:
    """Ids for an axis whose positions are copies of each other; only worth having where something else of the tensor is live."""
    return demands.fresh(out.shape[axis]) if labels_of(x).live else None


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
    put(out, axes, labels.zero)


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


def cat(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Tensors one after the other along an axis; they lie on each other along all others."""
    tensors = [tensor for tensor in args[0] if tensor.dim() == out.dim()]
    dim = (args[1] if len(args) > 1 else kwargs.get("dim", 0)) % out.dim()
    labels = [labels_of(tensor) for tensor in tensors]
    axes = [
        demands.meet([one.axes[axis] for one in labels], BESIDE) if axis != dim else None for axis in range(out.dim())
    ]
    pieces = [one.axes[dim] for one in labels]
    if any(ids is not None for ids in pieces):
        lengths = [tensor.shape[dim] for tensor in tensors]
        axes[dim] = np.concatenate(
            [np.zeros(n, dtype=np.int64) if ids is None else ids for n, ids in zip(lengths, pieces, strict=True)]
        )
    live = {axis for axis, ids in enumerate(axes) if ids is not None and axis != dim}
    put(
        out,
        axes,
        all(one.zero for one in labels if one.live) and (not live or all(live <= set(one.live) for one in labels)),
    )


def stack(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Tensors of one shape along a new axis."""
    labels = [labels_of(tensor) for tensor in args[0]]
    dim = (args[1] if len(args) > 1 else kwargs.get("dim", 0)) % out.dim()
    axes = [demands.meet([one.axes[axis] for one in labels], BESIDE) for axis in range(len(labels[0].axes))]
    put(out, [*axes[:dim], None, *axes[dim:]], all(one.zero for one in labels))


def split(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Pieces of equal length along an axis, or of the lengths given."""
    x, lengths = args[0], args[1]
    dim = (args[2] if len(args) > 2 else kwargs.get("dim", 0)) % x.dim()
    labels = labels_of(x)
    ids, start, pieces = labels.axes[dim], 0, []
    if isinstance(lengths, int) and x.shape[dim] % lengths:
        demands.freeze(ids, "is cut into pieces of which the last is shorter")
        ids = None
    for result in out:
        piece = None if ids is None else ids[start : start + result.shape[dim]]
        start += result.shape[dim]
        pieces.append(piece)
        put(result, [*labels.axes[:dim], piece, *labels.axes[dim + 1 :]], labels.zero)
    if isinstance(lengths, int) and len(pieces) > 1:
        demands.equal_lengths(pieces)


def cut(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """`x[..., start:end:step]`. What the bounds mean for the sizes is followed where the code gives them."""
    x = args[0]
    dim, start, end, step = _bounds(x, args, kwargs)
    labels = labels_of(x)
    axes = list(labels.axes)
    ids = axes[dim]
    if ids is not None:
        axes[dim] = ids[start:end:step]
        if step > 1:
            _strided(demands, ids, step)
    put(out, axes, labels.zero)


def _bounds(x: Tensor, args: Args, kwargs: Named) -> tuple[int, int, int, int]:
    given = [0, None, None, 1]
    given[: len(args) - 1] = args[1:]
    dim, start, end, step = (
        kwargs.get(name, value) for name, value in zip(("dim", "start", "end", "step"), given, strict=True)
    )
    dim = (dim or 0) % x.dim()
    size = x.shape[dim]
    first, last, stride = slice(start, end, step).indices(size)
    return dim, first, last, stride


def _strided(demands: Demands, ids: Ids, step: int) -> None:
    """Every step-th position: neighbours go together, so that the rest still falls on the same places."""
    if ids is None:
        return
    if len(ids) % step:
        demands.freeze(ids, f"is read in steps of {step}, which do not divide its length")
        return
    table = ids.reshape(-1, step)
    for offset in range(1, step):
        demands.unite(table[:, 0], table[:, offset])


def select(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """One position of an axis."""
    del kwargs
    labels = labels_of(args[0])
    dim = args[1] % len(labels.axes)
    demands.freeze(labels.axes[dim], "is read at one fixed position")
    put(out, [ids for axis, ids in enumerate(labels.axes) if axis != dim], labels.zero)


def unbind(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Every position of an axis by itself."""
    labels = labels_of(args[0])
    dim = (args[1] if len(args) > 1 else kwargs.get("dim", 0)) % len(labels.axes)
    demands.freeze(labels.axes[dim], "is taken apart position by position")
    for result in out:
        put(result, [ids for axis, ids in enumerate(labels.axes) if axis != dim], labels.zero)


def pad(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Positions added at the ends of axes; they stay."""
    del kwargs
    x, amounts = args[0], list(args[1])
    value = args[2] if len(args) > 2 else 0
    labels = labels_of(x)
    axes = list(labels.axes)
    for place in range(len(amounts) // 2):
        axis, before, after = x.dim() - 1 - place, amounts[2 * place], amounts[2 * place + 1]
        ids = axes[axis]
        if ids is not None and (before or after):
            axes[axis] = _padded(demands, ids, int(before), int(after))
    put(out, axes, labels.zero and not value)


def _padded(demands: Demands, ids: Ids, before: int, after: int) -> Ids:
    if ids is None or before < 0 or after < 0:
        demands.freeze(ids, "is cropped by a fixed amount")
        return None
    return np.pad(ids, (before, after))


def whole(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Rolls, flips and reflections: along the axes that change size or order nothing can go."""
    x = args[0]
    labels = labels_of(x)
    dims = args[-1] if len(args) > 1 else kwargs.get("dims", ())
    moved = (
        {dim % x.dim() for dim in dims}
        if isinstance(dims, (list, tuple)) and tuple(out.shape) == tuple(x.shape)
        else None
    )
    axes: list[Ids] = []
    for axis, ids in enumerate(labels.axes):
        stays = axis not in moved if moved is not None else out.shape[axis] == x.shape[axis]
        if not stays:
            demands.freeze(ids, "is rolled, flipped or padded with its own values")
        axes.append(ids if stays else None)
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


def unfold(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Sliding windows along an axis, as a new last axis."""
    del kwargs
    labels = labels_of(args[0])
    dim = args[1] % len(labels.axes)
    demands.freeze(labels.axes[dim], "is cut into sliding windows")
    put(out, [*(None if axis == dim else ids for axis, ids in enumerate(labels.axes)), None], labels.zero)


def diagonal(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """The diagonal of two axes, as a new last axis: they lie on each other."""
    x = labels_of(args[0])
    dims = [args[2] if len(args) > 2 else kwargs.get("dim1", 0), args[3] if len(args) > 3 else kwargs.get("dim2", 1)]
    one, other = (dim % len(x.axes) for dim in dims)
    demands.freeze(x.axes[one], "is read along a diagonal")
    demands.freeze(x.axes[other], "is read along a diagonal")
    put(out, [*(ids for axis, ids in enumerate(x.axes) if axis not in {one, other}), None], x.zero)


def complex_pairs(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """`view_as_complex`: the last axis, real and imaginary part, goes away. `view_as_real`: it comes back."""
    del kwargs
    labels = labels_of(args[0])
    if out.dim() < len(labels.axes):
        demands.freeze(labels.axes[-1], "is a pair of real and imaginary part")
        put(out, labels.axes[:-1], labels.zero)
    else:
        put(out, [*labels.axes, None], labels.zero)
