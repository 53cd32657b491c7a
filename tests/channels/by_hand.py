"""Architectures written by hand, and the tensors that they leave, without any tracing."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from regrow.channels.architecture import Architecture, Correction, KeptChannels
from regrow.channels.groups import Group, Slice, keep_masks

Kept = tuple[int, tuple[int, ...]]
"""How many channels a group had, and which stay."""

SLICES: Mapping[str, tuple[Slice, ...]] = {
    "stream": (
        Slice("stem.weight", 0),
        Slice("outer.weight", 0),
        Slice("stem.bias", 0),
        Slice("outer.bias", 0),
        Slice("inner.weight", 1),
        Slice("head.weight", 1),
    ),
    "inner": (Slice("inner.weight", 0), Slice("inner.bias", 0), Slice("outer.weight", 1)),
}


class Residual(nn.Module):
    """Two convolutions write one stream, a third one stands inside the block."""

    def __init__(self, stream: int = 12, inner: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, stream, 3, padding=1)
        self.inner = nn.Conv2d(stream, inner, 3, padding=1)
        self.outer = nn.Conv2d(inner, stream, 1)
        self.head = nn.Linear(stream, 4)

    def forward(self, images: Tensor) -> Tensor:
        """Scores of shape [N, 4] for images of shape [N, 3, H, W]."""
        stream = self.stem(images)
        stream = stream + self.outer(self.inner(stream).relu())
        scores: Tensor = self.head(stream.relu().mean(dim=(2, 3)))
        return scores


def residual() -> nn.Module:
    """The residual network with fixed weights, in float64."""
    torch.manual_seed(0)
    return Residual().double()


def architecture(
    slices: Mapping[str, tuple[Slice, ...]] = SLICES, corrections: tuple[Correction, ...] = (), **kept: Kept
) -> Architecture:
    """An architecture with these groups."""
    return Architecture(
        dense=None,
        kept=tuple(
            KeptChannels(group=name, channels=channels, indices=indices, slices=slices[name])
            for name, (channels, indices) in kept.items()
        ),
        corrections=corrections,
        network="tests:ByHand",
        fingerprint="0" * 64,
        regrow="test",
    )


HALF = architecture(stream=(12, (0, 2, 3, 5, 8, 11)), inner=(10, (1, 4, 5, 6, 9)))


def cut(tensors: Mapping[str, Tensor], pruned: Architecture) -> dict[str, Tensor]:
    """The sub-blocks that an architecture keeps."""
    groups = [Group(entry.group, entry.channels, entry.slices) for entry in pruned.kept]
    masks = keep_masks(groups, pruned.indices, tensors)
    blocks = dict(tensors)
    for name, axes in masks.items():
        for axis, keep in axes.items():
            blocks[name] = blocks[name].index_select(axis, keep.nonzero().flatten())
    return blocks


def spread(tensor: Tensor) -> tuple[float, float]:
    """Standard deviation and mean, without the one number in a million that `trunc_normal_` throws to its far bounds."""
    values = tensor.detach().double().flatten()
    values = values[values.abs() <= 12 * values.abs().median() + 1e-12]
    std, mean = torch.std_mean(values)
    return float(std), float(mean)
