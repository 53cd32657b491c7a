"""Labelled tensors by hand, what one operation demands of them, and whether that is true.

    sheet = Sheet()
    x = sheet.tensor("-c-", 2, 4, 3)             # letters name live axes
    y = sheet.run(lambda: x.transpose(0, 1))
    sheet.seen(y) == ["c0 c1 c2 c3", "-", "-"]

What is seen on an axis are the atoms of its positions: `c1` the second position of c, `h0+d1` a position that goes with either of two,
`0` one that stays, `-` an axis without ids. A united position has the name of the first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regrow.channels.ids import Demands, Ids
from regrow.channels.labels import labels_of, put
from regrow.channels.solve import solve
from regrow.channels.trace import Recorder
from regrow.channels.watch import Watch

Call = Callable[..., Any]


class Sheet:
    """Tensors on the meta device with named channels."""

    def __init__(self) -> None:
        self.demands = Demands()
        self.names: dict[int, str] = {}

    def tensor(self, axes: str, *shape: int, zero: bool = True, dtype: torch.dtype = torch.float32) -> Tensor:
        """A tensor without numbers whose axes that are letters are live; `zero` as in `Labels`."""
        tensor = torch.empty(shape, dtype=dtype, device="meta")
        put(tensor, [None if letter == "-" else self._named(letter, n) for letter, n in zip(axes, shape, strict=True)])
        labels_of(tensor).zero = zero
        return tensor

    def _named(self, letter: str, n: int) -> Ids:
        ids = self.demands.fresh(n)
        self.names.update({int(number): f"{letter}{place}" for place, number in enumerate(ids)})
        return ids

    def run(self, call: Callable[[], Any]) -> Any:
        """What the call returns, with its primitive operations recorded: their rules alone."""
        with torch.no_grad(), Recorder(self.demands, on_meta=True):
            return call()

    def watch(self, call: Callable[[], Any]) -> Any:
        """What the call returns, with its numbers followed, too."""
        with torch.no_grad(), Watch(self.demands), Recorder(self.demands, on_meta=True):
            return call()

    def name(self, atom: int) -> str:
        """The first named id that came down to an atom."""
        if atom == 0:
            return "0"
        table = solve(self.demands).table
        alone = (table == atom).any(axis=0) & ((table != 0).sum(axis=0) == 1)
        return next((self.names[number] for number in np.flatnonzero(alone).tolist() if number in self.names), "?")

    def seen(self, tensor: Tensor) -> list[str]:
        """The atoms of every axis, written out."""
        return [self.read(ids) for ids in labels_of(tensor).axes]

    def read(self, ids: Ids) -> str:
        """The atoms of one axis, written out."""
        if ids is None:
            return "-"
        atoms = solve(self.demands).of(ids)
        name = functools.cache(self.name)
        return " ".join(
            "+".join(sorted((name(int(a)) for a in column if a), key=_known_first)) or "0" for column in atoms.T
        )

    @property
    def reasons(self) -> list[str]:
        """Why positions stay, each once."""
        return list(dict.fromkeys(entry.reason.removeprefix("the network: ") for entry in self.demands.frozen))

    @property
    def leading(self) -> str:
        """The channels that weights compute."""
        return " | ".join(self.read(ids) for ids in self.demands.led)


def _known_first(name: str) -> tuple[bool, str]:
    return name == "?", name


def true_of(call: Call, *axes: str, shapes: Sequence[Sequence[int]], zero: bool = True, seed: int = 0) -> int:
    """Assert that what one operation demands is true, by computing it with and without channels; how many positions went.

    Channels are chosen at random among those that can go. The call on inputs without them must give what it gives on the inputs with
    zeros in their places (with anything there, where the inputs are not said to be zero), at the positions that are left; and zeros
    at the others, where the result says so.
    """
    sheet = Sheet()
    labelled = [sheet.tensor(letters, *shape, zero=zero) for letters, shape in zip(axes, shapes, strict=True)]
    result = sheet.run(lambda: call(*labelled))
    atoms = solve(sheet.demands)
    numbers = torch.Generator().manual_seed(seed)
    lived = [atoms.of(ids) for one in labelled for ids in labels_of(one).axes if ids is not None]
    alive = sorted({int(a) for along in lived for a in along.ravel() if a})
    gone = np.array([a for a in alive if torch.rand((), generator=numbers) < 0.5], dtype=np.int64)
    for along in lived:  # one position of every axis is left
        if np.isin(along, gone).any(axis=0).all():
            gone = gone[~np.isin(gone, along[:, 0])]

    def kept(ids: Ids, size: int) -> Tensor:
        stays = np.ones(size, dtype=bool) if ids is None else ~np.isin(atoms.of(ids), gone).any(axis=0)
        return torch.from_numpy(np.flatnonzero(stays))

    def cut(value: Tensor, like: Tensor) -> Tensor:
        for axis, ids in enumerate(labels_of(like).axes):
            value = value.index_select(axis, kept(ids, like.shape[axis]))
        return value

    def silent(value: Tensor, like: Tensor) -> Tensor:
        mask = torch.ones(value.shape, dtype=torch.bool)
        for axis, ids in enumerate(labels_of(like).axes):
            place = torch.zeros(like.shape[axis], dtype=torch.bool).index_fill(0, kept(ids, like.shape[axis]), True)
            mask &= place.reshape([-1 if dim == axis else 1 for dim in range(mask.dim())])
        return mask

    values = [torch.randn(*shape, generator=numbers, dtype=torch.float64) for shape in shapes]
    dense = [value * silent(value, like) if zero else value for value, like in zip(values, labelled, strict=True)]
    expected, found = call(*dense), call(*[cut(value, like) for value, like in zip(values, labelled, strict=True)])
    for one, small, like in zip(*(_tensors(part) for part in (expected, found, result)), strict=True):
        torch.testing.assert_close(cut(one, like), small)
        if labels_of(like).zero:
            outside = ~silent(one, like)
            assert (one[outside] == 0).all(), "it says that removed positions hold 0"
    return sum(value.numel() - cut(value, like).numel() for value, like in zip(values, labelled, strict=True))


def _tensors(value: Any) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else [part for part in value if isinstance(part, Tensor)]
