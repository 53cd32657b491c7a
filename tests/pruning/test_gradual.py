"""Gradual pruning: the counts of the cubic schedule at its steps, held in between, and interruptible."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from regrow.errors import PruningError
from regrow.pruning.gradual import Gradual, magnitudes
from regrow.pruning.mask_schedule import Cubic, cubic_over, removed_of
from regrow.pruning.sparsity import kept_of_masks
from tests.pruning.masked_networks import OPTIMIZERS, WEIGHTS, learn, sgd, small
from tests.training.samples import network, run, same_bits
from tests.training.test_loop import interrupt

SCHEDULE = Cubic(final=0.9, begin=4, every=5, times=5)
TOTAL = 216 + 288 + 192


def started(network: nn.Module, schedule: Cubic = SCHEDULE, revive: bool = False) -> Gradual:
    gradual = Gradual(schedule, revive=revive)
    gradual.attach(network)
    return gradual


def test_after_every_step_exactly_the_schedules_count_is_gone() -> None:
    network = small()
    gradual, optimizer = started(network), sgd(network)
    # 0.9 * (1 - (1 - k / 5)^3) of 696 weights, k = 0..5: 305.7, 491.1, 586.3, 621.4, 626.4
    by_hand = [0, 306, 491, 586, 621, 626]
    for step in range(50):
        learn(network, optimizer, gradual, range(step, step + 1))
        k = min(5, max(0, (step + 1 - 4) // 5))
        kept, total = kept_of_masks(gradual.masks)
        assert (total, total - kept) == (TOTAL, by_hand[k])
        weights = dict(network.named_parameters())
        assert all(not bool(weights[name][~mask].any()) for name, mask in gradual.masks.items())
    assert by_hand[-1] == removed_of(TOTAL, 0.9)


def test_each_time_the_smallest_of_the_living_weights_go() -> None:
    network = small()
    gradual, optimizer = started(network, Cubic(final=0.5, begin=0, every=1, times=2)), sgd(network)
    for step in range(2):
        before = gradual.masks
        learn(network, optimizer, gradual, range(step, step + 1))
        flat = torch.cat([network.get_parameter(name).detach().abs().flatten() for name in WEIGHTS])
        kept = torch.cat([mask.flatten() for mask in gradual.masks.values()])
        assert float(flat[kept].min()) > 0
        assert all(not bool((gradual.masks[name] & ~before[name]).any()) for name in WEIGHTS)


def test_one_prune_at_the_end_is_magnitude_pruning_of_the_trained_network() -> None:
    network = small()
    learn(network, sgd(network), gradual := started(network, Cubic(final=0.6, begin=3, every=1, times=1)), range(3))
    plain = small()
    learn(plain, sgd(plain), None, range(3))
    learn(network, sgd(network), gradual, range(3, 4))
    assert kept_of_masks(gradual.masks) == (TOTAL - removed_of(TOTAL, 0.6), TOTAL)
    learn(plain, sgd(plain), None, range(3, 4))
    flat = torch.cat([plain.get_parameter(name).detach().abs().flatten() for name in WEIGHTS])
    kept = torch.cat([mask.flatten() for mask in gradual.masks.values()])
    assert float(flat[kept].min()) >= float(flat[~kept].max())


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("revive", [False, True])
def test_going_on_from_a_checkpoint_gives_the_bits_of_a_training_that_never_stopped(name: str, revive: bool) -> None:
    whole = small()
    gradual, optimizer = started(whole, revive=revive), OPTIMIZERS[name](whole)
    learn(whole, optimizer, gradual, range(16))
    saved = copy.deepcopy((whole.state_dict(), optimizer.state_dict(), gradual.state()))
    learn(whole, optimizer, gradual, range(16, 40))

    resumed = small(seed=5)
    again, other = started(resumed, revive=revive), OPTIMIZERS[name](resumed)
    resumed.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    again.load_state(saved[2])
    learn(resumed, other, again, range(16, 40))
    assert again.step == 40
    assert all(torch.equal(mask, gradual.masks[one]) for one, mask in again.masks.items())
    assert all(torch.equal(value, whole.state_dict()[key]) for key, value in resumed.state_dict().items())


def by_turns(rounds: list[dict[str, Tensor]], seen: list[dict[str, Tensor]]) -> object:
    """A saliency that ranks differently each time, and notes the weights that it was shown."""

    def saliency(network: nn.Module, names: object) -> dict[str, Tensor]:
        seen.append({"weight": network.get_parameter("0.weight").detach().clone()})
        return rounds[len(seen) - 1]

    return saliency


def test_weights_come_back_with_their_value_only_where_that_is_asked_for() -> None:
    first, second = torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.tensor([[9.0, 1.0, 3.0, 2.0]])
    rounds = [{"0.weight": first}, {"0.weight": second}]
    schedule = Cubic(final=0.5, begin=0, every=1, times=1, initial=0.5)
    found = {}
    for revive in (False, True):
        network = nn.Sequential(nn.Linear(4, 1, bias=False), nn.Linear(1, 1))
        network[0].weight.data.copy_(torch.tensor([[0.1, 0.2, 0.3, 0.4]]))
        seen: list[dict[str, Tensor]] = []
        gradual = Gradual(schedule, revive=revive, saliency=by_turns(rounds, seen))  # type: ignore[arg-type]
        gradual.attach(network)
        assert network[0].weight.tolist() == [pytest.approx([0, 0, 0.3, 0.4])]
        gradual.after_step(0.1)
        found[revive] = (gradual.masks["0.weight"].tolist(), network[0].weight.tolist(), seen[1]["weight"].tolist())
    assert found[False] == (
        [[False, False, True, True]],
        [pytest.approx([0, 0, 0.3, 0.4])],
        [pytest.approx([0, 0, 0.3, 0.4])],
    )
    assert found[True] == (
        [[True, False, True, False]],
        [pytest.approx([0.1, 0, 0.3, 0])],
        [pytest.approx([0.1, 0.2, 0.3, 0.4])],
    )


def test_with_revival_the_masks_are_fixed_once_the_schedule_has_ended() -> None:
    network = small()
    gradual, optimizer = started(network, revive=True), sgd(network)
    learn(network, optimizer, gradual, range(29))
    final = gradual.masks
    assert kept_of_masks(final) == (TOTAL - removed_of(TOTAL, 0.9), TOTAL)
    assert not any(key.startswith("value.") for key in gradual.state())
    learn(network, optimizer, gradual, range(29, 60))
    assert gradual.masks is final


def test_a_schedule_that_begins_at_once_with_a_share_prunes_before_the_first_step() -> None:
    network = small()
    gradual = started(network, Cubic(final=0.9, begin=0, every=5, times=2, initial=0.5))
    assert kept_of_masks(gradual.masks) == (TOTAL // 2, TOTAL)
    assert not bool(network[0].weight[~gradual.masks["0.weight"]].any())


def test_scope_and_names_are_those_of_keep_weights_and_maskable() -> None:
    network = small()
    gradual = Gradual(Cubic(final=0.5, begin=0, every=1, times=1), skip=["0.weight"], scope="layer")
    gradual.attach(network)
    gradual.after_step(0.1)
    assert {name: int(mask.sum()) for name, mask in gradual.masks.items()} == {"3.weight": 144, "6.weight": 96}
    named = Gradual(SCHEDULE, names=["6.weight"])
    named.attach(network)
    assert list(named.masks) == ["6.weight"]
    with pytest.raises(PruningError, match=r"no parameter 7\.weight"):
        Gradual(SCHEDULE, names=["7.weight"]).attach(network)


def test_a_training_that_ends_before_the_schedule_is_no_result() -> None:
    network = small()
    gradual = started(network)
    learn(network, sgd(network), gradual, range(20))
    with pytest.raises(PruningError, match="last time at step 29, and the training ended after 20 steps"):
        gradual.finish()
    done = started(small(), Cubic(final=0.5, begin=0, every=1, times=1))
    done.after_step(0.1)
    done.after_epoch(1, 1)
    done.finish()
    assert (list(done.owned()), done.scales()) == ([], {})
    assert kept_of_masks(done.masks) == (TOTAL // 2, TOTAL)


def test_a_checkpoint_of_other_tensors_is_refused() -> None:
    gradual = Gradual(SCHEDULE, names=["6.weight"])
    gradual.attach(small())
    with pytest.raises(PruningError, match="masks of 3 tensors, this training prunes 1"):
        gradual.load_state(started(small()).state())


def test_magnitudes_are_absolute_values_and_no_part_of_the_network() -> None:
    network = small()
    found = magnitudes(network, ["0.weight"])
    assert torch.equal(found["0.weight"], network[0].weight.detach().abs())
    found["0.weight"].zero_()
    assert bool(network[0].weight.any())


@pytest.mark.parametrize("revive", [False, True])
def test_in_the_training_loop_it_reaches_its_fraction_and_survives_being_killed(revive: bool, tmp_path: Path) -> None:
    def gradual() -> Gradual:
        return Gradual(cubic_over(16, 0.9), revive=revive)

    whole, found = network(), gradual()
    run(whole, tmp_path / "whole", intervention=found)
    kept, total = kept_of_masks(found.masks)
    assert (kept, total) == (216 + 576 - removed_of(792, 0.9), 792)
    interrupt(network(), tmp_path / "cut", 10, intervention=gradual())
    resumed, again = network(seed=7), gradual()
    run(resumed, tmp_path / "cut", intervention=again)
    assert same_bits(whole, resumed)
    assert all(torch.equal(mask, again.masks[name]) for name, mask in found.masks.items())
    assert all(not bool(whole.get_parameter(name)[~mask].any()) for name, mask in found.masks.items())
