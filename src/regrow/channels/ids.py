"""Channel ids: which positions of which axes stand and fall together.

Every position of a live axis carries an id; an axis without ids (None) is one that always keeps its size. Operations write down what
they demand, and nothing is decided here:

    unite    two axes lie on each other: position i of one goes exactly when position i of the other goes
    freeze   these positions stay
    grid     an axis of a x b positions is seen as a rows of b columns (heads x head dimensions, groups x channels): position (i, j)
             goes exactly when row i or column j goes
    equate   a number of the code must follow the number of positions left on an axis

Id 0 is the one that stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from regrow.channels.sizes import Attribute, Diary, Expression, Extent, IdArray, Size, parts

Ids = IdArray | None
"""The ids of one axis; None where all positions stay."""


@dataclass(frozen=True, slots=True)
class Grid:
    """cells[i * len(columns) + j] goes exactly when rows[i] or columns[j] goes."""

    cells: IdArray
    rows: IdArray
    columns: IdArray


@dataclass(frozen=True, slots=True)
class Frozen:
    """Positions that stay, and why."""

    ids: IdArray
    reason: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One call of PyTorch's interface that has to be known again when the network runs on values: its name and its input's ids."""

    name: str
    axes: tuple[Ids, ...]


@dataclass(frozen=True, slots=True)
class Equation:
    """The expression must come out as the number of positions left: of `target`, or a plain number that never changes."""

    expression: Expression
    target: Extent | int
    where: str


class Demands:
    """Everything that the operations of one network demand of its channel ids."""

    def __init__(self) -> None:
        self.count = 1
        self.united: list[tuple[IdArray, IdArray]] = []
        self.coupled: list[tuple[IdArray, IdArray]] = []
        """Axes that were united only because nothing else makes them equally long."""
        self.frozen: list[Frozen] = []
        self.grids: list[Grid] = []
        self.led: list[IdArray] = []
        """Ids of the channels that weights compute: what can be pruned."""
        self.equations: list[Equation] = []
        self.statistics: list[tuple[IdArray, str]] = []
        """Ids over which a norm layer takes statistics, and which layer."""
        self.diary = Diary()
        self.calls = 0
        """Calls of PyTorch's Python interface so far."""
        self.calls_in_all = 0
        """Calls of the whole run in inference mode."""
        self.journal: dict[int, Entry] = {}
        """By the number of the call: sizes that were read, and statistics and scales that follow them."""
        self.writes_journal = True
        self.block: Ids = None
        """Ids of the blocks of the last grouped operation (groups of a convolution, of a group norm)."""
        self.in_norm = 0
        """Above 0 while a norm function of PyTorch runs."""
        self.where: Callable[[], str] = lambda: "the network"
        """Name of the module whose forward is running."""
        self.is_norm_module: Callable[[], bool] = lambda: False
        """Whether that module is a norm layer written out."""
        self._views: dict[tuple[bytes, bytes], IdArray] = {}
        self._splits: dict[tuple[bytes, int], tuple[IdArray, IdArray]] = {}

    def note(self, name: str, axes: Sequence[Ids]) -> None:
        """The call that runs now matters when the network is verified."""
        if self.writes_journal:
            self.journal[self.calls] = Entry(name, tuple(axes))

    def fresh(self, n: int) -> IdArray:
        """Ids that nothing else carries."""
        ids = np.arange(self.count, self.count + n, dtype=np.int64)
        self.count += n
        return ids

    def unite(self, one: Ids, other: Ids, reason: str = "") -> None:
        """Two axes of one length lie on each other."""
        if one is other:
            return
        if one is None or other is None:
            self.freeze(one if other is None else other, reason or "meets an axis that keeps its size")
        else:
            self.united.append((one, other))

    def meet(self, axes: Sequence[Ids], reason: str = "") -> Ids:
        """Several axes of one length lie on each other; what is left of them: None where one keeps its size."""
        if not axes or all(ids is None for ids in axes):
            return None
        if any(ids is None for ids in axes):
            for ids in axes:
                self.freeze(ids, reason or "meets an axis that keeps its size")
            return None
        for ids in axes[1:]:
            self.unite(axes[0], ids)
        return axes[0]

    def freeze(self, ids: Ids, reason: str) -> None:
        """These positions stay."""
        if ids is not None:
            self.frozen.append(Frozen(ids, f"{self.where()}: {reason}"))

    def lead(self, ids: Ids) -> None:
        """A weight computes these channels."""
        if ids is not None:
            self.led.append(ids)

    def statistic(self, ids: Ids, what: str) -> None:
        """A norm layer takes statistics over these channels: over the kept ones, once some are gone."""
        if ids is not None:
            self.statistics.append((ids, f"{self.where()}: {what}"))

    def is_norm(self) -> bool:
        """Whether what is computed now are the statistics of a norm layer."""
        return self.in_norm > 0 or self.is_norm_module()

    def join(self, axes: Sequence[tuple[int, Ids]]) -> Ids:
        """Axes, each (length, ids), laid out as one, the last varying fastest."""
        axes = [axis for axis in axes if axis[0] != 1]
        if not axes:
            return None
        length, ids = axes[-1]
        for n, outer in reversed(axes[:-1]):
            ids = self._product(outer, n, ids, length)
            length *= n
        return ids

    def _product(self, outer: Ids, n_outer: int, inner: Ids, n_inner: int) -> Ids:
        if outer is None and inner is None:
            return None
        if inner is None or outer is None:
            return np.tile(inner, n_outer) if inner is not None else np.repeat(outer, n_inner)  # type: ignore[arg-type]
        key = (outer.tobytes(), inner.tobytes())
        if key not in self._views:
            cells = self.fresh(n_outer * n_inner)
            self._remember(Grid(cells, outer, inner))
        return self._views[key]

    def part(self, ids: Ids, lengths: Sequence[int]) -> list[Ids]:
        """One axis seen as several, the last varying fastest: the inverse of `join`."""
        if len(lengths) == 1:
            return [ids]
        if ids is None:
            return [None] * len(lengths)
        n_outer = lengths[0]
        outer, rest = self._factors(ids, n_outer, len(ids) // n_outer if n_outer else 0)
        return [outer, *self.part(rest, lengths[1:])]

    def _factors(self, ids: IdArray, n_outer: int, n_inner: int) -> tuple[Ids, Ids]:
        if n_outer == 1 or n_inner == 1:
            return (None, ids) if n_outer == 1 else (ids, None)
        table = ids.reshape(n_outer, n_inner)
        if (table == table[:, :1]).all():
            return (table[:, 0].copy() if table.any() else None), None
        if (table == table[:1]).all():
            return None, table[0].copy()
        key = (ids.tobytes(), n_outer)
        if key not in self._splits:
            self._remember(Grid(ids, self.fresh(n_outer), self.fresh(n_inner)))
        return self._splits[key]

    def _remember(self, grid: Grid) -> None:
        self.grids.append(grid)
        self._views[(grid.rows.tobytes(), grid.columns.tobytes())] = grid.cells
        self._splits[(grid.cells.tobytes(), len(grid.rows))] = (grid.rows, grid.columns)

    def follow(self, number: int, ids: Ids, length: int, what: str) -> None:
        """The code gave `number` for an axis of `length` positions: as a size that must follow, or as a constant."""
        if int(number) < 0:
            return
        if not isinstance(number, Size):
            if ids is not None and length > 1:
                self.freeze(ids, f"{what} writes the number {int(number)}")
            return
        source = number.source
        if isinstance(source, Extent) and source.ids is ids:
            return
        target = int(length) if ids is None else Extent(ids)
        if not (ids is None and not any(True for _ in parts(source))):
            self.equations.append(Equation(source, target, self.where()))

    def equal_lengths(self, pieces: Iterable[Ids]) -> None:
        """Pieces of one axis that the code cuts into equal lengths stay equally long."""
        live = list(pieces)
        if all(piece is None for piece in live):
            return
        if any(piece is None for piece in live):
            for piece in live:
                self.freeze(piece, "is one of several equal pieces, of which others keep their size")
            return
        first, *others = live
        for other in others:
            if first is not None and other is not None:
                self.equations.append(Equation(Extent(first), Extent(other), self.where()))


def attributes_in(expression: Expression) -> set[Attribute]:
    """The attributes of an expression."""
    return {part for part in parts(expression) if isinstance(part, Attribute)}
