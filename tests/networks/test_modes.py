"""Modes are left as they were found."""

from __future__ import annotations

import pytest
from torch import nn

from regrow.networks.modes import evaluating


def mixed() -> nn.Sequential:
    """A network of which one part is frozen in evaluation mode."""
    network = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Dropout()), nn.Dropout())
    network[0][1].eval()
    return network


def modes(network: nn.Module) -> list[bool]:
    return [module.training for module in network.modules()]


def test_inside_every_module_is_in_evaluation_mode() -> None:
    network = mixed()
    with evaluating(network) as same:
        assert same is network
        assert not any(modes(network))


def test_afterwards_every_module_is_in_its_own_mode() -> None:
    network = mixed()
    with evaluating(network):
        network[1].train()
    assert modes(network) == [True, True, True, False, True]


def test_an_error_inside_leaves_modes_too() -> None:
    network = mixed()
    with pytest.raises(ZeroDivisionError), evaluating(network):
        _ = 1 / 0
    assert modes(network) == [True, True, True, False, True]
