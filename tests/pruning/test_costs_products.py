from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regrow.channels.trace import trace
from regrow.errors import PruningError
from regrow.pruning.costs_products import counts_of

from .traced import INNER, STREAM, residual


def found(
    network: nn.Module, inputs: Any, **options: Any
) -> tuple[list[list[Mapping[tuple[int, ...], int]]], list[str]]:
    groups = trace(network, inputs, **options).groups
    counts = counts_of(network, groups, inputs, **options)
    return [list(product) for product in counts.products], [group.name for group in groups]


class Flat(nn.Module):
    """Four channels of three by three are flattened before a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.last = nn.Linear(36, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.first(images).flatten(1))


class Attention(nn.Module):
    """Two heads of three dimensions look at five tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.size = 2, 3
        self.qkv = nn.Linear(4, 18)
        self.out = nn.Linear(6, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        n, t, _ = tokens.shape
        q, k, v = self.qkv(tokens).view(n, t, 3, self.heads, self.size).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q @ k.transpose(-1, -2)).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(n, t, self.heads * self.size))


class Mixer(nn.Module):
    """Channels are positions for the layer that mixes tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.widen = nn.Linear(2, 6)
        self.tokens = nn.Linear(5, 5)
        self.last = nn.Linear(6, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        wide = self.widen(tokens)
        return self.last(self.tokens(wide.transpose(1, 2)).transpose(1, 2))


def test_a_convolution_has_places_outputs_inputs_and_kernel() -> None:
    products, names = found(Flat(), torch.zeros(2, 1, 5, 5))
    assert names == ["first"]
    first = [{(): 1}, {(0,): 4}, {(): 3}, {(): 3}, {(): 1}, {(): 3}, {(): 3}]  # one example, however many were given
    assert products[0] == first


def test_flattened_channels_take_as_many_positions_as_they_had_places() -> None:
    products, _ = found(Flat(), torch.zeros(1, 1, 5, 5))
    assert {(0,): 36} in products[1]


def test_attention_multiplies_activations_by_heads_and_dimensions() -> None:
    products, names = found(Attention(), torch.zeros(1, 5, 4))
    scores, mixed = products[1], products[2]
    assert [sum(axis.values()) for axis in scores] == [2, 5, 3, 5]
    assert [sum(axis.values()) for axis in mixed] == [2, 5, 5, 3]
    heads, dimensions = (names.index(name) for name in ("qkv", "qkv#2"))
    assert scores == [{(heads,): 2}, {(): 5}, {(dimensions,): 3}, {(): 5}]
    assert mixed == [{(heads,): 2}, {(): 5}, {(): 5}, {(dimensions,): 3}]
    joined = {tuple(axis) for axis in products[3]}
    assert any(len(members) == 1 and len(members[0]) == 2 for members in joined)  # out reads heads x dimensions


def test_channels_that_are_positions_of_a_layer_count_as_positions() -> None:
    products, names = found(Mixer(), torch.zeros(1, 5, 2))
    assert names[0] == "widen"
    assert {(0,): 6} in products[1]
    assert products[1].count({(): 5}) == 2


def test_groups_that_were_traced_with_other_outputs_are_counted_with_them() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            inner = self.a(x)
            return inner, self.b(inner)

    products, names = found(Two(), torch.zeros(1, 3), outputs=lambda both: both[1])
    assert names == ["a"]
    assert {(0,): 4} in products[1]


def test_parameters_are_counted_along_every_axis() -> None:
    counts = counts_of(residual(), [STREAM, INNER], torch.zeros(1, 3, 8, 8))
    assert [[dict(axis) for axis in one] for one in counts.parameters][:2] == [
        [{(0,): 12}, {(): 3}, {(): 3}, {(): 3}],
        [{(0,): 12}],
    ]


def test_a_group_left_out_keeps_its_width() -> None:
    counts = counts_of(residual(), [INNER], torch.zeros(1, 3, 8, 8))
    assert {(0,): 10} in [dict(axis) for axis in counts.products[1]]
    assert {(): 12} in [dict(axis) for axis in counts.products[1]]


def test_groups_that_are_no_groups_of_the_network_are_refused() -> None:
    wrong = replace(INNER, slices=(INNER.slices[0], STREAM.slices[0]))
    with pytest.raises(PruningError, match=r"axis 0 of stem.weight, in which group inner says its 10 channels"):
        counts_of(residual(), [wrong], torch.zeros(1, 3, 8, 8))


def test_a_network_that_cannot_run_is_refused() -> None:
    with pytest.raises(PruningError, match="cannot run on the example inputs"):
        counts_of(residual(), [STREAM, INNER], torch.zeros(1, 5, 8, 8))


def test_a_network_that_looks_at_numbers_is_run_on_them() -> None:
    class Looking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x) if float(x.sum()) >= 0 else self.a(-x))

    network = Looking()
    products, _ = found(network, torch.ones(2, 3))
    assert {(0,): 4} in products[1] and all(parameter.grad is None for parameter in network.parameters())
