"""Two networks that should compute the same: what counts as the same, and where they part."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from regrow.errors import PruningError
from regrow.pruning.adopt_check import largest_difference


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))


IMAGES = torch.zeros(1, 3, 4, 4)


def test_a_copy_computes_the_same_and_modes_stay() -> None:
    one = network().train()
    other = copy.deepcopy(one).eval()
    other[2].train()
    assert largest_difference(one, other, IMAGES) == ""
    assert one.training and not other.training and other[2].training


def test_the_first_module_that_differs_is_named() -> None:
    one = network()
    other = copy.deepcopy(one)
    with torch.no_grad():
        other[1].running_var.mul_(2)
    with pytest.raises(PruningError, match=r"outputs differ by .* from 1 on"):
        largest_difference(one, other, IMAGES)


def test_images_of_zeros_do_not_hide_a_difference_that_needs_numbers() -> None:
    one = nn.Sequential(nn.Linear(3, 2, bias=False))
    other = copy.deepcopy(one)
    with torch.no_grad():
        other[0].weight.mul_(1.1)
    with pytest.raises(PruningError, match="from 0 on"):
        largest_difference(one, other, torch.zeros(4, 3))


def test_another_order_of_modules_is_named() -> None:
    one = nn.Sequential(nn.Identity(), nn.ReLU())
    other = nn.Sequential()
    other.add_module("0", nn.Identity())
    other.add_module("9", nn.Sigmoid())
    with pytest.raises(PruningError, match="from 1, where the dense network's code runs 9"):
        largest_difference(one, other, torch.ones(2, 3))


def test_a_difference_outside_all_modules_is_said_to_be_there() -> None:
    class Twice(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = super().forward(x) * 2
            return found

    inner = nn.Linear(3, 2)
    with pytest.raises(PruningError, match="the network's own code between its modules"):
        largest_difference(nn.Sequential(inner), Twice(inner), torch.ones(2, 3))


def test_outputs_of_another_shape_differ() -> None:
    with pytest.raises(PruningError, match="differ by inf"):
        largest_difference(nn.Linear(3, 2), nn.Linear(3, 4), torch.ones(2, 3))


def test_equal_zeros_are_said_to_mean_nothing() -> None:
    silent = nn.Linear(3, 2)
    nn.init.zeros_(silent.weight)
    nn.init.zeros_(silent.bias)
    assert "all outputs are zero" in largest_difference(silent, copy.deepcopy(silent), torch.ones(2, 3))


def test_a_network_that_cannot_run_says_which_one_and_why() -> None:
    with pytest.raises(PruningError, match="the small network cannot run on the example inputs: RuntimeError"):
        largest_difference(nn.Linear(3, 2), nn.Linear(4, 2), torch.ones(2, 4))
