"""Norm scales: every norm that holds a group's channels, and where."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from regrow.channels.groups import channel_groups
from regrow.channels.trace import trace
from regrow.errors import PruningError
from regrow.networks.groups import Group, Slice
from regrow.pruning.norm_scales import NormScale, absolute_scales, norm_scales, require_norms
from tests.pruning.sparse_trainings import zoo


def test_a_plain_convolution_has_the_norm_behind_it() -> None:
    network = zoo("vgg11")
    group = channel_groups(network)[0]
    (scale,) = norm_scales(network, group)
    assert (scale.tensor, scale.start, len(scale.channels)) == ("features.norm1.weight", 0, group.channels)


def test_a_layer_of_a_dense_block_has_the_norms_of_all_that_read_it() -> None:
    network = zoo("densenet40")
    stem = channel_groups(network)[0]
    assert len(norm_scales(network, stem)) == 13
    later = channel_groups(network)[3]
    assert all(scale.start > 0 for scale in norm_scales(network, later))


def test_scales_are_means_over_norms_by_channel() -> None:
    groups = (Group("a", 2, (Slice("conv.weight", 0),)),)
    tensors = {"one": torch.tensor([-1.0, 2.0]), "two": torch.tensor([9.0, 3.0, 4.0])}
    norms = {"a": [NormScale("one", 0, torch.tensor([0, 1])), NormScale("two", 1, torch.tensor([0, 1]))]}
    assert absolute_scales(tensors, groups, norms)["a"].tolist() == [2.0, 3.0]


def test_groups_without_a_norm_are_named() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(64, 2))
    tracing = trace(network, torch.zeros(1, 3, 8, 8))
    with pytest.raises(PruningError, match="slimming reads the scales of norm layers, and no norm layer follows 0, 2"):
        require_norms(network, tracing.groups, "slimming")
