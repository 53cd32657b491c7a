"""Decisions: from scores and amounts to what stays."""

from __future__ import annotations

import pytest
import torch

from regrow.channels.groups import channel_groups
from regrow.errors import PruningError
from regrow.pruning.decide import Amount, Subject, decide_channels, histogram
from tests.pruning.sparse_trainings import zoo


def subject(name: str = "vgg11") -> Subject:
    network = zoo(name, 0.25)
    return Subject(network=network, groups=channel_groups(network), example=torch.zeros(2, 3, 32, 32))


def test_named_widths_are_kept_exactly() -> None:
    one = subject()
    widths = tuple(group.channels // 3 for group in one.groups)
    kept = decide_channels(one, "l1", Amount(widths=widths)).kept
    assert tuple(len(indices) for indices in kept.values()) == widths


def test_scales_of_a_sparsifier_are_the_scores() -> None:
    one = subject()
    scales = {group.name: torch.arange(group.channels).double() for group in one.groups}
    widths = tuple(2 for _ in one.groups)
    kept = decide_channels(one, "slimming", Amount(widths=widths), scales=scales).kept
    assert all(kept[group.name] == (group.channels - 2, group.channels - 1) for group in one.groups)


def test_one_ranking_takes_from_where_scores_are_small_and_leaves_the_floor() -> None:
    one = subject()
    scales = {group.name: torch.full((group.channels,), float(n + 1)) for n, group in enumerate(one.groups)}
    amount = Amount(of="channels", scope="global", fraction=0.3, floor=0.25)
    widths = [len(kept) for kept in decide_channels(one, "slimming", amount, scales=scales).kept.values()]
    channels = [group.channels for group in one.groups]
    assert widths[0] == channels[0] // 4
    assert widths[-1] == channels[-1]
    assert sum(widths) == 481  # of 688; what stays is rounded down, as for a share of each group


def test_blocks_with_the_smallest_factors_go() -> None:
    one = subject("resnet20")
    names = [name for name, _ in one.network.named_modules() if name.count(".") == 1 and "block" in name]
    scales = {name: torch.tensor([float(n)]) for n, name in enumerate(names)}
    found = decide_channels(one, "sss", Amount(remove="blocks", of="blocks", fraction=0.5), scales=scales)
    # seven of nine can go, the first of a later stage makes the image smaller; half of seven, rounded to even
    assert found.removed == ("stage1.block1", "stage1.block2", "stage1.block3", "stage2.block2")
    assert all(len(indices) == group.channels for indices, group in zip(found.kept.values(), one.groups, strict=True))


def test_blocks_that_a_design_names_go_whatever_their_factors() -> None:
    amount = Amount.from_json({"amount": {"remove": "blocks", "of": "blocks", "blocks": ["stage1.block2"]}})
    scales = {"stage1.block1": torch.tensor([0.0]), "stage1.block2": torch.tensor([1.0])}
    assert decide_channels(subject("resnet20"), "sss", amount, scales=scales).removed == ("stage1.block2",)
    strange = Amount(remove="blocks", of="blocks", blocks=("stage2.block1",))
    with pytest.raises(PruningError, match=r"stage2\.block1 is no block that can go whole"):
        decide_channels(subject("resnet20"), "sss", strange, scales=scales)


def test_where_no_factor_is_zero_it_is_said_how_near_they_came() -> None:
    one = subject("resnet20")
    names = [name for name, _ in one.network.named_modules() if name.count(".") == 1 and "block" in name]
    scales = {name: torch.tensor([0.25]) for name in names}
    with pytest.raises(PruningError, match=r"smallest factor is 0\.25 .* Raise prune\.strength"):
        decide_channels(one, "sss", Amount(remove="blocks", of="zeros"), scales=scales)


def test_a_histogram_counts_every_channel_once() -> None:
    found = histogram({"a": torch.rand(100), "b": torch.zeros(20)})
    assert sum(found["counts"]) == found["channels"] == 120
    assert found["zeros"] == 20
