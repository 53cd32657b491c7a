from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from regrow.errors import PruningError
from regrow.networks.groups import Group, Slice
from regrow.pruning.criteria import fpgm, l1, l2, position, random
from regrow.pruning.methods import METHODS
from regrow.pruning.scores import score_groups, score_weights
from regrow.pruning.selection import keep_highest
from regrow.randomness import generator

from .examples import GROUPS, NAMES, Kinds, examples, kinds, same, state_of

WEIGHT = torch.tensor([[1.0, -2.0], [0.0, 0.5], [3.0, -4.0]])
CRITERIA = [name for name, row in METHODS.items() if row.kind == "criterion"]
OF_WEIGHTS = [name for name in CRITERIA if "weights" in METHODS[name].removes]


def scores(network: Kinds, name: str, seed: int = 0, groups: tuple[Group, ...] = GROUPS) -> dict[str, Tensor]:
    return score_groups(network, groups, name, batches=examples(), seed=seed, normalise="none")


@pytest.mark.parametrize("name", CRITERIA)
class TestEveryCriterion:
    def test_gives_one_finite_score_per_channel_of_a_group(self, name: str) -> None:
        found = scores(kinds(), name)
        assert {group: tuple(score.shape) for group, score in found.items()} == {
            "first": (6,),
            "up": (4,),
            "hidden": (5,),
        }
        assert all(score.dtype == torch.float64 and bool(score.isfinite().all()) for score in found.values())
        assert all(not score.requires_grad and len(score.unique()) > 1 for score in found.values() if name != "hrank")

    def test_equal_weights_examples_and_seeds_give_equal_scores(self, name: str) -> None:
        first, again = scores(kinds(), name), scores(kinds(), name)
        assert all(torch.equal(first[group], again[group]) for group in first)

    def test_depends_on_the_seed_only_where_its_row_says_so(self, name: str) -> None:
        network = kinds()
        first, other = scores(network, name, seed=0), scores(network, name, seed=1)
        assert all(torch.equal(first[group], other[group]) for group in first) is not METHODS[name].seeded

    def test_leaves_the_network_alone(self, name: str) -> None:
        network = kinds()
        network.norm.eval()
        network.up.weight.requires_grad_(False)
        network.head.weight.grad = torch.ones_like(network.head.weight)
        network.hidden.register_forward_hook(lambda *_: None)
        before = state_of(network)
        scores(network, name)
        assert same(before, state_of(network))

    def test_follows_the_channels_wherever_they_stand(self, name: str) -> None:
        if METHODS[name].seeded or name == "position":
            pytest.skip("draws numbers by place, or goes by place alone")
        order = torch.tensor([3, 0, 4, 1, 2])
        network, turned = kinds(), kinds()
        with torch.no_grad():
            for layer in (turned.hidden, turned.calm):
                layer.weight.copy_(layer.weight[order])
                layer.bias.copy_(layer.bias[order])
            turned.head.weight.copy_(turned.head.weight[:, order])
        torch.testing.assert_close(
            scores(turned, name)["hidden"], scores(network, name)["hidden"][order], rtol=1e-4, atol=1e-9
        )

    def test_channels_of_zeros_score_lowest_where_zero_means_worthless(self, name: str) -> None:
        if name in ("fpgm", "random", "position", "hessian", "grasp"):
            pytest.skip("a zero filter may be far from all others; chance; place alone; scores with a sign")
        network = kinds()
        with torch.no_grad():
            for tensor in (network.hidden.weight, network.hidden.bias, network.calm.weight, network.calm.bias):
                tensor[[1, 4]] = 0
        found = scores(network, name)["hidden"]
        assert found[[1, 4]].tolist() == [0, 0]
        assert bool((found[[0, 2, 3]] > 0).all())

    def test_asks_for_examples_only_where_its_row_says_so(self, name: str) -> None:
        network = kinds()
        if METHODS[name].needs_data:
            with pytest.raises(PruningError, match=f"^{name} scores on training examples"):
                score_groups(network, GROUPS, name)
        else:
            assert len(score_groups(network, GROUPS, name, example=torch.zeros(1, 2, 8, 8))) == 3


@pytest.mark.parametrize("name", OF_WEIGHTS)
class TestEveryCriterionOfWeights:
    def test_gives_one_finite_score_per_weight_of_every_kind_of_layer(self, name: str) -> None:
        network = kinds()
        found = score_weights(network, NAMES, name, batches=examples())
        assert tuple(found) == NAMES
        assert all(found[tensor].shape == network.get_parameter(tensor).shape for tensor in NAMES)
        assert all(bool(score.isfinite().all()) and not score.requires_grad for score in found.values())

    def test_equal_seeds_give_equal_scores_and_the_network_is_left_alone(self, name: str) -> None:
        network = kinds()
        before = state_of(network)
        first, again = (score_weights(network, NAMES, name, batches=examples()) for _ in range(2))
        assert all(torch.equal(first[tensor], again[tensor]) for tensor in NAMES)
        assert same(before, state_of(network))


def test_l1_adds_absolute_weights() -> None:
    assert l1(WEIGHT).tolist() == [3.0, 0.5, 7.0]


def test_l2_is_the_length_of_the_weights() -> None:
    assert l2(WEIGHT).tolist() == [5.0**0.5, 0.5, 5.0]


def test_norms_are_added_in_double_precision() -> None:
    tiny = torch.full((1, 2**20), 2.0**-30)
    tiny[0, 0] = 1.0
    assert l1(tiny).item() == 1 + (2**20 - 1) * 2.0**-30


def test_taking_a_few_rows_at_a_time_changes_no_bit() -> None:
    weight = torch.randn(64, 96, 5, 5, generator=generator(0))
    whole_RF = weight.flatten(1).double()
    assert torch.equal(l1(weight), whole_RF.abs().sum(dim=1))
    assert torch.equal(l2(weight), whole_RF.square().sum(dim=1).sqrt())
    sideways = weight.transpose(0, 1)
    assert torch.equal(l1(sideways), sideways.flatten(1).double().abs().sum(dim=1))


def test_position_removes_what_indexing_by_a_float_mask_zeroes() -> None:
    weight, mask = torch.rand(6, 2, 3, 3) + 0.1, np.ones(6)
    mask[[0, 1, 3]] = 0  # channels 2, 4 and 5 were meant to go
    zeroed = weight.clone()
    zeroed[mask, :, :, :] = 0  # what the released code wrote
    gone = (zeroed.flatten(1) == 0).all(dim=1).nonzero().flatten().tolist()
    assert gone == [0, 1]
    assert (~keep_highest(position(weight), 2)).nonzero().flatten().tolist() == gone


def test_chance_is_uniform() -> None:
    numbers = random(torch.zeros(100_000, 1), generator(0))
    assert 0 <= float(numbers.min()) < 0.001 and 0.999 < float(numbers.max()) < 1
    # The mean of 100,000 uniform draws has the standard deviation 0.0009.
    assert float(numbers.mean()) == pytest.approx(0.5, abs=0.005)
    assert float(random(torch.zeros(100, 1000), generator(0), lambda one: one).mean()) == pytest.approx(0.5, abs=0.005)


def test_distances_of_filters_are_those_of_scipy_across_blocks() -> None:
    distance = pytest.importorskip("scipy.spatial.distance")
    weight = torch.randn(1100, 3, 2, 2, generator=generator(0))
    flat = weight.flatten(1).double().numpy()
    torch.testing.assert_close(fpgm(weight), torch.from_numpy(distance.cdist(flat, flat).sum(axis=1)))


def test_a_filter_in_the_middle_of_the_others_is_the_most_replaceable() -> None:
    assert int(fpgm(torch.tensor([[0.0, 0.0], [9.0, 0.0], [4.0, 4.0], [0.0, 9.0]])).argmin()) == 2


def one_layer() -> tuple[nn.Module, tuple[Group, ...]]:
    """A network that torch-pruning can follow, and the group of its first layer."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 5, 3), nn.Flatten(), nn.Linear(80, 3)
    )
    norm = [Slice(f"1.{part}", 0) for part in ("weight", "bias", "running_mean", "running_var")]
    with torch.no_grad():
        network[1].weight.uniform_(-1, 1)
    return network.eval(), (Group("0", 6, (Slice("0.weight", 0), Slice("0.bias", 0), *norm, Slice("3.weight", 1))),)


@pytest.mark.parametrize(
    ("name", "importance", "options", "change"),
    [
        ("l1", "GroupMagnitudeImportance", {"p": 1}, lambda theirs: theirs),
        ("l2", "GroupMagnitudeImportance", {"p": 2}, lambda theirs: theirs.sqrt()),
        ("fpgm", "FPGMImportance", {"p": 1}, None),
        ("scale", "BNScaleImportance", {}, lambda theirs: theirs),
        ("taylor", "GroupTaylorImportance", {"multivariable": True}, lambda theirs: theirs.square()),
    ],
)
def test_scores_of_one_layer_are_those_of_torch_pruning(
    name: str, importance: str, options: dict[str, Any], change: Callable[[Tensor], Tensor] | None
) -> None:
    library = pytest.importorskip("torch_pruning")
    (network, groups), batches = one_layer(), examples(batches=1)
    if name == "fpgm":  # theirs compares absolute weights
        with torch.no_grad():
            network[0].weight.abs_()
    ours = score_groups(network, groups, name, batches=batches, normalise="none")["0"]
    functional.cross_entropy(network(batches[0][0]), batches[0][1]).backward()
    graph = library.DependencyGraph().build_dependency(network, example_inputs=batches[0][0][:1])
    whole = graph.get_pruning_group(network[0], library.prune_conv_out_channels, idxs=list(range(6)))
    plain = {} if name == "scale" else {"group_reduction": "first"}
    theirs = getattr(library.importance, importance)(**options, **plain, normalizer=None)(whole).detach().double()
    torch.testing.assert_close(ours, change(theirs) if change else theirs, rtol=1e-5, atol=1e-12)
