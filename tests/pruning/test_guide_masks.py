"""Guided sparsity: exact counts, in the proportions of a guide at every stage and kernel position, at places drawn by chance."""

from __future__ import annotations

import functools

import pytest
import torch

from regrow.errors import PruningError
from regrow.networks.build import build
from regrow.networks.prunable import prunable_of_zoo
from regrow.pruning.guide import Guide
from regrow.pruning.guide_masks import guided_masks
from regrow.pruning.kernel_shares import shares_by_position, shares_by_stage, stages_of
from regrow.pruning.mask_schedule import removed_of
from regrow.pruning.sparsity import Masks, maskable

from .guides import CENTRE, dense, of_channels, of_weights

NAMES = ("vgg16", "preresnet20", "densenet40")


@functools.cache
def shapes(name: str, width: float = 0.25) -> dict[str, tuple[int, ...]]:
    network = build(dense(name, width))
    return {one: tuple(network.get_parameter(one).shape) for one in maskable(network)}


def guide_for(name: str, base: float = 0.5) -> Guide:
    stages = 1 + max(group.stage for group in prunable_of_zoo(dense(name)).groups)
    return of_weights([base * 0.7**stage for stage in range(stages)], [CENTRE] * stages)


def drawn(name: str, fraction: float, seed: int = 0, width: float = 0.25) -> Masks:
    return guided_masks(shapes(name, width), dense(name, width), guide_for(name), fraction=fraction, seed=seed)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fraction", [0.3, 0.8, 0.95])
def test_counts_are_exact_and_no_layer_is_emptied(name: str, fraction: float) -> None:
    masks = drawn(name, fraction)
    total = sum(mask.numel() for mask in masks.values())
    assert sum(int(mask.sum()) for mask in masks.values()) == total - removed_of(total, fraction)
    assert all(bool(mask.any()) for mask in masks.values())


@pytest.mark.parametrize("name", NAMES)
def test_shares_at_kernel_positions_are_those_of_the_guide_times_one_factor(name: str) -> None:
    masks = drawn(name, 0.9, width=0.25 if name == "vgg16" else 1.0)
    stages = stages_of(masks, prunable_of_zoo(dense(name)).groups)
    found = torch.tensor(list(shares_by_position(masks, stages).values()))
    ratios = found / torch.tensor(CENTRE)
    assert float(ratios.max() - ratios.min()) < 0.05 * float(ratios.mean())


def test_layers_without_positions_keep_their_stages_share() -> None:
    masks = drawn("preresnet20", 0.8)
    stages = stages_of(masks, prunable_of_zoo(dense("preresnet20")).groups)
    points = {name: mask for name, mask in masks.items() if mask.shape[-1] == 1}
    found = shares_by_stage(points, stages)
    ratios = [found[str(stage)] / (0.5 * 0.7**stage) for stage in range(3)]
    assert max(ratios) - min(ratios) < 0.05 * ratios[0]


def test_counts_by_hand() -> None:
    # two stages, 10 weights each at shares 0.6 and 0.2, no 3x3 kernels: 8 stay of 20 at factor 1, 4 at factor 1/2
    guide = of_weights([0.6, 0.2, 0.2, 0.2, 0.2], [None] * 5)
    small = {"features.conv1.weight": (10, 1), "features.conv3.weight": (10, 1)}
    for fraction, kept in ((0.6, [6, 2]), (0.8, [3, 1]), (0.35, [10, 3])):
        masks = guided_masks(small, dense("vgg16"), guide, fraction=fraction, seed=0)
        assert [int(mask.sum()) for mask in masks.values()] == kept


def test_every_seed_draws_other_places_and_the_same_ones_again() -> None:
    first, second, again = drawn("vgg16", 0.8, 0), drawn("vgg16", 0.8, 1), drawn("vgg16", 0.8, 0)
    name = "features.conv8.weight"
    assert not first[name].equal(second[name])
    assert all(first[one].equal(again[one]) for one in first)
    both = float((first[name] & second[name]).sum()) / float(first[name].sum())
    assert both < 0.6  # by chance, cell by cell, not the same weights


def test_what_a_guide_never_keeps_cannot_be_asked_for() -> None:
    never = ((0.0, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.0))
    guide = of_weights([0.1] * 5, [never] * 5)
    with pytest.raises(PruningError, match=r"the guide keeps some at \d+ places only"):
        guided_masks(shapes("vgg16"), dense("vgg16", 0.25), guide, fraction=0.5, seed=0)


def test_a_guide_of_channels_or_with_other_stages_is_refused() -> None:
    with pytest.raises(PruningError, match="holds shares of channels, found by slimming, and masks need"):
        guided_masks(shapes("vgg16"), dense("vgg16"), of_channels(*[0.5] * 5), fraction=0.5, seed=0)
    with pytest.raises(PruningError, match="has 5 stages; preresnet20 has 3"):
        guided_masks(shapes("vgg16"), dense("preresnet20"), guide_for("vgg16"), fraction=0.5, seed=0)
