from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from regrow.channels.ids import Demands
from regrow.channels.sizes import IdArray
from regrow.channels.solve import components, solve

Pairs = list[tuple[int, int]]
PAIRS = st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=25)


def as_pairs(pairs: Pairs) -> list[tuple[IdArray, IdArray]]:
    return [(np.array([a], dtype=np.int64), np.array([b], dtype=np.int64)) for a, b in pairs]


@given(PAIRS, st.lists(st.integers(0, 19), max_size=3))
@settings(deadline=None)
def test_classes_are_the_connected_components_named_by_their_smallest_id(pairs: Pairs, zeros: list[int]) -> None:
    label = components(20, as_pairs(pairs), [np.array(zeros, dtype=np.int64)] if zeros else [])
    edges = [*pairs, *((zero, 0) for zero in zeros)]
    rows, columns = [a for a, _ in edges], [b for _, b in edges]
    _, expected = connected_components(
        coo_array((np.ones(len(edges)), (rows, columns)), shape=(20, 20)), directed=False
    )
    for number in range(20):
        assert label[number] == np.flatnonzero(expected == expected[number]).min()


@given(PAIRS, PAIRS)
@settings(deadline=None)
def test_classes_can_be_united_in_two_goes(first: Pairs, second: Pairs) -> None:
    label = components(20, as_pairs(first), [])
    assert np.array_equal(components(20, as_pairs(second), [], label), components(20, as_pairs(first + second), []))
    assert np.array_equal(label, components(20, as_pairs(first), [])), (
        "the classes that were given are left as they are"
    )


def test_long_chains_end() -> None:
    chain = [(np.arange(999, dtype=np.int64), np.arange(1, 1000, dtype=np.int64))]
    assert not components(1000, chain, []).any()
    assert not components(1000, [(chain[0][1], chain[0][0])], []).any()


def atoms(demands: Demands, ids: IdArray) -> list[set[int]]:
    """The atoms of every position."""
    return [{int(atom) for atom in column if atom} for column in solve(demands).of(ids).T]


def split(demands: Demands, ids: IdArray, rows: int) -> tuple[IdArray, IdArray]:
    """Rows and columns of an axis."""
    one, other = demands.part(ids, [rows, len(ids) // rows])
    assert one is not None and other is not None
    return one, other


def test_positions_of_a_grid_go_with_their_row_or_their_column() -> None:
    demands = Demands()
    ids = demands.fresh(6)
    heads, dims = split(demands, ids, 2)
    h, d = [one.pop() for one in atoms(demands, heads)], [one.pop() for one in atoms(demands, dims)]
    assert len({*h, *d}) == 5
    assert atoms(demands, ids) == [{h[0], d[0]}, {h[0], d[1]}, {h[0], d[2]}, {h[1], d[0]}, {h[1], d[1]}, {h[1], d[2]}]


def test_equal_grids_over_the_same_positions_have_the_same_rows_and_columns() -> None:
    demands = Demands()
    queries, keys = demands.fresh(6), demands.fresh(6)
    (h, d), (k, e) = split(demands, queries, 2), split(demands, keys, 2)
    demands.unite(queries, keys)
    assert atoms(demands, h) == atoms(demands, k) and atoms(demands, d) == atoms(demands, e)


def test_uniting_rows_and_columns_unites_the_positions() -> None:
    demands = Demands()
    queries, keys = demands.fresh(6), demands.fresh(6)
    (h, d), (k, e) = split(demands, queries, 2), split(demands, keys, 2)
    demands.unite(h, k)
    demands.unite(d, e)
    assert atoms(demands, queries) == atoms(demands, keys)


def test_rows_alone_united_leave_each_grid_its_columns() -> None:
    demands = Demands()
    queries, values = demands.fresh(6), demands.fresh(4)
    (h, d), (k, e) = split(demands, queries, 2), split(demands, values, 2)
    demands.unite(h, k)
    shared = set().union(*atoms(demands, queries)) & set().union(*atoms(demands, values))
    assert shared == set().union(*atoms(demands, h))
    assert not set().union(*atoms(demands, d)) & set().union(*atoms(demands, e))


def test_a_position_that_stays_keeps_its_row_and_its_column() -> None:
    demands = Demands()
    ids = demands.fresh(6)
    heads, dims = split(demands, ids, 2)
    demands.freeze(ids[4:5], "row 1, column 1")
    assert [bool(one) for one in atoms(demands, heads)] == [True, False]
    assert [bool(one) for one in atoms(demands, dims)] == [True, False, True]
    found = atoms(demands, ids)
    assert found[4] == set() and found[3] == found[0] & found[3] and len(found[0]) == 2 and len(found[1]) == 1


def test_where_rows_stay_positions_are_their_columns() -> None:
    demands = Demands()
    ids = demands.fresh(6)
    heads, dims = split(demands, ids, 2)
    demands.freeze(heads, "kept")
    assert atoms(demands, ids) == atoms(demands, dims) * 2 and all(len(one) == 1 for one in atoms(demands, ids))


def test_where_columns_stay_positions_are_their_rows() -> None:
    demands = Demands()
    ids = demands.fresh(6)
    heads, dims = split(demands, ids, 2)
    demands.freeze(dims, "kept")
    first, second = atoms(demands, heads)
    assert atoms(demands, ids) == [first] * 3 + [second] * 3


def test_grids_of_different_width_over_the_same_positions_keep_their_rows() -> None:
    demands = Demands()
    ids = demands.fresh(12)
    (twos, sixes), (threes, fours) = split(demands, ids, 2), split(demands, ids, 3)
    assert not any(atoms(demands, twos)) and not any(atoms(demands, threes))
    assert atoms(demands, ids) == atoms(demands, sixes) * 2 == atoms(demands, fours) * 3


def test_grids_in_grids_give_positions_an_atom_of_every_level() -> None:
    demands = Demands()
    ids = demands.fresh(12)
    blocks, rest = split(demands, ids, 2)
    rows, columns = split(demands, rest, 3)
    expected = [
        b | r | c for b in atoms(demands, blocks) for r in atoms(demands, rows) for c in atoms(demands, columns)
    ]
    assert atoms(demands, ids) == expected and len(expected[0]) == 3


@given(st.integers(2, 9))
@settings(max_examples=8, deadline=None)
def test_no_position_loses_an_atom_however_deep_its_grids(depth: int) -> None:
    demands = Demands()
    ids = demands.fresh(2**depth)
    levels = [level for level in demands.part(ids, [2] * depth) if level is not None]
    found = atoms(demands, ids)
    for level, along in enumerate(levels):
        for place, bit in ((0, 0), (2**depth - 1, 1)):
            assert atoms(demands, along)[bit] <= found[place], f"level {level}"


def test_more_can_be_frozen_than_the_network_demands() -> None:
    demands = Demands()
    ids = demands.fresh(3)
    assert solve(demands, [ids[:1]]).of(ids).tolist() == [[0, 2, 3]]
    assert solve(demands).of(ids).tolist() == [[1, 2, 3]]


def reference(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Union-find, written out."""
    parent = list(range(count))

    def find(number: int) -> int:
        while parent[number] != number:
            number = parent[number]
        return number

    for one, other in edges:
        a, b = find(one), find(other)
        parent[max(a, b)] = min(a, b)
    return [find(number) for number in range(count)]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=6), st.lists(st.integers(1, 12), max_size=2))
@settings(deadline=None)
def test_without_grids_atoms_are_the_classes(axes: list[tuple[int, int]], frozen: list[int]) -> None:
    demands = Demands()
    all_axes = [demands.fresh(3) for _ in range(4)]
    for one, other in axes:
        demands.unite(all_axes[one], all_axes[other])
    for number in frozen:
        demands.freeze(np.array([number]), "kept")
    edges = [(int(a), int(b)) for i, j in axes for a, b in zip(all_axes[i], all_axes[j], strict=True)]
    expected = reference(13, [*edges, *((number, 0) for number in frozen)])
    assert solve(demands).of(np.arange(13)).tolist() == [expected]
