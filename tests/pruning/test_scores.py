from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from regrow.errors import ConfigError, PruningError, UnknownNameError
from regrow.networks.groups import Group, Slice
from regrow.pruning.criteria import l1
from regrow.pruning.methods import METHODS
from regrow.pruning.scores import Criterion, named_criterion, score_groups, score_weights

from .examples import GROUPS, NAMES, examples, kinds, same, state_of
from .traced import DIMENSIONS, HEADS, INNER, STREAM, residual


def holding(**tensors: Tensor) -> nn.Module:
    """A module that holds these tensors, `a_weight` as `a.weight`."""
    network = nn.Module()
    for name, tensor in tensors.items():
        owner, _, last = name.rpartition("_")
        target = network
        if owner:
            target = getattr(network, owner, None) or nn.Module()
            network.add_module(owner, target)
        target.register_parameter(last, nn.Parameter(tensor, requires_grad=tensor.is_floating_point()))
    return network


def by_hand(group: Group, criterion: str | Criterion = "l1", normalise: str = "mean", **tensors: Tensor) -> list[float]:
    found: list[float] = score_groups(holding(**tensors), [group], criterion, normalise=normalise)[group.name].tolist()
    return found


def test_one_producer_scores_by_its_rows_relative_to_their_mean() -> None:
    group = Group("a", 3, (Slice("a.weight", 0),))
    assert by_hand(group, a_weight=torch.tensor([[1.0, -1.0], [0.0, 3.0], [-7.0, 0.0]])) == [0.5, 0.75, 1.75]


def test_every_producer_counts_the_same_whatever_its_fan_in() -> None:
    group = Group("a", 2, (Slice("a.weight", 0), Slice("b.weight", 0), Slice("c.weight", 1)), producers=2)
    few, many = torch.tensor([[1.0], [3.0]]), torch.tensor([[3.0], [1.0]]).repeat(1, 100)
    assert by_hand(group, a_weight=few, b_weight=many, c_weight=torch.rand(5, 2)) == [1.0, 1.0]
    assert by_hand(group, "l1", "none", a_weight=few, b_weight=many, c_weight=torch.rand(5, 2)) == [301.0, 103.0]


def test_weights_that_read_the_channels_count_where_it_is_asked_for() -> None:
    group = Group("a", 2, (Slice("a.weight", 0), Slice("a.bias", 0), Slice("c.weight", 1)))
    network = holding(
        a_weight=torch.tensor([[1.0], [3.0]]), a_bias=torch.ones(2), c_weight=torch.tensor([[5.0, -1.0], [0.0, 2.0]])
    )
    assert score_groups(network, [group], "l1", normalise="none", over="all")["a"].tolist() == [6.0, 6.0]
    with pytest.raises(ConfigError, match="over is one word of two; found 'readers'"):
        score_groups(network, [group], "l1", over="readers")  # type: ignore[arg-type]


def test_a_producer_of_zeros_says_nothing() -> None:
    group = Group("a", 2, (Slice("a.weight", 0), Slice("b.weight", 0)), producers=2)
    assert by_hand(group, a_weight=torch.zeros(2, 4), b_weight=torch.tensor([[1.0], [3.0]])) == [0.5, 1.5]


def test_rows_of_one_channel_are_added_whether_they_stand_together_or_apart() -> None:
    rows = torch.arange(24.0).reshape(24, 1)
    heads = by_hand(HEADS, q_weight=rows, k_weight=rows, o_weight=rows.T)
    dimensions = by_hand(DIMENSIONS, q_weight=rows, k_weight=rows, o_weight=rows.T)
    mean = rows.sum() / 4
    assert heads == pytest.approx([float(rows[6 * head : 6 * head + 6].sum() / mean) for head in range(4)])
    mean = rows.sum() / 6
    assert dimensions == pytest.approx([float(rows[place::6].sum() / mean) for place in range(6)])


def test_an_order_and_a_start_say_which_row_is_which_channel() -> None:
    group = Group("a", 2, (Slice("a.weight", 0, start=1, order=(1, 0)),))
    assert by_hand(group, a_weight=torch.tensor([[9.0], [1.0], [3.0], [9.0]])) == [1.5, 0.5]


def test_channels_may_stand_along_any_axis_and_in_vectors() -> None:
    group = Group("a", 2, (Slice("table.weight", 1), Slice("token", 0)), producers=2)
    table = torch.tensor([[1.0, 3.0], [0.0, 0.0]])
    assert by_hand(group, table_weight=table, token=torch.tensor([1.0, -1.0])) == [0.75, 1.25]


def test_large_half_precision_weights_are_added_without_overflow() -> None:
    group = Group("a", 2, (Slice("a.weight", 0),))
    assert by_hand(group, a_weight=torch.full((2, 4096), 1000.0, dtype=torch.float16)) == [1.0, 1.0]


def test_draws_differ_from_group_to_group_and_follow_the_seed() -> None:
    groups = [Group(name, 8, (Slice("weight", 0),)) for name in ("a", "b")]
    network = holding(weight=torch.zeros(8, 3))
    first, again, other = (score_groups(network, groups, "random", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first["a"], again["a"]) and not torch.equal(first["a"], other["a"])
    assert not torch.equal(first["a"], first["b"])


def test_scores_per_weight_row_and_channel_all_count_for_channels() -> None:
    group, weight = Group("a", 2, (Slice("a.weight", 0, repeat=2),)), torch.arange(8.0).reshape(4, 2)
    for criterion in (
        lambda weight: weight,
        lambda weight: weight.sum(1),
        lambda weight, unit_sum: unit_sum(weight),
    ):
        assert by_hand(group, criterion, "none", a_weight=weight) == [6.0, 22.0]


def test_a_function_may_look_at_weights_and_channels_together() -> None:
    network = kinds()
    found = score_groups(
        network, GROUPS[:1], lambda weight, scale: weight.abs().flatten(1).sum(1) * scale, normalise="none"
    )
    wanted = network.first.weight.abs().sum((1, 2, 3)) * network.norm.weight.abs()
    torch.testing.assert_close(found["first"].float(), wanted.detach())


def test_taylor_is_the_mean_over_batches_of_squared_sums_over_all_rows_of_a_channel() -> None:
    network, batches = kinds(), examples(batches=3)
    found = score_groups(network, GROUPS, "taylor", batches=batches, normalise="none")["hidden"]
    network.eval()
    each = []
    for images, labels in batches:
        (slope,) = torch.autograd.grad(functional.cross_entropy(network(images), labels), [network.hidden.weight])
        each.append((network.hidden.weight * slope).sum(1).square())
    torch.testing.assert_close(found.float(), torch.stack(each).mean(0).detach())


def test_batches_of_any_number_take_the_same_memory_for_scores() -> None:
    network = kinds()
    seen = []

    def watching(weight: Tensor, batch_gradient: Tensor) -> Tensor:
        seen.append(batch_gradient.data_ptr())
        return weight * batch_gradient

    score_groups(network, GROUPS[:1], watching, batches=lambda: iter(examples(batches=5)))
    assert len(seen) == 5


def test_all_weights_of_a_stream_count_and_a_layer_that_is_not_used_is_passed_over() -> None:
    network = residual()
    batches = [(torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3]))]
    found = score_groups(network, [STREAM, INNER], "activation-mean", batches=batches, normalise="none")
    stem = network.get_submodule("stem")(batches[0][0]).abs().mean((0, 2, 3))
    assert bool((found["stem"] > stem.double()).all())
    group = Group("stem", 12, (Slice("stem.weight", 0), Slice("unused.weight", 0)), producers=2)
    network.add_module("unused", nn.Linear(12, 12))
    alone = score_groups(network, [group], "activation-mean", batches=batches, normalise="none")["stem"]
    torch.testing.assert_close(alone.float(), stem.detach())


def test_a_group_of_which_no_output_is_seen_is_named() -> None:
    network = residual()
    network.add_module("unused", nn.Linear(12, 12))
    group = Group("lost", 12, (Slice("unused.weight", 0),))
    batches = [(torch.randn(1, 3, 8, 8), torch.tensor([0]))]
    with pytest.raises(
        PruningError, match=r"hrank looks at the outputs of layers .* channels of lost was seen at work"
    ):
        score_groups(network, [group], "hrank", batches=batches)


def test_single_weights_are_scored_in_their_own_shape() -> None:
    network = kinds()
    found = score_weights(network, NAMES, "magnitude")
    assert all(torch.equal(found[name], network.get_parameter(name).detach().abs()) for name in NAMES)
    weighed = score_weights(network, ["up.weight"], lambda weight: weight / torch.arange(1.0, 5)[:, None, None, None])
    torch.testing.assert_close(weighed["up.weight"], network.up.weight.detach() / torch.arange(1.0, 5)[:, None, None])


def test_chance_draws_one_number_per_weight() -> None:
    network = kinds()
    first, again, other = (score_weights(network, NAMES, "random", seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) and not torch.equal(first[name], other[name]) for name in NAMES)
    assert len(first["hidden.weight"].unique()) == network.hidden.weight.numel()


@pytest.mark.parametrize("name", ["l1", "scale", "hrank", "fpgm"])
def test_criteria_of_channels_cannot_choose_weights(name: str) -> None:
    with pytest.raises(PruningError, match="single weights"):
        score_weights(kinds(), NAMES, name, batches=examples())


def test_weights_that_are_not_there_are_refused() -> None:
    with pytest.raises(PruningError, match=r"no tensor 'hiden.weight'. Did you mean 'hidden.weight'"):
        score_weights(kinds(), ["hiden.weight"], "magnitude")


def test_a_criterion_that_returns_no_scores_is_refused_and_the_network_left_alone() -> None:
    network, broken = kinds(), (torch.zeros(2, 2, 8, 8, 1), torch.zeros(2, dtype=torch.long))
    before = state_of(network)
    with pytest.raises(PruningError, match="a criterion returns a tensor of scores; found list"):
        score_groups(network, GROUPS, lambda weight: weight.tolist())
    with pytest.raises(PruningError, match=r"first: a criterion gives one score per output channel"):
        score_groups(network, GROUPS, lambda weight: weight.sum())
    with pytest.raises(PruningError, match=r"first: .* one score for each of 6"):
        score_groups(network, GROUPS, lambda scale: scale[1:])
    with pytest.raises(RuntimeError, match="Expected 3D"):
        score_groups(network, GROUPS, "taylor", batches=[examples()[0], broken])
    assert same(before, state_of(network))


def test_a_name_or_a_function_is_a_criterion() -> None:
    def largest(weight: Tensor) -> Tensor:
        return weight.flatten(1).amax(dim=1)

    assert named_criterion("l1") == ("l1", l1)
    assert named_criterion(largest) == ("largest", largest)
    with pytest.raises(UnknownNameError, match="no method is called 'l3'"):
        named_criterion("l3")


@pytest.mark.parametrize("name", [name for name, row in METHODS.items() if row.kind != "criterion"])
def test_methods_that_are_more_than_a_criterion_are_refused(name: str) -> None:
    with pytest.raises(PruningError, match=f"{name} is a {METHODS[name].kind}: it does more than score"):
        named_criterion(name)
