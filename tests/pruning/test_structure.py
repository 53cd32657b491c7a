"""Sparse structure selection: the steps are the source's, factors reach zero, and folding changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from regrow.channels.blocks import drop_blocks, residual_blocks
from regrow.channels.groups import channel_groups
from regrow.channels.trace import trace
from regrow.errors import PruningError
from regrow.pruning.factor_places import places_of_blocks
from regrow.pruning.structure import Structure, structure_of_blocks, structure_of_channels
from tests.pruning.sparse_trainings import digits, trained, zoo


def ends(network: nn.Module) -> dict[str, tuple[str, ...]]:
    return {block.name: block.ends for block in residual_blocks(network, torch.zeros(2, 3, 32, 32))}


def images() -> torch.Tensor:
    return (digits().images[:8].float() / 255 - 0.3) / 0.3


def test_one_step_by_hand() -> None:
    # z = S(1 - 0.1 * 2, 0.1 * 0.5) = 0.75; v = 0.75 - 1 = -0.25; factor = 0.75 - 0.9 * 0.25
    hand = Structure({"a": 1}, (), strength=0.5)
    hand.factors.grad = torch.tensor([2.0])
    hand.after_step(0.1)
    assert float(hand.factors.detach()) == pytest.approx(0.525)
    assert float(hand.state()["velocity"]) == pytest.approx(-0.25)


def test_the_steps_find_the_minimiser_that_lasso_finds() -> None:
    from sklearn.linear_model import Lasso

    numbers = np.random.default_rng(0)
    inputs = numbers.normal(size=(200, 12))
    truth = np.array([2.0, 0, 0, 1.0, 0, 0.5, 0, 0, 0, 0, 3.0, 0])
    targets = inputs @ truth + 0.1 * numbers.normal(size=200)
    expected = Lasso(alpha=0.2, positive=True, fit_intercept=False, tol=1e-10, max_iter=100_000).fit(inputs, targets)
    hand = Structure({"a": 12}, (), strength=0.2)
    x, y = torch.from_numpy(inputs).float(), torch.from_numpy(targets).float()
    for _ in range(3000):
        (loss,) = torch.autograd.grad(((x @ hand.factors - y) ** 2).mean() / 2, hand.factors)
        hand.factors.grad = loss
        hand.after_step(0.05)
    assert hand.factors.detach().numpy() == pytest.approx(expected.coef_, abs=1e-4)
    assert (hand.scales()["a"].numpy() == 0).tolist() == (expected.coef_ == 0).tolist()


@pytest.mark.parametrize("of", ["channels", "blocks"])
def test_folding_changes_nothing_and_leaves_an_ordinary_network(of: str) -> None:
    network = zoo("resnet20", 0.5).eval()
    names = [name for name, _ in network.named_parameters()]
    hand = (
        structure_of_blocks(network, ends(network))
        if of == "blocks"
        else structure_of_channels(network, channel_groups(network))
    )
    hand.attach(network)
    hand.factors.data.copy_(torch.rand(len(hand.factors)))
    with torch.no_grad():
        scaled = network(images())
        hand.finish()
        folded = network(images())
    assert torch.allclose(scaled, folded, atol=1e-5)
    assert [name for name, _ in network.named_parameters()] == names
    assert not any(module._forward_hooks for module in network.modules())


def test_folding_of_a_densenets_channels_reaches_every_norm() -> None:
    network = zoo("densenet40", 0.5).eval()
    hand = structure_of_channels(network, channel_groups(network))
    hand.attach(network)
    hand.factors.data.copy_(torch.rand(len(hand.factors)) + 0.2)
    with torch.no_grad():
        scaled = network(images())
        hand.finish()
        assert torch.allclose(scaled, network(images()), atol=1e-5)


def test_channels_without_a_norm_are_multiplied_behind_the_layer_that_computes_them() -> None:
    network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    groups = trace(network, torch.zeros(2, 4)).groups
    hand = structure_of_channels(network, groups)
    hand.attach(network)
    hand.factors.data.copy_(torch.tensor([0.0, 1, 2, 3, 4, 5]))
    x = torch.randn(5, 4)
    scaled = network(x)
    hand.finish()
    assert torch.allclose(scaled, network(x), atol=1e-6)
    assert network[0].weight[0].abs().sum() == 0


def test_training_drives_whole_blocks_to_exactly_zero_and_they_can_be_dropped(tmp_path: Path) -> None:
    network = zoo("resnet20", 0.5)
    hand = structure_of_blocks(network, ends(network), strength=0.6)
    trained(network, tmp_path, hand, epochs=2)
    factors = {name: float(scale) for name, scale in hand.scales().items()}
    gone = [name for name, factor in factors.items() if factor == 0]
    assert gone
    small = drop_blocks(network, gone, torch.zeros(2, 3, 32, 32)).eval()
    with torch.no_grad():
        assert torch.allclose(network(images()), small(images()), atol=1e-5)


def test_a_weak_penalty_leaves_every_block(tmp_path: Path) -> None:
    network = zoo("resnet20", 0.5)
    hand = structure_of_blocks(network, ends(network), strength=1e-6)
    trained(network, tmp_path, hand, epochs=1)
    assert min(float(scale) for scale in hand.scales().values()) > 0


def test_a_network_without_blocks_is_refused() -> None:
    with pytest.raises(PruningError, match="the network has none that"):
        structure_of_blocks(zoo(), {})


def test_factors_that_no_forward_pass_meets_are_not_trained_in_silence() -> None:
    with pytest.raises(PruningError, match="no factor of sss took part in the forward pass"):
        Structure({"a": 2}, ()).after_step(0.1)


def test_finishing_twice_folds_once() -> None:
    network = nn.Sequential(nn.Linear(3, 2, bias=False))
    weight = network[0].weight.detach().clone()
    hand = Structure({"a": 1}, places_of_blocks(network, {"0": ("0",)}))
    hand.attach(network)
    hand.factors.data.fill_(0.5)
    hand.finish()
    hand.finish()
    assert torch.equal(network[0].weight, 0.5 * weight)


def test_groups_of_a_grouped_convolution_have_factors_of_their_own() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=4, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8, 2),
    ).eval()
    example = torch.rand(2, 3, 3, 3)
    groups = trace(network, example).groups
    (heads,) = [group for group in groups if group.role == "heads"]
    hand = structure_of_channels(network, groups, example)
    hand.attach(network)
    start = sum(group.channels for group in groups[: groups.index(heads)])
    hand.factors.data[start + 1] = 0.0  # the second of four groups of two channels
    scaled = network(example)
    assert hand.scales()[heads.name].tolist() == [1.0, 0.0, 1.0, 1.0]
    hand.finish()
    assert (network[4].weight == 0).tolist() == [False, False, True, True, False, False, False, False]
    torch.testing.assert_close(network(example), scaled, rtol=0, atol=1e-6)


def test_folding_is_exact_up_to_rounding_in_double_precision() -> None:
    network = zoo("preresnet164", 0.25).double().eval()
    hand = structure_of_channels(network, channel_groups(network))
    hand.attach(network)
    hand.factors.data.copy_(torch.rand(len(hand.factors)))
    with torch.no_grad():
        scaled = network(images().double())
        hand.finish()
        assert float((network(images().double()) - scaled).abs().max()) < 1e-10 * float(scaled.abs().max())
