"""Kinds of work that a network does, as far as speed is concerned: what to call them, and why pruning may not make them faster.

Imports no torch. Removing the share f of all channels cuts most multiplications to (1 - f)^2, but whatever touches each channel
once only to (1 - f); that is why networks whose time goes into the latter gain less than their MACs fall.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from regrow.table import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of work."""

    summary: str
    """What a person calls it, in the plural, as in "time is spent in ..."."""

    reason: str
    """Why it becomes less fast than the MACs fall; goes on the sentence "They ...", without a full stop."""

    widens: bool = False
    """Whether its speed depends on its widths being multiples of what a vector unit takes."""


KINDS: Final[Table[Kind]] = Table(
    "kind of work",
    {
        "convolution": Kind(
            summary="convolutions",
            reason="do fewer multiplications per second the narrower they are",
            widens=True,
        ),
        "pointwise": Kind(
            summary="1x1 convolutions",
            reason="read and write whole feature maps for few multiplications each when they have few channels, "
            "so they are bound by memory rather than by arithmetic",
            widens=True,
        ),
        "grouped": Kind(
            summary="grouped convolutions",
            reason="have few channels a group, too few to keep a vector unit busy",
            widens=True,
        ),
        "depthwise": Kind(
            summary="depthwise convolutions",
            reason="do few multiplications for each number that they read, so they are bound by memory, not by arithmetic; "
            "their work falls with the channels, not with their square",
        ),
        "linear": Kind(
            summary="linear layers",
            reason="do fewer multiplications per second the narrower they are",
            widens=True,
        ),
        "attention": Kind(
            summary="attention products",
            reason="compare every token with every other, which depends on the number of tokens; only the size of the heads shrinks",
        ),
        "softmax": Kind(
            summary="softmax",
            reason="work on one number for every pair of tokens, whatever the number of channels",
        ),
        "recurrent": Kind(
            summary="recurrent layers",
            reason="take one small step after the other, and a step's start costs the same at every width",
        ),
        "norm": Kind(
            summary="norm layers",
            reason="multiply nothing that MACs count and are bound by memory: their time falls with the channels, not with their square",
        ),
        "elementwise": Kind(
            summary="activations, sums and other element-wise work",
            reason="multiply nothing that MACs count and are bound by memory: their time falls with the channels, "
            "not with their square",
        ),
        "pool": Kind(
            summary="pooling",
            reason="multiply nothing and are bound by memory: their time falls with the channels, not with their square",
        ),
        "copy": Kind(
            summary="copies and rearrangements of data",
            reason="multiply nothing and are bound by memory: their time falls with the channels, not with their square",
        ),
        "other": Kind(summary="other operations", reason="multiply nothing that MACs count"),
        "overhead": Kind(
            summary="starting operations rather than doing them",
            reason="cost the same however little there is to do",
        ),
    },
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerTime:
    """What one kind of work costs in one layer."""

    layer: str
    """Name of the module; empty for the network itself."""

    kind: str
    """A row of `KINDS`."""

    seconds: float
    """Seconds in one run; the first quartile over the rounds."""

    macs: int = 0
    """Multiply-accumulates in one run, for all examples of the batch together."""

    widths: tuple[int, ...] = ()
    """Channels that its weight reads and channels that it writes; empty where there is no such weight."""
