"""Rules of operations that join tensors, cut them and read parts of them. No value is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from torch import Tensor

from regrow.channels.ids import Demands, Ids
from regrow.channels.labels import labels_of, put

Args = Sequence[Any]
Named = Mapping[str, Any]

BESIDE: Final = "stands beside values that keep their size"


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


def roll(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Positions moved round; without axes, through the whole tensor."""
    _moved(demands, out, args[0], args[2] if len(args) > 2 else kwargs.get("dims", ()))


def flip(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Positions in reverse."""
    del kwargs
    _moved(demands, out, args[0], args[1])


def _moved(demands: Demands, out: Any, x: Tensor, dims: Sequence[int]) -> None:
    """Along the axes that change their order nothing can go."""
    labels = labels_of(x)
    moved = {dim % x.dim() for dim in dims} or set(range(x.dim()))
    for axis in moved:
        demands.freeze(labels.axes[axis], "is rolled or flipped")
    put(out, [None if axis in moved else ids for axis, ids in enumerate(labels.axes)], labels.zero)


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
