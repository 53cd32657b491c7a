"""What the forward code says where it cuts tensors: lengths of pieces, bounds of slices. Each is followed to the positions that it counts.

Handlers of `regrow.channels.watch`: each runs the function and follows its numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from regrow.channels.ids import Demands
from regrow.channels.labels import labels_of
from regrow.channels.sizes import Size

Args = Sequence[Any]
Named = Mapping[str, Any]


def split(demands: Demands, func: Any, args: Args, kwargs: Named) -> Any:
    """`x.split(n, dim)`, `x.split([n, m], dim)`, `torch.split`."""
    out = func(*args, **kwargs)
    x = args[0]
    lengths = args[1] if len(args) > 1 else next(value for key, value in kwargs.items() if key != "dim")
    dim = int(kwargs.get("dim", args[2] if len(args) > 2 else 0)) % x.dim()
    pieces = [labels_of(piece).axes[dim] for piece in out]
    lengths = [lengths] if isinstance(lengths, int) else lengths
    if len(lengths) == 1 and len(out) == 1:
        return out
    for length, ids, piece in zip(lengths, pieces, out, strict=False):
        demands.follow(length, ids, piece.shape[dim], "split")
    return out


def tensor_split(demands: Demands, func: Any, args: Args, kwargs: Named) -> Any:
    """`x.tensor_split(n, dim)`: pieces of equal length, or cut at the places given."""
    out = func(*args, **kwargs)
    x = args[0]
    places = args[1] if len(args) > 1 else next(value for key, value in kwargs.items() if key != "dim")
    dim = int(kwargs.get("dim", args[2] if len(args) > 2 else 0)) % x.dim()
    dim = min(_SPLIT_ALONG.get(func.__name__, dim), x.dim() - 1)
    if isinstance(places, (list, tuple)):
        for place in places:
            _bound(demands, x, dim, place)
    elif isinstance(places, int) and x.shape[dim] % int(places) == 0:
        demands.equal_lengths([labels_of(piece).axes[dim] for piece in out])
    else:
        demands.freeze(labels_of(x).axes[dim], "is cut into pieces of different lengths")
    return out


_SPLIT_ALONG: Final = {"hsplit": 1, "vsplit": 0, "dsplit": 2}


def narrow(demands: Demands, func: Any, args: Args, kwargs: Named) -> Any:
    """`x.narrow(dim, start, length)`."""
    out = func(*args, **kwargs)
    values = dict(zip(("input", "dim", "start", "length"), args, strict=False)) | dict(kwargs)
    x = args[0]
    dim = int(values["dim"]) % x.dim()
    start, length = values["start"], values["length"]
    _bound(demands, x, dim, start)
    _bound(demands, x, dim, start + length)
    return out


def _bound(demands: Demands, x: Tensor, dim: int, place: int) -> None:
    """A place along an axis that the code names: it follows the number of positions left before it."""
    ids = labels_of(x).axes[dim]
    size = x.shape[dim]
    if ids is None or int(place) == 0 or (int(place) >= size and not isinstance(place, Size)):
        return
    if int(place) < 0:
        demands.follow(-place, ids[int(place) :], -int(place), "a slice from the end")
    else:
        demands.follow(place, ids[: int(place)], min(int(place), size), "a slice")
    if not isinstance(place, Size):
        demands.freeze(ids, f"a slice writes the number {int(place)}")


def getitem(demands: Demands, func: Any, args: Args, kwargs: Named) -> Any:
    """`x[:, :n]`: the bounds of slices are followed, all else is the business of the primitive operations."""
    out = func(*args, **kwargs)
    if isinstance(args[0], Tensor):
        _slices(demands, args[0], args[1])
    return out


def _slices(demands: Demands, x: Tensor, key: Any) -> None:
    if not labels_of(x).live:
        return
    entries = list(key) if isinstance(key, tuple) else [key]
    axis = 0
    for place, entry in enumerate(entries):
        if entry is Ellipsis:
            axis = x.dim() - sum(_consumes(later) for later in entries[place + 1 :])
            continue
        bounds = () if not isinstance(entry, slice) or _every_nth(entry) else (entry.start, entry.stop)
        for bound in (bound for bound in bounds if isinstance(bound, int)):
            _bound(demands, x, axis, bound)
        axis += _consumes(entry)


def _every_nth(entry: slice) -> bool:
    """`x[1::2]`: neighbours go together, so where it starts among them is no size."""
    start, step = entry.start or 0, entry.step
    return (
        entry.stop is None
        and isinstance(step, int)
        and step > 1
        and isinstance(start, int)
        and 0 <= int(start) < int(step)
    )


def _consumes(entry: Any) -> int:
    """Axes of the tensor that one entry of an index stands for."""
    if entry is None or isinstance(entry, bool):
        return 0
    if isinstance(entry, Tensor) and entry.dtype in (torch.bool, torch.uint8):
        return entry.dim()
    return 1
