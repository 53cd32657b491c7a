"""Designs: the predefined widths of Li et al. 2017 (arXiv:1608.08710), as the paper of this package's question uses them. No torch.

A design says what every group of one network keeps, either as widths or as fractions per stage with a skip list. Skip lists hold
positions of convolutions, counted from 1 as in the source; they are the layers that its authors found sensitive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from regrow.table import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """One predefined way to prune one network; either `widths`, or `stages` with `skip`."""

    summary: str
    """One line of help."""

    network: str
    """The row of `regrow list networks` it is for."""

    widths: tuple[int, ...] = ()
    """Channels to keep per group at width multiplier 1, in forward order; scaled with the multiplier as the network is."""

    stages: tuple[float, ...] = ()
    """Share to remove per stage."""

    skip: tuple[int, ...] = ()
    """Positions of convolutions that stay whole."""

    source: str = "Li et al. 2017, arXiv:1608.08710"
    """Where it was published."""


DESIGNS: Final[Table[Design]] = Table(
    "design",
    {
        "vgg16-a": Design(
            summary="VGG-16 with the first and the last six convolutions halved",
            network="vgg16",
            widths=(32, 64, 128, 128, 256, 256, 256, 256, 256, 256, 256, 256, 256),
        ),
        "resnet56-a": Design(
            summary="ResNet-56 less 10 % inside its blocks, four sensitive blocks whole",
            network="resnet56",
            stages=(0.1, 0.1, 0.1),
            skip=(16, 20, 38, 54),
        ),
        "resnet56-b": Design(
            summary="ResNet-56 less 60, 30 and 10 % inside the blocks of its stages, six sensitive blocks whole",
            network="resnet56",
            stages=(0.6, 0.3, 0.1),
            skip=(16, 18, 20, 34, 38, 54),
        ),
        "resnet110-a": Design(
            summary="ResNet-110 less 50 % inside the blocks of its first stage, one sensitive block whole",
            network="resnet110",
            stages=(0.5, 0.0, 0.0),
            skip=(36,),
        ),
        "resnet110-b": Design(
            summary="ResNet-110 less 50, 40 and 30 % inside the blocks of its stages, three sensitive blocks whole",
            network="resnet110",
            stages=(0.5, 0.4, 0.3),
            skip=(36, 38, 74),
        ),
    },
)
