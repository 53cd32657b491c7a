"""Network slimming: the penalty is the one of the source, and it really empties channels."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from regrow.channels.groups import channel_groups
from regrow.errors import PruningError
from regrow.networks.groups import Group, Slice
from regrow.pruning.norm_scales import absolute_scales, require_norms
from regrow.pruning.slimming import Slimming
from tests.pruning.sparse_trainings import trained, zoo


def normed() -> tuple[nn.Module, tuple[Group, ...]]:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))
    return network, (Group("0", 3, (Slice("0.weight", 0), Slice("1.weight", 0))),)


def test_the_subgradient_joins_the_gradient_of_the_groups_channels_only() -> None:
    network, groups = normed()
    scale = network[1].weight
    scale.data = torch.tensor([0.5, -0.5, 0.0, 0.5])
    hand = Slimming(groups, strength=0.25)
    hand.attach(network)
    scale.grad = torch.ones(4)
    hand.before_step(0.1)
    assert scale.grad.tolist() == [1.25, 0.75, 1.0, 1.0]  # the fourth channel is of no group


def test_the_proximal_step_shrinks_by_lr_times_strength_and_stops_at_zero() -> None:
    network, groups = normed()
    scale = network[1].weight
    scale.data = torch.tensor([0.5, -0.01, 0.02, 0.5])
    hand = Slimming(groups, strength=0.25, step="proximal")
    hand.attach(network)
    hand.after_step(0.1)
    assert scale.tolist() == pytest.approx([0.475, 0.0, 0.0, 0.5])


def test_training_with_the_penalty_drives_scales_towards_zero(tmp_path: Path) -> None:
    plain, slim = zoo(), zoo()
    groups = channel_groups(slim)
    trained(plain, tmp_path / "plain")
    hand = Slimming(groups, strength=0.06)
    trained(slim, tmp_path / "slim", hand)
    norms = require_norms(plain, groups, "test")
    before = torch.cat(list(absolute_scales(dict(plain.named_parameters()), groups, norms).values()))
    after = torch.cat(list(hand.scales().values()))
    assert len(after) == len(before) == sum(group.channels for group in groups)
    assert float((after < 0.05).double().mean()) > 0.3 > 0.02 > float((before < 0.05).double().mean())


def test_proximal_training_reaches_exact_zeros_and_widths_differ(tmp_path: Path) -> None:
    network = zoo()
    hand = Slimming(channel_groups(network), strength=0.25, step="proximal")
    trained(network, tmp_path, hand)
    left = [float((scale_C > 0).double().mean()) for scale_C in hand.scales().values()]
    assert min(left) < 0.7 * max(left)


def test_dense_blocks_and_residual_streams_need_no_index_layer() -> None:
    for name in ("densenet40", "preresnet164"):
        network = zoo(name, 0.25)
        groups = channel_groups(network)
        hand = Slimming(groups)
        hand.attach(network)
        assert {group.name: group.channels for group in groups} == {n: len(s) for n, s in hand.scales().items()}


def test_a_network_without_norms_is_refused_with_a_way_out() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    with pytest.raises(PruningError, match=r"no norm layer follows 0\. Use a method that reads weights"):
        Slimming((Group("0", 4, (Slice("0.weight", 0),)),)).attach(network)


def test_a_norm_that_is_frozen_is_left_as_it_is() -> None:
    for step in ("subgradient", "proximal"):
        network, groups = normed()
        network[1].weight.requires_grad_(False)
        hand = Slimming(groups, strength=0.25, step=step)  # type: ignore[arg-type]
        hand.attach(network)
        hand.before_step(0.1)
        hand.after_step(0.1)
        assert network[1].weight.tolist() == [1.0] * 4


def test_its_settings_are_told() -> None:
    _, groups = normed()
    assert Slimming(groups, 0.5, "proximal").description() == {"groups": ["0"], "strength": 0.5, "step": "proximal"}
