"""Footprint: counted by hand, whatever the network is called with."""

from __future__ import annotations

import pytest
import torch

from regrow.errors import ConfigError
from regrow.evaluation.footprint import footprint
from tests.evaluation.speed_networks import Attention, Branching, Separable, images


def test_a_small_network_counted_by_hand() -> None:
    found = footprint(Separable(16).eval(), ((images(2),), {}))
    pixels = 2 * 8 * 8
    assert found.macs == pixels * 16 * (3 * 9 + 9 + 16) + 2 * 16 * 4
    assert found.params == 16 * (27 + 1) + 16 * (9 + 1) + 2 * 16 + 16 * 17 + 4 * 17
    assert found.weight_bytes == 4 * (found.params + 2 * 16) + 8  # running mean and variance, and a count
    # While the sum is made, the two sums' terms and their sum are alive.
    assert found.activation_bytes == 3 * 4 * pixels * 16


def test_keywords_and_attention_are_counted() -> None:
    network = Attention(16).eval()
    inputs = {"tokens": torch.randn(1, 4, 16), "scale": torch.tensor(1.0)}
    assert footprint(network, ((), inputs)).macs == 4 * 16 * 64 + 2 * 4 * 4 * 16


def test_a_network_that_looks_at_values_is_counted_with_numbers() -> None:
    assert footprint(Branching(), ((torch.ones(3, 8),), {})).macs == 3 * 8 * 8


def test_inputs_that_the_network_does_not_take_are_told() -> None:
    with pytest.raises(ConfigError, match=r"Separable cannot be run on the example inputs \(Tensor\)"):
        footprint(Separable(), ((torch.ones(3, 8),), {}))


def test_half_precision_takes_half_the_bytes() -> None:
    inputs = ((images(),), {})
    assert (
        2 * footprint(Branching().half(), ((torch.ones(3, 8).half(),), {})).weight_bytes
        == footprint(Branching(), ((torch.ones(3, 8),), {})).weight_bytes
    )
    assert footprint(Separable(), inputs) == footprint(Separable(), inputs)


def test_the_network_is_left_as_it_was() -> None:
    network = Separable().train()
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    footprint(network, ((images(),), {}))
    assert network.training
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
