"""Masks by chance keep the counts that they should; fresh weights get the spread of their kept fan."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from regrow.errors import PruningError
from regrow.networks.build import build
from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import dense_spec
from regrow.pruning.gradual import magnitudes
from regrow.pruning.mask_choice import keep_weights
from regrow.pruning.mask_draws import random_masks, scale_to_kept, shuffled
from regrow.pruning.sparsity import Masks, apply_masks, kept_of_masks, maskable
from tests.pruning.masked_networks import WEIGHTS, small


def found(fraction: float = 0.8) -> Masks:
    return keep_weights(magnitudes(small(), WEIGHTS), fraction=fraction)


def test_a_shuffled_mask_keeps_as_many_weights_of_every_tensor_and_others() -> None:
    masks = found()
    drawn = shuffled(masks, 3, "shuffled")
    for name, mask in masks.items():
        assert drawn[name].shape == mask.shape
        assert int(drawn[name].sum()) == int(mask.sum())
        assert not torch.equal(drawn[name], mask)


def test_a_random_mask_keeps_as_many_weights_in_all_spread_in_proportion() -> None:
    masks = {"large": torch.zeros(90_000, dtype=torch.bool), "small": torch.ones(10_000, dtype=torch.bool)}
    drawn = random_masks(masks, 3, "random")
    assert kept_of_masks(drawn) == kept_of_masks(masks)
    # Hypergeometric: 9,000 of 90,000 and 1,000 of 10,000 on average, with a standard deviation of 28.5.
    assert int(drawn["large"].sum()) == pytest.approx(9000, abs=4 * 28.5)


@pytest.mark.parametrize("draw", [shuffled, random_masks])
def test_a_draw_is_a_function_of_its_purpose(draw: object) -> None:
    assert callable(draw)
    one, same, other = draw(found(), 1, "a"), draw(found(), 1, "a"), draw(found(), 2, "a")
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_tensors_of_one_shape_are_drawn_apart() -> None:
    twins = {"a": torch.arange(100) < 50, "b": torch.arange(100) < 50}
    for drawn in (shuffled(twins, 0), random_masks(twins, 0)):
        assert not torch.equal(drawn["a"], drawn["b"])


def test_positions_in_a_shuffled_mask_are_all_equally_likely() -> None:
    mask = {"a": torch.arange(10) < 3}
    counts = sum(shuffled(mask, seed)["a"].int() for seed in range(2000))
    assert isinstance(counts, torch.Tensor)
    # Binomial(2000, 0.3): mean 600, standard deviation 20.5.
    assert (counts.float() - 600).abs().max() < 5 * 20.5


def test_kept_weights_have_the_spread_that_the_papers_code_draws() -> None:
    network = build(dense_spec(NetworkSettings(name="vgg11", width=0.5), classes=10, shape=(3, 32, 32)), 0)
    masks = keep_weights(magnitudes(network, maskable(network)), fraction=0.8, floor=0.05)
    scale_to_kept(network, masks)
    apply_masks(network, masks := shuffled(masks, 1))
    for name, mask in masks.items():
        kept = network.get_parameter(name).detach()[mask]
        # n = kept / C_in, std = sqrt(2 / n); the standard error of a standard deviation of k draws is std / sqrt(2 k).
        n = len(kept) / mask.shape[1]
        assert float(kept.std()) == pytest.approx(math.sqrt(2 / n), rel=5 / math.sqrt(2 * len(kept)))


def test_a_layer_drawn_by_fan_in_has_the_spread_of_its_kept_inputs() -> None:
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(1000, 500, bias=False))
    nn.init.kaiming_normal_(layer[0].weight)
    mask = {"0.weight": torch.rand(500, 1000) < 0.1}
    scale_to_kept(layer, mask)
    kept = layer[0].weight.detach()[mask["0.weight"]]
    assert float(kept.std()) == pytest.approx(math.sqrt(2 / (len(kept) / 500)), rel=0.02)


def test_only_tensors_with_a_mask_are_scaled_and_an_empty_one_keeps_its_numbers() -> None:
    network, before = small(), small()
    masks = {"0.weight": torch.zeros(8, 3, 3, 3, dtype=torch.bool), "6.weight": torch.arange(192).view(12, 16) < 48}
    scale_to_kept(network, masks)
    for name, tensor in network.state_dict().items():
        factor = 2.0 if name == "6.weight" else 1.0
        assert torch.equal(tensor, before.state_dict()[name] * factor) or not tensor.is_floating_point()


def test_masks_of_another_network_are_refused() -> None:
    with pytest.raises(PruningError, match="has no parameter x"):
        scale_to_kept(small(), {"x": torch.ones(2, dtype=torch.bool)})
