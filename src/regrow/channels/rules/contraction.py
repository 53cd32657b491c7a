"""Rules of operations that multiply and add up: products of matrices, convolutions, embeddings, attention.

What is summed over is united; the free axes of the weights lead: they are the channels that can be pruned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from regrow.channels.ids import Demands, Ids
from regrow.channels.labels import labels_of, put

Args = Sequence[Any]
Named = Mapping[str, Any]


def mm(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """(n, m) @ (m, p)."""
    del kwargs
    _product(demands, out, args[0], args[1])


def summed(demands: Demands, one: Ids, other: Ids, zero: bool, reason: str) -> None:
    """Two axes are multiplied position by position and summed over: what goes must have added 0 (`zero`), or it stays."""
    demands.unite(one, other, reason)
    if not zero:
        for ids in (one, other):
            demands.freeze(ids, "is summed over, and its silent channels would not add 0")


def _product(demands: Demands, out: Tensor, left: Tensor, right: Tensor, bias: Tensor | None = None) -> None:
    """(..., n, m) @ (..., m, p), batch axes alike."""
    one, other = labels_of(left), labels_of(right)
    summed(
        demands, one.axes[-1], other.axes[-2], one.zero or other.zero, "is multiplied with an axis that keeps its size"
    )
    batch: list[Ids] = []
    for mine, yours in zip(one.axes[:-2], other.axes[:-2], strict=True):
        batch.append(demands.meet([mine, yours]))
    rows, columns = one.axes[-2], other.axes[-1]
    if other.data:  # the left one computes channels only where it is a weight that meets data
        demands.lead(rows)
    demands.lead(columns)
    axes = [*batch, rows, columns]
    zero = (one.zero or rows is None) and (other.zero or columns is None) and (one.zero or other.zero)
    if bias is not None:
        zero = _add(demands, axes, bias) and zero
    put(out, axes, zero)


def _add(demands: Demands, axes: list[Ids], bias: Tensor) -> bool:
    """Unite a broadcast addend with the result; True where it is zero at every removed position."""
    labels = labels_of(bias)
    offset = len(axes) - bias.dim()
    for axis, ids in enumerate(labels.axes):
        if bias.shape[axis] != 1:
            axes[axis + offset] = demands.meet([axes[axis + offset], ids], "is added to an axis that keeps its size")
    return labels.zero and len(labels.live) == sum(ids is not None for ids in axes)


def addmm(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """bias + left @ right."""
    del kwargs
    _product(demands, out, args[1], args[2], args[0])


def mv(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """(n, m) @ (m,)."""
    del kwargs
    matrix, vector = labels_of(args[0]), labels_of(args[1])
    summed(
        demands,
        matrix.axes[1],
        vector.axes[0],
        matrix.zero or vector.zero,
        "is multiplied with an axis that keeps its size",
    )
    demands.lead(matrix.axes[0])
    put(out, [matrix.axes[0]], matrix.zero)


def dot(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """(m,) @ (m,)."""
    del kwargs
    one, other = labels_of(args[0]), labels_of(args[1])
    summed(
        demands, one.axes[0], other.axes[0], one.zero or other.zero, "is multiplied with an axis that keeps its size"
    )
    put(out, [])


def linear(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """(..., m) @ (p, m) transposed, plus bias."""
    x, weight = labels_of(args[0]), labels_of(args[1])
    bias = args[2] if len(args) > 2 else kwargs.get("bias")
    summed(demands, x.axes[-1], weight.axes[1], x.zero or weight.zero, "is multiplied with an axis that keeps its size")
    demands.lead(weight.axes[0])
    axes = [*x.axes[:-1], weight.axes[0]]
    zero = weight.zero and (x.zero or not any(ids is not None for ids in x.axes[:-1]))
    if bias is not None:
        zero = _add(demands, axes, bias) and zero
    put(out, axes, zero)


def bilinear(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """`nn.Bilinear`: (..., n) and (..., m) with a weight (p, n, m), as PyTorch spreads them out."""
    del kwargs
    one, weight, other = (labels_of(tensor) for tensor in args[:3])
    summed(
        demands, one.axes[-1], weight.axes[1], one.zero or weight.zero, "is multiplied with an axis that keeps its size"
    )
    summed(
        demands,
        other.axes[-1],
        weight.axes[2],
        other.zero or weight.zero,
        "is multiplied with an axis that keeps its size",
    )
    demands.lead(weight.axes[0])
    for ids in [*one.axes[:-1], *other.axes[:-1]]:
        demands.freeze(ids, "is a batch axis of a bilinear layer")
    put(out, [*([None] * (out.dim() - 1)), weight.axes[0]], weight.zero)


def convolution(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Convolutions of every dimension, grouped, depthwise and transposed.

    A group of a grouped convolution can go as a whole; inside the groups, the same positions go in each.
    """
    del kwargs
    x, weight, bias = args[0], args[1], args[2]
    transposed, groups = args[6], int(args[8])
    channels = labels_of(x).axes[1]
    axis_in, axis_out = (0, 1) if transposed else (1, 0)
    w = labels_of(weight)
    demands.block = None
    if groups == 1:
        summed(
            demands,
            channels,
            w.axes[axis_in],
            labels_of(x).zero or w.zero,
            "is convolved with an axis that keeps its size",
        )
        made: Ids = w.axes[axis_out]
    elif transposed:
        made = _grouped_transposed(demands, x, weight, groups)
    else:
        made = _grouped(demands, x, weight, groups)
    demands.lead(made)
    for ids in [labels_of(x).axes[0], *w.axes[2:]]:
        _keep(demands, ids)
    axes = [None, made, *_image_axes(demands, x, weight, args)]
    zero = w.zero
    if bias is not None:
        made = demands.meet([made, labels_of(bias).axes[0]], "has a bias that keeps its size")
        zero = zero and labels_of(bias).zero
    put(out, axes, zero)


def _image_axes(demands: Demands, x: Tensor, weight: Tensor, args: Args) -> list[Ids]:
    """The axes that the kernel slides along. Where it has one place and steps by one, every position stays by itself."""
    axes = labels_of(x).axes[2:]
    steps = [
        [int(value) for value in setting] * (1 if len(setting) > 1 else len(axes)) for setting in (args[3], args[4])
    ]
    result: list[Ids] = []
    for place, ids in enumerate(axes):
        alone = weight.shape[2 + place] == 1 and steps[0][place] == 1 and steps[1][place] == 0
        if not alone:
            _keep(demands, ids)
        result.append(ids if alone else None)
    return result


def _keep(demands: Demands, ids: Ids) -> None:
    """Kernel and image axes keep their size. Ids that nothing else met need no mention, but those that did do."""
    if ids is not None:
        demands.freeze(ids, "is a spatial or batch axis of a convolution")


def _grouped(demands: Demands, x: Tensor, weight: Tensor, groups: int) -> Ids:
    channels, w = labels_of(x).axes[1], labels_of(weight)
    blocks, inside = demands.part(channels, [groups, x.shape[1] // groups])
    made_blocks, _ = demands.part(w.axes[0], [groups, weight.shape[0] // groups])
    demands.unite(blocks, made_blocks, "is a group of a convolution that keeps its size")
    if weight.shape[1] > 1:
        summed(demands, inside, w.axes[1], labels_of(x).zero or w.zero, "is convolved with an axis that keeps its size")
    demands.block = blocks
    return w.axes[0]


def _grouped_transposed(demands: Demands, x: Tensor, weight: Tensor, groups: int) -> Ids:
    channels, w = labels_of(x).axes[1], labels_of(weight)
    summed(demands, channels, w.axes[0], labels_of(x).zero or w.zero, "is convolved with an axis that keeps its size")
    blocks, _ = demands.part(w.axes[0], [groups, weight.shape[0] // groups])
    demands.block = blocks
    return demands.join([(groups, blocks), (weight.shape[1], w.axes[1])])


def embedding(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Rows of a table, picked by the data: the rows stay."""
    del kwargs
    table, indices = labels_of(args[0]), labels_of(args[1])
    demands.freeze(table.axes[0], "is picked from by the data")
    demands.lead(table.axes[1])
    put(out, [*indices.axes, table.axes[1]], table.zero)


def attention(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """Scaled dot product attention on (batch, heads, tokens, head dimension), already grouped alike."""
    del kwargs
    query, key, value = (labels_of(tensor) for tensor in args[:3])
    summed(
        demands, query.axes[-1], key.axes[-1], query.zero or key.zero, "is multiplied with an axis that keeps its size"
    )
    demands.unite(key.axes[-2], value.axes[-2], "is attended over")
    demands.freeze(key.axes[-2], "is attended over")
    heads: list[Ids] = []
    for mine, yours, theirs in zip(query.axes[:-2], key.axes[:-2], value.axes[:-2], strict=True):
        heads.append(demands.meet([mine, yours, theirs], "is a head that stays"))
    result = out[0] if isinstance(out, (tuple, list)) else out
    put(result, [*heads, query.axes[-2], value.axes[-1]], value.zero)


def weight_norm(demands: Demands, out: Any, args: Args, kwargs: Named) -> None:
    """g * v / |v|, the length taken over all axes of v but `dim`."""
    v, g = labels_of(args[0]), labels_of(args[1])
    dim = args[2] if len(args) > 2 else kwargs.get("dim", 0)
    axes: list[Ids] = []
    for axis, ids in enumerate(v.axes):
        if axis == dim % len(v.axes):
            demands.unite(ids, g.axes[axis] if axis < len(g.axes) else None, "has a scale that keeps its size")
        else:
            demands.statistic(ids, "the length of the weights over the kept inputs (weight norm)")
        axes.append(ids)
    # A removed input holds 0 in the silenced network, so it adds nothing to the length.
    result = out[0] if isinstance(out, (tuple, list)) else out
    put(result, axes, True)
