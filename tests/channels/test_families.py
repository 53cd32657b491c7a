from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regrow.channels.families import Families, Place, _encoded, group_up
from regrow.channels.ids import Demands
from regrow.channels.sizes import IdArray
from regrow.channels.solve import solve
from regrow.networks.groups import Slice


@given(st.integers(1, 5), st.data())
@settings(deadline=None)
def test_a_stretch_of_channels_is_written_as_a_slice_that_reads_as_it(n: int, data: st.DataObject) -> None:
    repeat, tile = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    regular = np.tile(np.repeat(np.arange(n), repeat), tile)
    any_order = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=8))
    for channels in (regular, np.array(any_order)):
        (part,) = _encoded(channels, n, 7)
        assert part.start == 7 and list(part.channels_at(n)) == channels.tolist()
        assert part.length(n) == len(channels)
    if n > 1:
        (part,) = _encoded(regular, n, 0)
        assert part == Slice("", 0, 0, repeat, tile)


def grouped(demands: Demands, places: list[Place], led: list[IdArray], others: list[IdArray] | None = None) -> Families:
    """Groups of axes of which those that share ids with `led` are computed by weights."""
    flags = np.zeros(demands.count, dtype=bool)
    for ids in led:
        flags[ids] = True
    produced = {(place.tensor, place.axis) for place in places if flags[place.ids].any()}
    return group_up(places, produced, solve(demands), flags, others or [])


def test_one_layer_and_its_reader_are_one_group() -> None:
    demands = Demands()
    out, bias, read = demands.fresh(3), demands.fresh(3), demands.fresh(3)
    demands.unite(out, bias)
    demands.unite(out, read)
    places = [Place("b.weight", 1, read), Place("a.weight", 0, out), Place("a.bias", 0, bias)]
    families = grouped(demands, places, [out])
    (group,) = families.groups
    assert (group.name, group.channels, group.producers, group.role) == ("a", 3, 1, "channels")
    assert group.slices == (Slice("a.weight", 0), Slice("b.weight", 1), Slice("a.bias", 0))


def test_channels_of_different_readers_are_different_groups() -> None:
    demands = Demands()
    out, first, second = demands.fresh(4), demands.fresh(2), demands.fresh(2)
    demands.unite(out, np.concatenate([first, second]))
    places = [Place("a.weight", 0, out), Place("b.weight", 1, first), Place("c.weight", 1, second)]
    groups = grouped(demands, places, [out]).groups
    assert [(group.name, group.channels) for group in groups] == [("a", 2), ("a#2", 2)]
    assert groups[1].slices == (Slice("a.weight", 0, 2), Slice("c.weight", 1))


def test_what_the_code_asks_about_makes_a_difference_too() -> None:
    demands = Demands()
    out = demands.fresh(4)
    places = [Place("a.weight", 0, out)]
    assert [group.channels for group in grouped(demands, places, [out]).groups] == [4]
    assert [group.channels for group in grouped(demands, places, [out], [out[:2]]).groups] == [2, 2]


def test_what_no_weight_computes_is_no_group() -> None:
    demands = Demands()
    places = [Place("table", 0, demands.fresh(4))]
    families = grouped(demands, places, [])
    assert families.groups == () and (families.family == -1).all()


def test_a_group_of_one_channel_stays() -> None:
    demands = Demands()
    one, two = demands.fresh(1), demands.fresh(2)
    families = grouped(demands, [Place("a", 0, one), Place("b", 0, two)], [one, two])
    assert [group.name for group in families.groups] == ["b"]
    assert families.family[one].tolist() == [-1] and families.family[two].tolist() == [0, 0]


def test_positions_that_stay_are_left_out_of_slices() -> None:
    demands = Demands()
    out = demands.fresh(4)
    demands.freeze(out[1:2], "kept")
    (group,) = grouped(demands, [Place("a.weight", 0, out)], [out]).groups
    assert group.channels == 3
    assert group.slices == (Slice("a.weight", 0, 0, order=(0,)), Slice("a.weight", 0, 2, order=(1, 2)))


def test_channels_in_another_order_say_so() -> None:
    demands = Demands()
    out, read = demands.fresh(3), demands.fresh(3)
    demands.unite(out, read[::-1])
    (group,) = grouped(demands, [Place("a", 0, out), Place("b", 1, read)], [out]).groups
    assert group.slices[1] == Slice("b", 1, order=(2, 1, 0))


def heads_and_dims() -> tuple[Demands, IdArray, Families]:
    demands = Demands()
    out = demands.fresh(6)
    demands.part(out, [2, 3])
    return (
        demands,
        out,
        grouped(
            demands,
            [Place("q.weight", 0, out)],
            [out, *(g.rows for g in demands.grids), *(g.columns for g in demands.grids)],
        ),
    )


def test_heads_and_their_dimensions_are_two_groups_on_one_axis() -> None:
    _, _, families = heads_and_dims()
    assert {(group.role, group.channels, group.slices) for group in families.groups} == {
        ("heads", 2, (Slice("q.weight", 0, repeat=3),)),
        ("channels", 3, (Slice("q.weight", 0, tile=2),)),
    }


def test_rows_alone_are_channels_not_heads() -> None:
    demands = Demands()
    out = demands.fresh(6)
    rows, columns = demands.part(out, [2, 3])
    demands.freeze(columns, "kept")
    assert rows is not None
    (group,) = grouped(demands, [Place("a", 0, out)], [out, rows]).groups
    assert group.role == "channels" and group.slices == (Slice("a", 0, repeat=3),)


def test_an_axis_counts_its_positions_by_the_groups_that_they_belong_to() -> None:
    demands, out, families = heads_and_dims()
    assert families.sizes(out) == Counter({(0, 1): 6})
    assert families.sizes(np.concatenate([out, np.zeros(2, dtype=np.int64)])) == Counter({(0, 1): 6, (): 2})
    assert families.sizes(out) is families.sizes(out)
    assert families.sizes(demands.grids[0].rows) == Counter({(0 if families.groups[0].channels == 2 else 1,): 2})


@pytest.mark.parametrize(("heads", "dims"), [(2, 3), (1, 3), (2, 1), (1, 1)])
def test_the_extent_of_an_axis_is_what_the_groups_leave_of_it(heads: int, dims: int) -> None:
    _, out, families = heads_and_dims()
    widths = [heads if group.channels == 2 else dims for group in families.groups]
    assert families.extent(out, widths) == heads * dims
    twice = np.concatenate([out, out, np.zeros(5, dtype=np.int64)])
    assert families.extent(twice, widths) == 2 * heads * dims + 5


def test_groups_are_found_where_no_axis_is_live() -> None:
    demands = Demands()
    assert group_up([], set(), solve(demands), np.zeros(1, dtype=bool), []).groups == ()
