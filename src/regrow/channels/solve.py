"""From demands to atoms: which positions stand and fall together, once all is said.

United ids form classes. A class is an atom, or, where grids see it as (row, column), the union of its row's and its column's atoms:
head 3, dimension 7 of an attention goes when head 3 goes or when dimension 7 goes. Class 0 stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from regrow.channels.ids import Demands, Grid
from regrow.channels.sizes import IdArray

_DEPTHS: Final = (3, 8)
"""Atoms of one position, at most: tried in turn, as nearly all networks need two. A position that would have more stays."""

_ROUNDS: Final = 60


@dataclass(frozen=True, slots=True)
class Atoms:
    """What every id comes down to."""

    table: NDArray[np.int64]
    """Atoms of every id, shape (depth, ids): 0 where there are fewer, or none."""

    def of(self, ids: IdArray) -> NDArray[np.int64]:
        """Atoms of the positions of an axis, shape (depth, positions); a position goes when any of its atoms goes."""
        return self.table[:, ids]


def components(
    count: int, pairs: Sequence[tuple[IdArray, IdArray]], zeros: Sequence[IdArray], start: IdArray | None = None
) -> IdArray:
    """The class of every id: the smallest id that it is united with. Ids in `zeros` are united with 0.

    >>> components(5, [(np.array([1, 2]), np.array([3, 4]))], [np.array([4])]).tolist()
    [0, 1, 0, 1, 0]
    """
    label = np.arange(count, dtype=np.int64) if start is None else start.copy()
    one = np.concatenate([pair[0] for pair in pairs]) if pairs else np.empty(0, dtype=np.int64)
    other = np.concatenate([pair[1] for pair in pairs]) if pairs else np.empty(0, dtype=np.int64)
    if zeros:
        label[np.concatenate([label[ids] for ids in zeros])] = 0
    while True:
        _flatten(label)
        a, b = label[one], label[other]
        apart = a != b
        if not apart.any():
            return label
        one, other, a, b = one[apart], other[apart], a[apart], b[apart]
        low, high = np.minimum(a, b), np.maximum(a, b)
        np.minimum.at(label, high, low)


def _flatten(label: IdArray) -> None:
    """Every id points at the end of its chain."""
    while True:
        further = label[label]
        if (further == label).all():
            return
        label[:] = further


def solve(demands: Demands, frozen: Sequence[IdArray] = ()) -> Atoms:
    """Classes and atoms of all ids; `frozen` are more ids that stay."""
    zeros = [entry.ids for entry in demands.frozen] + list(frozen)
    label = _settled(demands, components(demands.count, demands.united + demands.coupled, zeros))
    for depth in _DEPTHS:
        table, over = _expand(demands.grids, label, depth)
        if over is None:
            return Atoms(table)
    return solve(demands, [*frozen, over]) if over is not None else Atoms(table)


def _settled(demands: Demands, label: IdArray) -> IdArray:
    """The classes once every grid agrees with them; all grids stay where that cannot be had."""
    for _ in range(_ROUNDS):
        pairs, stay = _consequences(demands.grids, label)
        if not pairs and not stay:
            return label
        label = components(demands.count, pairs, stay, label)
    return components(demands.count, [], [ids for grid in demands.grids for ids in _ids_of(grid)], label)


def _ids_of(grid: Grid) -> tuple[IdArray, IdArray, IdArray]:
    return grid.cells, grid.rows, grid.columns


def _consequences(grids: Sequence[Grid], label: IdArray) -> tuple[list[tuple[IdArray, IdArray]], list[IdArray]]:
    """What the grids demand of the classes as they are now: classes to unite, classes that stay."""
    pairs: list[tuple[IdArray, IdArray]] = []
    stay: list[IdArray] = []
    for grid in grids:
        cells = label[grid.cells].reshape(len(grid.rows), len(grid.columns))
        rows = np.broadcast_to(label[grid.rows][:, None], cells.shape)
        columns = np.broadcast_to(label[grid.columns][None, :], cells.shape)
        _simple(cells, rows, columns, pairs, stay)
    if not pairs and not stay:
        _collisions(grids, label, pairs, stay)
    return pairs, stay


def _simple(
    cells: IdArray, rows: IdArray, columns: IdArray, pairs: list[tuple[IdArray, IdArray]], stay: list[IdArray]
) -> None:
    """A cell that stays keeps its row and column; a cell of a row that stays is its column, and the other way round."""
    kept = (cells == 0) & ((rows != 0) | (columns != 0))
    if kept.any():
        stay += [rows[kept], columns[kept]]
    for fixed, other in ((rows, columns), (columns, rows)):
        alone = (fixed == 0) & (cells != other)
        if alone.any():
            pairs.append((cells[alone], other[alone]))


def _collisions(
    grids: Sequence[Grid], label: IdArray, pairs: list[tuple[IdArray, IdArray]], stay: list[IdArray]
) -> None:
    """One class seen in several places: the same rows and columns where the grids are alike, else their rows stay."""
    live = [grid for grid in grids if label[grid.cells].any() and label[grid.rows].any() and label[grid.columns].any()]
    if not live:
        return
    cells = np.concatenate([label[grid.cells] for grid in live])
    rows = np.concatenate([np.repeat(label[grid.rows], len(grid.columns)) for grid in live])
    columns = np.concatenate([np.tile(label[grid.columns], len(grid.rows)) for grid in live])
    width = np.concatenate([np.full(len(grid.cells), len(grid.columns)) for grid in live])
    # A cell whose row or column stays is an atom by itself (see _simple) and is no longer a cell.
    real = (rows != 0) & (columns != 0)
    cells, rows, columns, width = cells[real], rows[real], columns[real], width[real]
    order = np.argsort(cells, kind="stable")
    cells, rows, columns, width = cells[order], rows[order], columns[order], width[order]
    same = np.flatnonzero(cells[1:] == cells[:-1])
    if not len(same):
        return
    alike = width[same] == width[same + 1]
    fits = same[alike]
    for values in (rows, columns):
        apart = fits[values[fits] != values[fits + 1]]
        if len(apart):
            pairs.append((values[apart], values[apart + 1]))
    clash = same[~alike]
    if len(clash):
        stay += [rows[clash], rows[clash + 1]]


def _expand(grids: Sequence[Grid], label: IdArray, depth: int) -> tuple[NDArray[np.int64], IdArray | None]:
    """Atoms of all ids, shape (depth, ids), and the ids that have more atoms than that."""
    table = np.zeros((depth, len(label)), dtype=np.int64)
    table[0] = label
    live = [grid for grid in grids if label[grid.cells].any() and label[grid.rows].any() and label[grid.columns].any()]
    over: list[IdArray] = []
    for _ in range(max(_DEPTHS)):
        before = table.copy()
        over = [ids for grid in live if len(ids := _fill(table, grid, label))]
        if (table == before).all():
            break
    table = table[:, label]
    used = int((table != 0).any(axis=1).sum())
    return table[: max(1, used)], np.concatenate(over) if over else None


def _fill(table: NDArray[np.int64], grid: Grid, label: IdArray) -> IdArray:
    """Write the atoms of a grid's cells; returns the cells that have more than fit."""
    rows, columns = label[grid.rows], label[grid.columns]
    depth = len(table)
    shape = (depth, len(rows), len(columns))
    both = np.concatenate(
        [
            np.broadcast_to(table[:, rows][:, :, None], shape).reshape(depth, -1),
            np.broadcast_to(table[:, columns][:, None, :], shape).reshape(depth, -1),
        ]
    )
    both = -np.sort(-both, axis=0)
    both[1:][both[1:] == both[:-1]] = 0
    both = -np.sort(-both, axis=0)
    cells = label[grid.cells]
    real = (cells != 0) & (np.repeat(rows, len(columns)) != 0) & (np.tile(columns, len(rows)) != 0)
    table[:, cells[real]] = both[:depth, real]
    return np.asarray(cells[real & (both[depth:] != 0).any(axis=0)])
