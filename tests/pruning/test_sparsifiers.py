"""Sparsifiers by name."""

from __future__ import annotations

import pytest
import torch

from regrow.channels.blocks import residual_blocks
from regrow.channels.groups import channel_groups
from regrow.errors import PruningError, UnknownNameError
from regrow.pruning.methods import METHODS
from regrow.pruning.slimming import Slimming
from regrow.pruning.soft import SoftPruning
from regrow.pruning.sparsifiers import NAMES, sparsifier
from regrow.pruning.structure import Structure
from tests.pruning.sparse_trainings import zoo


def test_every_row_that_is_a_sparsifier_has_one() -> None:
    assert sorted(NAMES) == sorted(name for name, row in METHODS.items() if row.kind == "sparsifier")


def test_names_and_settings_lead_to_interventions() -> None:
    network = zoo("resnet20", 0.5)
    groups = channel_groups(network)
    blocks = residual_blocks(network, torch.zeros(2, 3, 32, 32))
    widths = [group.channels // 2 for group in groups]
    assert isinstance(sparsifier("slimming", {}, network, groups), Slimming)
    assert isinstance(sparsifier("soft", {"widths": widths}, network, groups), SoftPruning)
    by_channel, by_block = (sparsifier("sss", how, network, groups, blocks) for how in ({}, {"of": "blocks"}))
    assert isinstance(by_channel, Structure)
    assert {name: len(scale) for name, scale in by_channel.scales().items()} == {g.name: g.channels for g in groups}
    assert {name: len(scale) for name, scale in by_block.scales().items()} == {block.name: 1 for block in blocks}


def test_the_strength_is_taken() -> None:
    network = zoo()
    hand = sparsifier("sss", {"strength": 0.5}, network, channel_groups(network))
    hand.owned()[0].grad = torch.zeros_like(hand.owned()[0])
    hand.after_step(0.1)
    assert float(hand.owned()[0].detach()[0]) == pytest.approx(0.95 - 0.9 * 0.05)


def test_unknown_names_and_missing_blocks_are_refused() -> None:
    with pytest.raises(UnknownNameError):
        sparsifier("slim", {}, zoo(), ())
    with pytest.raises(PruningError):
        sparsifier("sss", {"of": "blocks"}, zoo(), ())
