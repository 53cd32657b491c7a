"""Optimisers: two steps by hand, fused or not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from regrow.training.optimizer import build_optimizer
from tests.training.samples import network, recipe


def two_steps(**changes: Any) -> float:
    """A weight of 1 with gradient 0.5 at lr 0.1 and weight decay 0.1, after two steps."""
    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    optimizer = build_optimizer(layer, recipe(weight_decay=0.1, **changes))
    for _ in range(2):
        layer.weight.grad = torch.tensor([[0.5]])
        optimizer.step()
    return layer.weight.item()


def test_sgd_without_momentum() -> None:
    # 1 - 0.1 * (0.5 + 0.1) = 0.94;   0.94 - 0.1 * (0.5 + 0.094) = 0.8806
    assert two_steps(momentum=0.0) == pytest.approx(0.8806)


def test_sgd_with_momentum() -> None:
    # v = 0.6, w = 0.94;   v = 0.9 * 0.6 + 0.594 = 1.134, w = 0.94 - 0.1134
    assert two_steps(momentum=0.9) == pytest.approx(0.8266)


def test_sgd_with_nesterovs_momentum() -> None:
    # v = 0.6, w = 1 - 0.1 * (0.6 + 0.54) = 0.886;   g = 0.5886, v = 1.1286, w = 0.886 - 0.1 * (0.5886 + 1.01574)
    assert two_steps(momentum=0.9, nesterov=True) == pytest.approx(0.725566)


def test_adamw_decays_weights_apart_from_the_gradient() -> None:
    # With a constant gradient every Adam step is lr, after the weight has shrunk by lr * decay: w -> 0.99 w - 0.1.
    assert two_steps(optimizer="adamw") == pytest.approx(0.99 * (0.99 - 0.1) - 0.1, abs=1e-6)


def test_frozen_parameters_are_left_out() -> None:
    net = network()
    net[0].weight.requires_grad_(False)
    (group,) = build_optimizer(net, recipe()).param_groups
    assert len(group["params"]) == len(list(net.parameters())) - 1
