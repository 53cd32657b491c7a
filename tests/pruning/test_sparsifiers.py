"""Sparsifiers by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from regrow.channels.blocks import residual_blocks
from regrow.channels.groups import channel_groups
from regrow.errors import PruningError, UnknownNameError
from regrow.networks.groups import Group, Slice, norm, reads
from regrow.pruning.methods import METHODS
from regrow.pruning.slimming import Slimming
from regrow.pruning.soft import SoftPruning
from regrow.pruning.sparsifiers import NAMES, sparsifier
from regrow.pruning.structure import Structure
from regrow.training.compute import Compute
from regrow.training.interventions import Intervention, described
from tests.pruning.sparse_trainings import zoo
from tests.training.samples import network as sample
from tests.training.samples import recipe, run, same_bits
from tests.training.test_loop import interrupt


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


def test_groups_and_blocks_that_are_skipped_are_left_alone() -> None:
    network = zoo("resnet20", 0.5)
    groups, blocks = channel_groups(network), residual_blocks(network, torch.zeros(2, 3, 32, 32))
    channels = sparsifier("sss", {"skip": ["stage1.*"]}, network, groups)
    assert list(channels.scales()) == [group.name for group in groups if not group.name.startswith("stage1")]
    some = sparsifier("sss", {"of": "blocks", "skip": ["stage3.*"]}, network, groups, blocks)
    assert list(some.scales()) == [block.name for block in blocks if not block.name.startswith("stage3")]
    slim = sparsifier("slimming", {"skip": ["stage1.block1.conv1"]}, network, groups)
    slim.attach(network)
    assert list(slim.scales()) == [group.name for group in groups[1:]]


def test_soft_without_widths_says_what_to_do() -> None:
    with pytest.raises(PruningError, match='needs the width of every group: use scope = "group"'):
        sparsifier("soft", {}, zoo(), ())


GROUPS = (Group("0", 8, (Slice("0.weight", 0), *norm("1"), reads("3"))),)

MAKERS: dict[str, Callable[[], Intervention]] = {
    "subgradient": lambda: sparsifier("slimming", {"strength": 0.01}, sample(), GROUPS),
    "proximal": lambda: sparsifier("slimming", {"strength": 0.5, "step": "proximal"}, sample(), GROUPS),
    "soft": lambda: sparsifier("soft", {"widths": [5], "every": 2}, sample(), GROUPS),
}


def made(name: str, network: torch.nn.Module) -> Intervention:
    if name == "sss":
        return sparsifier("sss", {"strength": 0.05}, network, GROUPS, example=torch.zeros(2, 3, 6, 6))
    return MAKERS[name]()


@pytest.mark.parametrize("name", [*MAKERS, "sss"])
@pytest.mark.parametrize("compute", [Compute(), Compute(precision="bf16", channels_last=True)], ids=["fp32", "bf16"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path, name: str, compute: Compute, optimizer: str) -> None:
    whole, cut, resumed = (sample(dropout=0.3) for _ in range(3))
    hand, lost, again = (made(name, net) for net in (whole, cut, resumed))
    how = {"compute": compute, "recipe": recipe(optimizer=optimizer, peak_lr=0.02)}
    run(whole, tmp_path / "whole", intervention=hand, **how)
    interrupt(cut, tmp_path / "cut", at=9, intervention=lost, **how)
    run(resumed, tmp_path / "cut", intervention=again, **how)
    assert same_bits(whole, resumed)
    assert torch.equal(hand.scales()["0"], again.scales()["0"]) and bool(hand.scales()["0"].any())
    assert described(hand) == described(again)
    plain = sample(dropout=0.3)
    run(plain, tmp_path / "plain", **how)
    assert not same_bits(whole, plain)


@pytest.mark.parametrize("name", [*MAKERS, "sss"])
def test_a_finished_training_gives_its_scales_again_without_training(tmp_path: Path, name: str) -> None:
    first, second = sample(), sample()
    hand, again = made(name, first), made(name, second)
    run(first, tmp_path, intervention=hand, checkpoint_seconds=0.0)
    told: list[int] = []
    run(second, tmp_path, intervention=again, on_epoch=lambda row: told.append(row["epoch"]))
    assert told == []
    assert same_bits(first, second)
    assert torch.equal(hand.scales()["0"], again.scales()["0"])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*MAKERS, "sss"])
def test_compiled_trainings_of_one_process_keep_their_hands_apart(tmp_path: Path, name: str) -> None:
    """Graphs of a network without hooks, or with another's, must not serve one with hooks, nor the other way round."""
    compiled = {"compute": Compute(compile=True)}
    eager, first, second, before, after = (sample() for _ in range(5))
    hands = [made(name, net) for net in (eager, first, second)]
    run(eager, tmp_path / "eager", intervention=hands[0])
    run(before, tmp_path / "before", **compiled)
    run(first, tmp_path / "first", intervention=hands[1], **compiled)
    run(second, tmp_path / "second", intervention=hands[2], **compiled)
    run(after, tmp_path / "after", **compiled)
    assert same_bits(before, after)
    assert torch.equal(hands[1].scales()["0"], hands[2].scales()["0"])
    torch.testing.assert_close(hands[0].scales()["0"], hands[1].scales()["0"], rtol=1e-4, atol=1e-5)
