from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regrow.channels.ids import Demands, Equation, Ids, attributes_in
from regrow.channels.sizes import Attribute, Extent, Operation, Size
from regrow.channels.solve import solve


def axes_of(demands: Demands, lengths: list[int], live: list[bool]) -> list[Ids]:
    return [demands.fresh(n) if alive and n > 1 else None for n, alive in zip(lengths, live, strict=True)]


def test_fresh_ids_are_nobody_else_s_and_never_the_one_that_stays() -> None:
    demands = Demands()
    assert demands.fresh(3).tolist() == [1, 2, 3] and demands.fresh(2).tolist() == [4, 5] and demands.count == 6


def test_axes_that_meet_are_united_position_by_position() -> None:
    demands = Demands()
    a, b, c = demands.fresh(2), demands.fresh(2), demands.fresh(2)
    assert demands.meet([a, b, c]) is a
    assert solve(demands).of(c).tolist() == [[1, 2]]
    assert demands.frozen == []


def test_what_meets_an_axis_that_keeps_its_size_stays_and_the_place_is_named() -> None:
    demands = Demands()
    demands.where = lambda: "block.norm"
    a, b = demands.fresh(2), demands.fresh(2)
    assert demands.meet([a, None, b], "is added to a constant") is None
    demands.unite(None, demands.fresh(1))
    assert [entry.reason for entry in demands.frozen] == [
        "block.norm: is added to a constant",
        "block.norm: is added to a constant",
        "block.norm: meets an axis that keeps its size",
    ]
    assert not solve(demands).of(np.arange(1, 6)).any()


def test_nothing_is_demanded_of_axes_that_keep_their_size_or_of_one_with_itself() -> None:
    demands = Demands()
    a = demands.fresh(2)
    demands.unite(a, a)
    demands.unite(None, None)
    demands.freeze(None, "")
    demands.lead(None)
    demands.statistic(None, "")
    assert demands.meet([None, None]) is None and demands.meet([]) is None
    assert (demands.united, demands.frozen, demands.led, demands.statistics) == ([], [], [], [])


@given(
    st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=5),
)
@settings(deadline=None)
def test_parting_undoes_joining(axes: list[tuple[int, bool]]) -> None:
    demands = Demands()
    lengths, live = [n for n, _ in axes], [alive for _, alive in axes]
    before = axes_of(demands, lengths, live)
    joined = demands.join(list(zip(lengths, before, strict=True)))
    assert (joined is None) == (not any(ids is not None for ids in before))
    if joined is not None:
        assert len(joined) == math.prod(lengths)
    long = [n for n in lengths if n > 1] or [1]
    after = demands.part(joined, long)
    kept = [ids for ids, n in zip(before, lengths, strict=True) if n > 1] or [None]
    for one, other in zip(kept, after, strict=True):
        assert (one is None and other is None) or np.array_equal(one, other)  # type: ignore[arg-type]


@given(st.lists(st.integers(2, 4), min_size=2, max_size=4))
@settings(deadline=None)
def test_joining_undoes_parting(lengths: list[int]) -> None:
    demands = Demands()
    ids = demands.fresh(math.prod(lengths))
    joined = demands.join(list(zip(lengths, demands.part(ids, lengths), strict=True)))
    assert np.array_equal(joined, ids)


def test_rows_repeat_their_columns() -> None:
    demands = Demands()
    heads, dims = demands.fresh(2), demands.fresh(3)
    assert demands.join([(2, heads), (3, None)]).tolist() == [1, 1, 1, 2, 2, 2]  # type: ignore[union-attr]
    assert demands.join([(2, None), (3, dims)]).tolist() == [3, 4, 5, 3, 4, 5]  # type: ignore[union-attr]
    assert demands.grids == []


def test_an_axis_that_repeats_is_parted_without_a_grid() -> None:
    demands = Demands()
    ids = demands.fresh(2)
    assert demands.part(np.tile(ids, 3), [3, 2])[0] is None
    assert demands.part(np.repeat(ids, 3), [2, 3])[1] is None
    assert demands.part(ids, [1, 2])[1] is ids and demands.part(ids, [2, 1])[0] is ids
    assert demands.part(np.zeros(4, dtype=np.int64), [2, 2]) == [None, None]
    assert demands.part(None, [2, 3]) == [None, None] and demands.part(ids, [2])[0] is ids
    assert demands.grids == []


def test_one_view_is_one_grid_however_often_it_is_taken() -> None:
    demands = Demands()
    ids = demands.fresh(6)
    first, second = demands.part(ids, [2, 3]), demands.part(ids, [2, 3])
    assert all(one is other for one, other in zip(first, second, strict=True))
    assert len(demands.grids) == 1


DIM = Attribute("attn", "head_dim")


def test_a_plain_number_keeps_the_axis_that_it_is_given_for() -> None:
    demands = Demands()
    ids = demands.fresh(4)
    demands.follow(4, ids, 4, "view")
    assert [entry.reason for entry in demands.frozen] == ["the network: view writes the number 4"]
    demands.follow(-1, demands.fresh(2), 2, "view")
    demands.follow(1, demands.fresh(1), 1, "view")
    demands.follow(4, None, 4, "view")
    assert len(demands.frozen) == 1 and demands.equations == []


def test_a_size_is_followed_by_an_equation() -> None:
    demands = Demands()
    ids = demands.fresh(4)
    demands.where = lambda: "attn"
    demands.follow(Size.of(4, DIM, demands.diary), ids, 4, "view")
    (equation,) = demands.equations
    assert equation.expression is DIM and isinstance(equation.target, Extent) and equation.target.ids is ids
    assert equation.where == "attn" and demands.frozen == []


def test_a_size_that_was_read_from_this_very_axis_needs_no_equation() -> None:
    demands = Demands()
    ids = demands.fresh(4)
    demands.follow(Size.of(4, Extent(ids), demands.diary), ids, 4, "view")
    assert demands.equations == []
    demands.follow(Size.of(4, Extent(ids.copy()), demands.diary), ids, 4, "view")
    assert len(demands.equations) == 1


def test_a_size_for_an_axis_that_keeps_its_size_must_come_out_as_it_is() -> None:
    demands = Demands()
    demands.follow(Size.of(4, DIM, demands.diary), None, 4, "view")
    assert demands.equations == [Equation(DIM, 4, "the network")]
    demands.follow(Size.of(4, Operation("*", 2, 2), demands.diary), None, 4, "view")
    assert len(demands.equations) == 1  # two numbers cannot come out otherwise


def test_pieces_that_are_cut_equally_long_stay_so() -> None:
    demands = Demands()
    a, b, c = demands.fresh(2), demands.fresh(2), demands.fresh(2)
    demands.equal_lengths([a, b, c])
    assert [(one.expression.ids.tolist(), one.target.ids.tolist()) for one in demands.equations] == [  # type: ignore[union-attr]
        ([1, 2], [3, 4]),
        ([1, 2], [5, 6]),
    ]
    demands.equal_lengths([None, None])
    assert len(demands.equations) == 2 and demands.frozen == []


def test_pieces_stay_of_which_one_keeps_its_size() -> None:
    demands = Demands()
    a = demands.fresh(2)
    demands.equal_lengths([a, None])
    assert demands.frozen[0].ids is a and demands.equations == []


def test_calls_are_noted_by_number_while_the_journal_is_written() -> None:
    demands = Demands()
    demands.calls = 7
    demands.note("shape", [None])
    demands.calls, demands.writes_journal = 8, False
    demands.note("shape", [None])
    assert {number: entry.name for number, entry in demands.journal.items()} == {7: "shape"}


@pytest.mark.parametrize(("layers", "module", "expected"), [(0, False, False), (1, False, True), (0, True, True)])
def test_statistics_are_those_of_a_norm_in_its_function_or_its_module(
    layers: int, module: bool, expected: bool
) -> None:
    demands = Demands()
    demands.in_norm, demands.is_norm_module = layers, lambda: module
    assert demands.is_norm() is expected


def test_attributes_of_an_expression() -> None:
    assert attributes_in(Operation("*", DIM, Operation("+", DIM, Extent(np.arange(2))))) == {DIM}
