"""Norm scales: every norm that holds a group's channels, and where."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from regrow.channels.groups import channel_groups
from regrow.channels.trace import trace
from regrow.errors import PruningError
from regrow.networks.groups import Group, Slice
from regrow.pruning.norm_scales import NormScale, absolute_scales, is_norm, norm_scales, require_norms
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


class PlainRMSNorm(nn.Module):
    """As in Llama: multiplies by its weight."""

    shift = 0.0

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x / x.square().mean(-1, keepdim=True).add(1e-6).sqrt() * (self.shift + self.weight)


class ShiftedRMSNorm(PlainRMSNorm):
    """As in Gemma: multiplies by 1 + weight, so its weight is no scale."""

    shift = 1.0


def test_norms_of_other_libraries_are_known_by_what_they_do() -> None:
    assert is_norm(PlainRMSNorm(4))
    assert not is_norm(ShiftedRMSNorm(4))
    assert is_norm(nn.GroupNorm(2, 4)) and not is_norm(nn.Conv2d(4, 4, 1))


def test_norms_that_no_training_moves_have_no_scale() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), FrozenBatchNorm2d(4))
    group = Group("0", 4, (Slice("0.weight", 0), Slice("1.weight", 0)))
    assert norm_scales(network, group) == ()
