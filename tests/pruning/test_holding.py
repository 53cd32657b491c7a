"""Pruned weights stay at zero through everything an optimiser does, and nothing else of the training changes."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from regrow.errors import PruningError
from regrow.pruning.gradual import magnitudes
from regrow.pruning.holding import Holding, without_removed
from regrow.pruning.mask_choice import keep_weights
from regrow.pruning.mask_schedule import Scope, round_targets
from regrow.pruning.sparsity import Masks, maskable
from regrow.training.compute import Compute
from regrow.training.loop import Part
from regrow.training.state import State, load_state
from tests.pruning.masked_networks import OPTIMIZERS, RATE, WEIGHTS, batch, learn, sgd, small
from tests.training.samples import network, recipe, run, same_bits
from tests.training.test_loop import interrupt


def masks_of(network: nn.Module, fraction: float = 0.8) -> Masks:
    return keep_weights(magnitudes(network, WEIGHTS), fraction=fraction, scope="layer")


def moved(network: nn.Module, masks: Mapping[str, Tensor]) -> int:
    """Removed weights that are not exactly zero."""
    weights = dict(network.named_parameters())
    return sum(int(weights[name][~mask].count_nonzero()) for name, mask in masks.items())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_after_a_thousand_steps_not_one_pruned_weight_is_non_zero(name: str) -> None:
    network = small()
    masks = masks_of(network)
    held, optimizer = Holding(masks), OPTIMIZERS[name](network)
    held.attach(network)
    before = copy.deepcopy(dict(network.named_parameters()))
    learn(network, optimizer, held, range(1000))
    assert moved(network, masks) == 0
    for tensor, mask in masks.items():
        weight = network.get_parameter(tensor)
        # What is kept has learnt: no weight of it is where it was.
        assert bool((weight != before[tensor])[mask].all())
        assert all(int(state[~mask].count_nonzero()) == 0 for state in per_weight(optimizer, weight))


def per_weight(optimizer: Optimizer, weight: Tensor) -> list[Tensor]:
    found = [value for value in optimizer.state[weight].values() if value.shape == weight.shape]
    assert found
    return found


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_without_holding_they_would_move(name: str) -> None:
    network = small()
    masks = masks_of(network)
    Holding(masks).attach(network)
    learn(network, OPTIMIZERS[name](network), None, range(2))
    assert moved(network, masks) > 400


def test_the_momentum_of_a_rewound_optimiser_moves_nothing() -> None:
    network = small()
    optimizer = sgd(network)
    learn(network, optimizer, None, range(5))
    masks = masks_of(network)
    held = Holding(masks)
    held.attach(network)
    for step in range(5, 25):
        learn(network, optimizer, held, range(step, step + 1))
        assert moved(network, masks) == 0


def test_an_optimiser_state_is_cleaned_of_removed_weights_alone() -> None:
    network = small()
    optimizer = sgd(network)
    network[1].weight.requires_grad_(False)
    optimizer = SGD([one for one in network.parameters() if one.requires_grad], lr=RATE, momentum=0.9)
    learn(network, optimizer, None, range(3))
    trained = optimizer.param_groups[0]["params"]
    state = {f"{i}.momentum_buffer": optimizer.state[one]["momentum_buffer"].clone() for i, one in enumerate(trained)}
    state |= {"0.step": torch.tensor(3.0)}
    masks = masks_of(network)
    cleaned = without_removed(state, network, masks)
    # By position among what trains: the norm's scale is frozen, so the second convolution's weight is number 2.
    expected = dict(state)
    expected |= {
        f"{i}.momentum_buffer": state[f"{i}.momentum_buffer"] * masks[name]
        for i, name in ((0, WEIGHTS[0]), (2, WEIGHTS[1]), (4, WEIGHTS[2]))
    }
    assert cleaned.keys() == expected.keys()
    assert all(torch.equal(cleaned[key], expected[key]) for key in expected)
    assert int(state["0.momentum_buffer"][~masks["0.weight"]].count_nonzero()) > 0


def test_a_living_weight_that_reaches_zero_goes_on_learning() -> None:
    network = small()
    masks = masks_of(network)
    held = Holding(masks)
    held.attach(network)
    living = masks["0.weight"].nonzero()[5].tolist()
    with torch.no_grad():
        network[0].weight[tuple(living)] = 0.0
    learn(network, SGD(network.parameters(), lr=RATE), held, range(1))
    assert network[0].weight[tuple(living)].item() != 0


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_a_lottery_ticket_of_five_rounds_leaves_its_counts_and_its_first_weights(scope: Scope) -> None:
    first = small().state_dict()
    sizes = {name: first[name].numel() for name in WEIGHTS}
    masks: Masks = {name: torch.ones(first[name].shape, dtype=torch.bool) for name in WEIGHTS}
    by_hand = [696 - 139, 557 - 111, 446 - 89, 357 - 71, 286 - 57]
    for number, target in enumerate(round_targets(sizes, 5, scope=scope, per_round=0.2)):
        network, held = small(), Holding(masks)
        held.attach(network)
        assert all(torch.equal(network.get_parameter(name), first[name] * masks[name]) for name in WEIGHTS)
        learn(network, sgd(network), held, range(20))
        before, masks = masks, keep_weights(magnitudes(network, WEIGHTS), kept=target, scope=scope, previous=masks)
        assert not any(bool((masks[name] & ~before[name]).any()) for name in WEIGHTS)
        counts = {name: int(mask.sum()) for name, mask in masks.items()}
        assert counts == target if scope == "layer" else sum(counts.values()) == target == by_hand[number]


CHANNELS_OUT = [1, 4, 6]


def whole_channels(network: nn.Module) -> Masks:
    """Three channels gone: rows of the first convolution, columns of the second."""
    keep = torch.ones(8, dtype=torch.bool)
    keep[CHANNELS_OUT] = False
    weights = dict(network.named_parameters())
    rows = keep.view(-1, 1, 1, 1).expand_as(weights["0.weight"])
    return {
        "0.weight": rows.contiguous(),
        "3.weight": keep.view(1, -1, 1, 1).expand_as(weights["3.weight"]).contiguous(),
    }


def carved(network: nn.Sequential) -> nn.Sequential:
    """The same network with five channels where the masked one has eight."""
    living = [i for i in range(8) if i not in CHANNELS_OUT]
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for name in ("0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var"):
        state[name] = state[name][living]
    state["3.weight"] = state["3.weight"][:, living]
    found = small(inner=5).double()
    found.load_state_dict(state)
    return found


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_under_a_mask_of_whole_channels_is_training_the_carved_network(name: str) -> None:
    network = small().double()
    narrow = carved(network)
    held = Holding(whole_channels(network))
    held.attach(network)
    learn(network, OPTIMIZERS[name](network), held, range(60), torch.float64)
    learn(narrow, OPTIMIZERS[name](narrow), None, range(60), torch.float64)
    for tensor, value in carved(network).state_dict().items():
        torch.testing.assert_close(value, narrow.state_dict()[tensor], rtol=1e-9, atol=1e-11)
    assert not torch.equal(narrow[0].weight, small(inner=5).double()[0].weight)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_going_on_from_a_checkpoint_gives_the_bits_of_a_training_that_never_stopped(name: str) -> None:
    whole, masks = small(), masks_of(small())
    held, optimizer = Holding(masks), OPTIMIZERS[name](whole)
    held.attach(whole)
    learn(whole, optimizer, held, range(10))
    saved = copy.deepcopy((whole.state_dict(), optimizer.state_dict(), held.state()))
    learn(whole, optimizer, held, range(10, 20))

    resumed = small(seed=5)
    again, other = Holding(masks), OPTIMIZERS[name](resumed)
    again.attach(resumed)
    resumed.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    again.load_state(saved[2])
    learn(resumed, other, again, range(10, 20))
    assert all(torch.equal(value, whole.state_dict()[key]) for key, value in resumed.state_dict().items())
    assert moved(resumed, masks) == 0


def test_weights_of_a_checkpoint_made_without_the_mask_are_zeroed() -> None:
    network, masks = small(), masks_of(small())
    held = Holding(masks)
    held.attach(network)
    network.load_state_dict(small(seed=3).state_dict())
    assert moved(network, masks) > 0
    held.load_state(held.state())
    assert moved(network, masks) == 0


def test_a_checkpoint_under_other_masks_is_refused() -> None:
    saved = Holding(masks_of(small(), 0.5)).state()
    with pytest.raises(PruningError, match="under other masks than these 3"):
        Holding(masks_of(small())).load_state(saved)
    Holding(masks_of(small(), 0.5)).load_state(saved)


def test_masks_follow_a_network_that_changes_its_layout() -> None:
    network, masks = small(), masks_of(small())
    held = Holding(masks)
    held.attach(network)
    network.to(memory_format=torch.channels_last)
    learn(network, sgd(network), held, range(5))
    assert moved(network, masks) == 0


def test_other_masks_can_be_held_from_some_step_on() -> None:
    network = small()
    held = Holding(masks_of(network, 0.5))
    held.attach(network)
    optimizer = sgd(network)
    learn(network, optimizer, held, range(3))
    fewer = keep_weights(magnitudes(network, WEIGHTS), fraction=0.9, scope="layer", previous=held.masks)
    held.change(fewer)
    assert held.masks.keys() == fewer.keys()
    assert moved(network, fewer) == 0
    learn(network, optimizer, held, range(3, 6))
    assert moved(network, fewer) == 0


def test_masks_of_another_network_are_refused_before_anything_is_zeroed() -> None:
    with pytest.raises(PruningError, match=r"has no parameter 12\.weight"):
        Holding({"12.weight": torch.ones(2, dtype=torch.bool)}).attach(small())


def test_after_the_training_the_network_is_an_ordinary_one() -> None:
    network, masks = small(), masks_of(small())
    held = Holding(masks)
    held.attach(network)
    assert (list(held.owned()), held.scales()) == ([], {})
    held.after_epoch(1, 1)
    held.finish()
    assert moved(network, masks) == 0
    learn(network, sgd(network), held, range(1))
    assert moved(network, masks) > 0
    assert network(batch(0)[0]).shape == (8, 4)


class TestInTheTrainingLoop:
    """The same through `train`, which calls interventions at its own moments."""

    RECIPES: ClassVar = {
        "sgd": recipe(nesterov=True, weight_decay=5e-3),
        "adamw": recipe(optimizer="adamw", peak_lr=0.01, final_lr=0.001),
    }

    def masks(self) -> Masks:
        net = network()
        return keep_weights(magnitudes(net, maskable(net)), fraction=0.7, scope="layer")

    @pytest.mark.parametrize("channels_last", [False, True])
    @pytest.mark.parametrize("name", RECIPES)
    def test_a_killed_and_resumed_training_ends_with_the_same_bits_and_every_zero(
        self, name: str, channels_last: bool, tmp_path: Path
    ) -> None:
        how: dict[str, Any] = {"recipe": self.RECIPES[name], "compute": Compute(channels_last=channels_last)}
        whole, resumed = network(), network()
        run(whole, tmp_path / "whole", intervention=Holding(self.masks()), **how)
        interrupt(resumed, tmp_path / "cut", 11, intervention=Holding(self.masks()), **how)
        checkpoints = list((tmp_path / "cut").rglob("*.safetensors"))
        assert checkpoints
        for path in checkpoints:
            saved = load_file(path)
            assert all(not bool(saved[f"network.{one}"][~mask].any()) for one, mask in self.masks().items())
        resumed = network(seed=7)
        run(resumed, tmp_path / "cut", intervention=Holding(self.masks()), **how)
        assert same_bits(whole, resumed)
        assert moved(whole, self.masks()) == 0
        assert not same_bits(whole, network())

    def test_a_ticket_rewound_to_a_step_has_that_steps_weights_and_momentum_where_it_lives(
        self, tmp_path: Path
    ) -> None:
        file = tmp_path / "state.safetensors"
        run(network(), tmp_path / "until", part=Part(stop_at=6, state_file=file))
        state, masks = load_state(file), self.masks()
        ticket = network(seed=3)
        ticket.load_state_dict(dict(state.weights))
        cleaned = State(
            weights=state.weights,
            optimizer=without_removed(state.optimizer, ticket, masks),
            generators=state.generators,
        )
        # Four steps an epoch: the run goes on in its second epoch, after two steps of it.
        tail = {
            "part": Part(first_step=2),
            "first_epoch": 1,
            "recipe": recipe(epochs=3, schedule_epochs=4, schedule_start=1),
        }
        run(ticket, tmp_path / "ticket", start=cleaned, intervention=Holding(masks), **tail)
        assert moved(ticket, masks) == 0

        everything = {name: torch.ones_like(mask) for name, mask in masks.items()}
        same, dense = network(seed=3), network()
        same.load_state_dict(dict(state.weights))
        run(same, tmp_path / "same", start=state, intervention=Holding(everything), **tail)
        run(dense, tmp_path / "dense")
        assert same_bits(same, dense)
        assert not same_bits(ticket, dense)
