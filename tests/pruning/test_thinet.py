from __future__ import annotations

import itertools
import statistics

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear
from torch import nn

from regrow.channels.groups import Group, Slice, channel_groups
from regrow.errors import PruningError
from regrow.pruning.reconstruction import largest
from regrow.pruning.thinet import channel_scales, greedy, thinet

from .trained_digits import batches, one_group, output_error, trained

SECOND = 1
"""Place of the second convolution of VGG-11 among its groups; the third one reads it."""


def numbers(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draws(channels: int, width: int) -> list[tuple[int, ...]]:
    return [tuple(sorted(torch.randperm(channels, generator=numbers(n))[:width].tolist())) for n in range(5)]


@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.7])
def test_the_next_layer_is_nearer_to_what_it_was_than_with_l1s_or_random_channels(fraction: float) -> None:
    network = trained()
    groups, widths = one_group(network, SECOND, fraction)
    group, width = groups[SECOND], widths[SECOND]
    found = thinet(network, groups, widths, batches, numbers())
    ours = output_error(network, group, found.kept[group.name], found.weights)
    choice = output_error(network, group, found.kept[group.name], {})
    by_l1 = output_error(network, group, largest(group, width, network.state_dict()), {})
    by_chance = statistics.mean(output_error(network, group, kept, {}) for kept in draws(group.channels, width))
    assert ours < choice < min(by_l1, by_chance)


def test_greedy_takes_in_each_round_what_the_definition_says() -> None:
    values_NC = torch.randn(50, 7, dtype=torch.float64, generator=numbers())
    removed: list[int] = []
    for width in range(6, 0, -1):
        rest = [channel for channel in range(7) if channel not in removed]
        removed.append(min(rest, key=lambda one: float(values_NC[:, [*removed, one]].sum(dim=1).square().sum())))
        assert greedy(values_NC.T @ values_NC, width) == tuple(sorted(set(range(7)) - set(removed)))


def test_greedy_sees_that_two_channels_cancel_each_other() -> None:
    values_NC = torch.tensor([[5.0, -5.0, 1.0], [3.0, -3.0, 2.0]], dtype=torch.float64)
    assert greedy(values_NC.T @ values_NC, 1) == (
        0,
    )  # first channel 2, the smallest; then 1: 3^2 + 1^2 + ... less than 0
    best = min(
        itertools.combinations(range(3), 2), key=lambda gone: float(values_NC[:, list(gone)].sum(dim=1).square().sum())
    )
    assert best == (0, 1)  # which greed, as published, does not find


def test_scales_are_the_least_squares_solution_of_scipy() -> None:
    values_NC = torch.randn(200, 6, dtype=torch.float64, generator=numbers()) + 0.5
    kept = (0, 2, 5)
    scales_C = channel_scales(values_NC.T @ values_NC, kept)
    solved = lsq_linear(values_NC[:, kept].numpy(), values_NC.sum(dim=1).numpy())
    assert np.allclose(scales_C[list(kept)].numpy(), solved.x, rtol=1e-3)
    assert scales_C[[1, 3, 4]].tolist() == [0, 0, 0]


class Three(nn.Module):
    """Three channels into one linear output: 1 x0 + 2 x1 + 4 x2."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3, bias=False)
        self.second = nn.Linear(3, 1)
        with torch.no_grad():
            self.first.weight.copy_(torch.eye(3))
            self.second.weight.copy_(torch.tensor([[1.0, 2.0, 4.0]]))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.second(self.first(values))
        return result


THREE = Group("first", 3, (Slice("first.weight", 0), Slice("second.weight", 1)))


def test_channels_and_scales_of_a_layer_by_hand() -> None:
    """Values (1, 0, 1) and (1, 1, 1): contributions (1, 0, 4) and (1, 2, 4), so A = [[2, 2, 8], [2, 4, 8], [8, 8, 32]].

    The cheapest channel is 0 (2 against 4 and 32). Then y = (5, 7) is fitted by s1 (0, 2) + s2 (4, 4): s2 = 5/4, s1 = 1.
    """
    examples = torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    found = thinet(Three(), (THREE,), (2,), lambda: [(examples, torch.zeros(2))], numbers(), positions=1)
    assert found.kept == {"first": (1, 2)}
    assert torch.allclose(found.weights["second.weight"], torch.tensor([[0.0, 2.0, 5.0]]), atol=1e-2)
    assert found.errors[0].before == pytest.approx(2 / 2)  # 1^2 + 1^2 lost, against (5 - 6)^2 + (7 - 6)^2
    assert found.errors[0].after == pytest.approx(0, abs=1e-3)


def test_only_the_readers_weights_change_and_removed_columns_are_zero() -> None:
    network = trained()
    groups, widths = one_group(network, 2, 0.5)
    found = thinet(network, groups, widths, batches, numbers())
    assert set(found.weights) == {"features.conv4.weight"}
    kept = list(found.kept["features.conv3"])
    new, old = found.weights["features.conv4.weight"], network.state_dict()["features.conv4.weight"]
    gone = [channel for channel in range(groups[2].channels) if channel not in kept]
    assert len(kept) == widths[2]
    assert not new[:, gone].any()
    scale_C = (new[:, kept] / old[:, kept]).flatten(2).transpose(0, 1).flatten(1)
    assert torch.allclose(scale_C, scale_C[:, :1].expand_as(scale_C), rtol=1e-3)


def test_the_same_generator_gives_the_same_choice() -> None:
    network = trained()
    groups = channel_groups(network)
    widths = [group.channels // 2 for group in groups]
    one, again = (thinet(network, groups, widths, lambda: batches(200), numbers(3)) for _ in range(2))
    assert one.kept == again.kept
    assert all(torch.equal(one.weights[name], again.weights[name]) for name in one.weights)


def test_without_examples_the_error_names_the_method() -> None:
    network = trained()
    groups = channel_groups(network)
    with pytest.raises(PruningError, match="thinet looks at what layers compute on training examples"):
        thinet(network, groups, [1] * len(groups), None, numbers())
