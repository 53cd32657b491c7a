from __future__ import annotations

import pytest
import torch
from torch import nn

from regrow.channels.architecture import Architecture, KeptChannels
from regrow.channels.subblocks import kept_subblocks
from regrow.errors import PruningError
from regrow.networks.groups import Slice

from .width_by_hand import named_tensors


def _architecture(*kept: KeptChannels) -> Architecture:
    return Architecture(dense=None, kept=kept, fingerprint="0" * 64, regrow="test")


def _kept(*slices: Slice, channels: int = 6, indices: tuple[int, ...] = (0, 2, 5)) -> KeptChannels:
    return KeptChannels(group=slices[0].tensor, channels=channels, indices=indices, slices=slices)


def test_a_block_is_what_the_groups_leave_along_every_axis() -> None:
    network = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3))
    blocks = kept_subblocks(
        _architecture(_kept(Slice("0.weight", 0), Slice("0.bias", 0), Slice("1.weight", 1))), named_tensors(network)
    )
    assert {name: block.small for name, block in blocks.items()} == {
        "0.weight": (3, 4),
        "0.bias": (3,),
        "1.weight": (3, 3),
        "1.bias": (3,),
    }
    weight = network[0].weight.detach()
    assert torch.equal(blocks["0.weight"].cut(weight), weight[[0, 2, 5]])
    assert blocks["1.bias"].cut(network[1].bias) is network[1].bias


def test_axes_that_are_already_small_are_left() -> None:
    network = nn.Linear(6, 6)
    block = kept_subblocks(_architecture(_kept(Slice("weight", 0), Slice("weight", 1))), named_tensors(network))[
        "weight"
    ]
    half = torch.arange(18).reshape(3, 6)
    assert torch.equal(block.cut(half), half[:, [0, 2, 5]])
    assert block.cut(half[:, :3]).shape == (3, 3)


def test_a_shape_fits_where_every_axis_is_dense_or_small() -> None:
    block = kept_subblocks(_architecture(_kept(Slice("weight", 0))), named_tensors(nn.Linear(4, 6)))["weight"]
    assert [shape for shape in [(6, 4), (3, 4), (3, 2), (6,), (5, 4)] if block.fits(shape)] == [(6, 4), (3, 4)]


def test_a_group_that_keeps_everything_cuts_nothing() -> None:
    kept = _kept(Slice("weight", 0), indices=tuple(range(6)))
    assert not kept_subblocks(_architecture(kept), named_tensors(nn.Linear(4, 6)))["weight"].keep


def test_an_architecture_of_another_network_is_refused() -> None:
    with pytest.raises(PruningError, match=r"names the tensor head\.weight"):
        kept_subblocks(_architecture(_kept(Slice("head.weight", 0))), named_tensors(nn.Linear(4, 6)))
    with pytest.raises(PruningError, match="takes 6 indices"):
        kept_subblocks(_architecture(_kept(Slice("weight", 1))), named_tensors(nn.Linear(4, 6)))
