from __future__ import annotations

import pytest
import torch

from regrow.errors import PruningError, UnknownNameError
from regrow.networks.groups import Group, Slice
from regrow.pruning.criteria import l1, random
from regrow.pruning.methods import METHODS
from regrow.pruning.scores import named_criterion, score
from regrow.randomness import generator

from .traced import DIMENSIONS, HEADS


def by_hand(group: Group, **tensors: torch.Tensor) -> list[float]:
    named = {name.replace("_", "."): tensor for name, tensor in tensors.items()}
    return score(group, named, l1, generator(0)).tolist()


def test_one_producer_scores_by_its_rows_relative_to_their_mean() -> None:
    group = Group("a", 3, (Slice("a.weight", 0),))
    assert by_hand(group, a_weight=torch.tensor([[1.0, -1.0], [0.0, 3.0], [-7.0, 0.0]])) == [0.5, 0.75, 1.75]


def test_every_producer_counts_the_same_whatever_its_fan_in() -> None:
    group = Group("a", 2, (Slice("a.weight", 0), Slice("b.weight", 0), Slice("c.weight", 1)), producers=2)
    few, many = torch.tensor([[1.0], [3.0]]), torch.tensor([[3.0], [1.0]]).repeat(1, 100)
    assert by_hand(group, a_weight=few, b_weight=many, c_weight=torch.rand(5, 2)) == [2.0, 2.0]


def test_a_producer_of_zeros_says_nothing() -> None:
    group = Group("a", 2, (Slice("a.weight", 0), Slice("b.weight", 0)), producers=2)
    assert by_hand(group, a_weight=torch.zeros(2, 4), b_weight=torch.tensor([[1.0], [3.0]])) == [0.5, 1.5]


def test_rows_of_one_channel_are_added_whether_they_stand_together_or_apart() -> None:
    rows = torch.arange(24.0).reshape(24, 1)
    heads = by_hand(HEADS, q_weight=rows, k_weight=rows)
    dimensions = by_hand(DIMENSIONS, q_weight=rows, k_weight=rows)
    mean = rows.sum() / 4
    assert heads == pytest.approx([2 * float(rows[6 * head : 6 * head + 6].sum() / mean) for head in range(4)])
    mean = rows.sum() / 6
    assert dimensions == pytest.approx([2 * float(rows[place::6].sum() / mean) for place in range(6)])


def test_an_order_and_a_start_say_which_row_is_which_channel() -> None:
    group = Group("a", 2, (Slice("a.weight", 0, start=1, order=(1, 0)),))
    assert by_hand(group, a_weight=torch.tensor([[9.0], [1.0], [3.0], [9.0]])) == [1.5, 0.5]


def test_channels_may_stand_along_any_axis_and_in_vectors() -> None:
    group = Group("a", 2, (Slice("table.weight", 1), Slice("token", 0)), producers=2)
    assert by_hand(group, table_weight=torch.tensor([[1.0, 3.0], [0.0, 0.0]]), token=torch.tensor([1.0, -1.0])) == [
        1.5,
        2.5,
    ]


def test_large_half_precision_weights_are_added_without_overflow() -> None:
    group = Group("a", 2, (Slice("a.weight", 0),))
    weight = torch.full((2, 4096), 1000.0, dtype=torch.float16)
    assert by_hand(group, a_weight=weight) == [1.0, 1.0]


def test_chance_is_drawn_from_the_generator() -> None:
    group, tensors = Group("a", 8, (Slice("a.weight", 0),)), {"a.weight": torch.zeros(8, 3)}
    first, again = (score(group, tensors, random, generator(1)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, score(group, tensors, random, generator(2)))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_that_needs_no_data_scores_groups(name: str) -> None:
    if METHODS[name].needs_data:
        with pytest.raises(PruningError, match="scores channels on examples"):
            named_criterion(name)
        return
    found, function = named_criterion(name)
    scores_C = score(HEADS, {"q.weight": torch.rand(24, 8), "k.weight": torch.rand(24, 8)}, function, generator(0))
    assert found == name
    assert scores_C.shape == (4,) and scores_C.dtype == torch.float64
    assert bool(scores_C.isfinite().all())


def test_a_function_of_the_caller_is_a_criterion() -> None:
    def largest(weight: torch.Tensor, numbers: torch.Generator) -> torch.Tensor:
        return weight.flatten(1).amax(dim=1)

    name, function = named_criterion(largest)
    assert name == "largest"
    group = Group("a", 2, (Slice("a.weight", 0),))
    assert score(group, {"a.weight": torch.tensor([[1.0, 1.0], [0.0, 3.0]])}, function, generator(0)).tolist() == [
        0.5,
        1.5,
    ]


def test_a_criterion_of_the_wrong_shape_is_refused_with_the_group() -> None:
    group = Group("a", 2, (Slice("a.weight", 0),))
    with pytest.raises(
        PruningError, match=r"a: a criterion gives one score per output channel; for the 2 of a\.weight"
    ):
        score(group, {"a.weight": torch.ones(2, 3)}, lambda weight, _: weight, generator(0))


def test_an_unknown_criterion_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="no method is called 'l3'"):
        named_criterion("l3")
