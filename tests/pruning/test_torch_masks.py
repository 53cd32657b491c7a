"""Masks of torch.nn.utils.prune, read from its own reparametrisation."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from regrow.errors import PruningError
from regrow.pruning.sparsity import apply_masks, kept_of_masks
from regrow.pruning.torch_masks import from_torch_prune
from tests.pruning.masked_networks import WEIGHTS, batch, small


def pruned() -> nn.Sequential:
    network = small()
    prune.l1_unstructured(network[0], "weight", amount=0.5)
    prune.ln_structured(network[3], "weight", amount=2, n=2, dim=0)
    prune.random_unstructured(network[3], "bias", amount=1)
    return network


def test_its_masks_are_read_under_the_names_that_the_weights_get_back() -> None:
    network = pruned()
    masks = from_torch_prune(network)
    assert {name: int((~mask).sum()) for name, mask in masks.items()} == {"0.weight": 108, "3.weight": 144, "3.bias": 1}
    assert torch.equal(masks["0.weight"], network[0].weight_mask.bool())


def test_put_on_the_ordinary_network_they_compute_what_torchs_network_computes() -> None:
    network, images = pruned().eval(), batch(0)[0]
    masks = from_torch_prune(network)
    plain = small().eval()
    apply_masks(plain, masks)
    assert torch.equal(plain(images), network(images))


def test_two_prunings_of_one_weight_are_one_mask() -> None:
    network = pruned()
    prune.l1_unstructured(network[0], "weight", amount=0.5)
    assert kept_of_masks({"0.weight": from_torch_prune(network)["0.weight"]}) == (54, 216)


def test_zeros_of_plain_weights_count_only_where_that_is_asked_for() -> None:
    network = pruned()
    prune.remove(network[0], "weight")
    assert set(from_torch_prune(network)) == {"3.weight", "3.bias"}
    masks = from_torch_prune(network, zeros=True)
    assert set(masks) == {*WEIGHTS, "3.bias"}
    assert kept_of_masks({"0.weight": masks["0.weight"]}) == (108, 216)
    assert bool(masks["6.weight"].all())


def test_a_buffer_that_only_sounds_like_a_mask_is_none() -> None:
    network = small()
    network.register_buffer("padding_mask", torch.zeros(3))
    with pytest.raises(PruningError, match=r"no weight_mask buffers were found\. If its zeros are in plain weights"):
        from_torch_prune(network)
    with pytest.raises(PruningError, match="no weight_mask buffers or zeros were found"):
        from_torch_prune(network, zeros=True)


def test_the_network_is_left_as_it_is() -> None:
    network = pruned()
    before = copy.deepcopy(network.state_dict())
    masks = from_torch_prune(network)
    masks["0.weight"].fill_(True)
    assert prune.is_pruned(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
