"""Traced values made by hand: what a tracer finds in two small networks, so that what follows is tested without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regrow.channels.architecture import Correction
from regrow.networks.groups import Group, Slice


@dataclass(frozen=True)
class ByHand:
    """What `regrow.channels.trace.Tracing` gives, written down."""

    groups: tuple[Group, ...]
    links: tuple[tuple[int, ...], ...] = ()

    def corrections(self, widths: Sequence[int]) -> tuple[Correction, ...]:
        """One number of one module follows the first group."""
        return (Correction(module="", attribute="width", dense=self.groups[0].channels, small=widths[0]),)


class Residual(nn.Module):
    """Two convolutions write one stream, a third one stands inside the block."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 12
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.inner = nn.Conv2d(12, 10, 3, padding=1)
        self.outer = nn.Conv2d(10, 12, 1)
        self.head = nn.Linear(12, 4)

    def forward(self, images: Tensor) -> Tensor:
        """Scores of shape [N, 4] for images of shape [N, 3, H, W]."""
        stream = self.stem(images)
        stream = stream + self.outer(self.inner(stream).relu())
        scores: Tensor = self.head(stream.relu().mean(dim=(2, 3)))
        return scores


def residual() -> nn.Module:
    """The residual network with fixed weights."""
    torch.manual_seed(0)
    return Residual()


STREAM = Group(
    "stem",
    12,
    (
        Slice("stem.weight", 0),
        Slice("outer.weight", 0),
        Slice("stem.bias", 0),
        Slice("outer.bias", 0),
        Slice("inner.weight", 1),
        Slice("head.weight", 1),
    ),
    producers=2,
)
INNER = Group("inner", 10, (Slice("inner.weight", 0), Slice("inner.bias", 0), Slice("outer.weight", 1)))
TRACED = ByHand((STREAM, INNER))

HEADS = Group(
    "attention.heads",
    4,
    (Slice("q.weight", 0, repeat=6), Slice("k.weight", 0, repeat=6), Slice("o.weight", 1, repeat=6)),
    producers=2,
    role="heads",
)
DIMENSIONS = Group(
    "attention.dimensions",
    6,
    (Slice("q.weight", 0, tile=4), Slice("k.weight", 0, tile=4), Slice("o.weight", 1, tile=4)),
    producers=2,
)
"""Four heads of six dimensions each, in the same 24 rows."""
