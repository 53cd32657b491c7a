"""Widths read off shapes: equations by hand, and what contradicts itself is named."""

from __future__ import annotations

from itertools import pairwise

import pytest

from regrow.errors import PruningError
from regrow.networks.groups import Group, Slice, norm, output, reads
from regrow.pruning.adopt_widths import Axis, Range, widths_of
from tests.pruning.traced import DIMENSIONS, HEADS

A = Group("a", 8, (output("a"), *norm("n"), reads("b")))
B = Group("b", 6, (output("b"), Slice("c.weight", 1, repeat=4)))
DENSE = {
    "a.weight": (8, 3, 3, 3),
    "n.weight": (8,),
    "n.bias": (8,),
    "n.running_mean": (8,),
    "n.running_var": (8,),
    "n.num_batches_tracked": (),
    "b.weight": (6, 8, 3, 3),
    "c.weight": (10, 24),
}
SMALL = DENSE | {
    "a.weight": (5, 3, 3, 3),
    **{name: (5,) for name in DENSE if name.startswith("n.") and DENSE[name]},
    "b.weight": (2, 5, 3, 3),
    "c.weight": (10, 8),
}


def test_a_chain_is_read_off_its_shapes() -> None:
    assert widths_of((A, B), DENSE, SMALL) == ((5, 2),)


def test_the_dense_network_itself_keeps_everything() -> None:
    assert widths_of((A, B), DENSE, DENSE) == ((8, 6),)


def test_concatenated_channels_are_told_apart_by_the_weights_that_compute_them() -> None:
    one = Group("one", 4, (output("one"), reads("sum")))
    two = Group("two", 6, (output("two"), reads("sum", start=4)))
    dense = {"sum.weight": (3, 12, 1, 1), "one.weight": (4, 3, 1, 1), "two.weight": (6, 3, 1, 1)}
    small = {
        "sum.weight": (3, 7, 1, 1),
        "one.weight": (3, 3, 1, 1),
        "two.weight": (2, 3, 1, 1),
    }  # 3 + 2 + 2 of no group
    assert widths_of((one, two), dense, small) == ((3, 2),)


def test_fewer_heads_and_smaller_heads_are_both_possible_and_whole_heads_come_first() -> None:
    dense = dict.fromkeys(("q.weight", "k.weight", "o.weight"), (24, 24))
    small = {"q.weight": (12, 24), "k.weight": (12, 24), "o.weight": (24, 12)}
    assert widths_of((HEADS, DIMENSIONS), dense, small) == ((4, 3), (2, 6), (3, 4))


def test_three_quarters_of_heads_of_six_can_only_be_fewer_heads() -> None:
    dense = dict.fromkeys(("q.weight", "k.weight", "o.weight"), (24, 24))
    small = {"q.weight": (18, 24), "k.weight": (18, 24), "o.weight": (24, 18)}
    assert widths_of((HEADS, DIMENSIONS), dense, small) == ((3, 6),)


def test_fewer_and_smaller_heads_at_once_are_tried_after_those() -> None:
    dense = dict.fromkeys(("q.weight", "k.weight", "o.weight"), (24, 24))
    small = {"q.weight": (9, 24), "k.weight": (9, 24), "o.weight": (24, 9)}
    assert widths_of((HEADS, DIMENSIONS), dense, small) == ((3, 3),)


def test_size_of_an_axis_is_the_sum_of_its_ranges_and_of_what_no_group_holds() -> None:
    axis = Axis("x", 1, dense=30, small=0, ranges=(Range(24, (0, 1)), Range(4, (2,))))
    assert axis.size([4, 6, 4], {0: 2, 1: 3, 2: 1}) == 2 * 3 + 1 + 2


def test_a_contradiction_names_the_tensor_and_both_shapes() -> None:
    with pytest.raises(
        PruningError, match=r"b.weight: the shape \(2, 5, 3, 3\) was expected, found \(2, 4, 3, 3\): a keeps 5 of 8"
    ):
        widths_of((A, B), DENSE, SMALL | {"b.weight": (2, 4, 3, 3)})


def test_no_whole_number_of_channels_is_said_with_its_arithmetic() -> None:
    only = Group("b", 6, (Slice("c.weight", 1, repeat=4),))
    with pytest.raises(PruningError, match=r"c.weight: axis 1 has 9 .* takes 4 of them"):
        widths_of((only,), {"c.weight": (10, 24)}, {"c.weight": (10, 9)})


def test_an_axis_that_no_group_holds_cannot_be_smaller() -> None:
    with pytest.raises(
        PruningError, match=r"c.weight: the shape \(10, 24\) was expected, found \(9, 8\): no group .* axis 0"
    ):
        widths_of((A, B), DENSE, SMALL | {"c.weight": (9, 8)})


def test_another_number_of_axes_is_refused() -> None:
    with pytest.raises(PruningError, match=r"a.weight: .*as many axes"):
        widths_of((A, B), DENSE, SMALL | {"a.weight": (5, 27)})


@pytest.mark.parametrize(
    ("small", "said"),
    [
        ({f"module.{name}": shape for name, shape in SMALL.items()}, "begin with 'module.'"),
        (
            {name.replace("a.weight", "a.weight_orig"): shape for name, shape in SMALL.items()},
            "masks of torch.nn.utils.prune",
        ),
        (
            {name.replace("c.weight", "d.weight"): shape for name, shape in SMALL.items()},
            "Missing: c.weight; not in .*: d.weight. Did you mean",
        ),
        (
            {name: shape for name, shape in SMALL.items() if name != "c.weight"},
            "Missing: c.weight; not in the dense network: none",
        ),
    ],
)
def test_other_names_are_refused_with_a_way_out(small: dict[str, tuple[int, ...]], said: str) -> None:
    with pytest.raises(PruningError, match=said):
        widths_of((A, B), DENSE, small)


def test_a_group_that_no_shape_speaks_of_is_refused() -> None:
    half = Group("half", 4, (Slice("x.weight", 0, order=(0, 0, 1)),))
    with pytest.raises(PruningError, match="do not say how many channels half keeps"):
        widths_of((half,), {"x.weight": (3, 2)}, {"x.weight": (3, 2)})


def test_every_chain_of_widths_is_found_again() -> None:
    sizes = (3, 8, 6, 4)
    groups = tuple(Group(f"l{i}", width, (output(f"l{i}"), reads(f"l{i + 1}"))) for i, width in enumerate(sizes[1:-1]))
    for first in range(1, 9):
        for second in range(1, 7):
            kept = (3, first, second, 4)
            dense, small = (
                {f"l{i}.weight": (after, before) for i, (before, after) in enumerate(pairwise(row))}
                for row in (sizes, kept)
            )
            assert widths_of(groups, dense, small) == ((first, second),)
