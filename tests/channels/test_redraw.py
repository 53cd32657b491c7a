from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from regrow.channels.redraw import redraw
from regrow.channels.subblocks import kept_subblocks
from regrow.errors import PruningError
from regrow.randomness import seeded

from .width_by_hand import between, named_tensors, shapes, unlike

Build = Callable[[int], nn.Module]


def _filled(layer: nn.Module, fill: Callable[[torch.Tensor], object]) -> nn.Module:
    fill(layer.weight)
    return layer


LAYERS: dict[str, Build] = {
    "torch's linear": lambda width: nn.Linear(4 * width, 4 * width),
    "torch's convolution": lambda width: nn.Conv2d(width, 2 * width, 3),
    "He fan-in": lambda width: _filled(nn.Conv2d(width, 2 * width, 3), nn.init.kaiming_normal_),
    "He fan-out": lambda width: _filled(
        nn.Conv2d(width, 2 * width, 3), lambda weight: nn.init.kaiming_normal_(weight, mode="fan_out")
    ),
    "He fan-out by group": lambda width: _filled(
        nn.Conv2d(8 * width, 8 * width, 3, groups=8),
        lambda weight: nn.init.normal_(weight, std=math.sqrt(2 / (9 * width))),
    ),
    "Glorot": lambda width: _filled(nn.Linear(4 * width, 8 * width), nn.init.xavier_uniform_),
    "LeCun": lambda width: _filled(
        nn.Linear(4 * width, 8 * width), lambda weight: nn.init.normal_(weight, std=(4 * width) ** -0.5)
    ),
    "a constant": lambda width: _filled(
        nn.Linear(4 * width, 4 * width), lambda weight: nn.init.normal_(weight, std=0.02)
    ),
    "an embedding": lambda width: nn.Embedding(100, 4 * width),
    "torch's LSTM": lambda width: nn.LSTM(2 * width, 4 * width),
    "torch's GRU cell": lambda width: nn.GRUCell(2 * width, 4 * width),
    "a norm": lambda width: nn.BatchNorm2d(64 * width),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_redrawn_layer_has_the_spread_of_one_built_small(name: str) -> None:
    build = LAYERS[name]
    with seeded(0, name):
        dense, small = nn.Sequential(build(64)), nn.Sequential(build(32))
    blocks = kept_subblocks(between(dense, small), named_tensors(dense))
    redrawn = redraw(dense, blocks)
    assert shapes(dense) == shapes(small)
    assert unlike(dense, small, large=500) == []
    assert {entry.name for entry in redrawn} == {entry for entry, block in blocks.items() if block.keep}


def test_a_vector_scaled_by_its_own_width_follows_it() -> None:
    class Prompt(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.token = nn.Parameter(width**-0.5 * torch.randn(width))
            self.plain = nn.Parameter(0.02 * torch.randn(width))

    with seeded(0):
        dense, small = Prompt(4096), Prompt(1024)
    found = {
        entry.name: entry.law for entry in redraw(dense, kept_subblocks(between(dense, small), named_tensors(dense)))
    }
    assert found["token"] is not None and found["token"].formula == "sqrt(1 / width)"
    assert found["plain"] is None
    assert float(dense.token.detach().std()) == pytest.approx(1024**-0.5, rel=0.1)
    assert float(dense.plain.detach().std()) == pytest.approx(0.02, rel=0.1)


def test_ties_hold() -> None:
    def build(width: int) -> nn.Module:
        network = nn.Sequential(nn.Linear(width, 8), nn.Linear(width, 8))
        network[1].weight = network[0].weight
        return network

    dense = build(16)
    redraw(dense, kept_subblocks(between(dense, build(8)), named_tensors(dense)))
    assert dense[0].weight is dense[1].weight
    assert dense[1].weight.shape == (8, 8)


def test_a_tensor_of_another_size_is_refused() -> None:
    dense = nn.Linear(16, 8)
    blocks = kept_subblocks(between(dense, nn.Linear(8, 8)), named_tensors(dense))
    with pytest.raises(PruningError, match=r"built weight with shape \(8, 12\), where the dense network has \(8, 16\)"):
        redraw(nn.Linear(12, 8), blocks)


def test_what_was_redrawn_says_by_which_law() -> None:
    with seeded(0):
        dense = nn.Linear(256, 256)
    entries = redraw(dense, kept_subblocks(between(dense, nn.Linear(128, 128)), named_tensors(dense)))
    assert [str(entry) for entry in entries] == [
        "weight (std as sqrt(1/3 / fan_in))",
        "bias (std as sqrt(1/3 / fan_in of weight))",
    ]
