"""Groups of channels that must go together: plain values, no torch.

The networks of the zoo declare theirs; those of any other network are traced (`regrow.channels.trace`). A group says which axes of
which tensors hold its channels. Removing channel i means removing the indices that belong to it along every slice; nothing else of
the network changes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Role = Literal["channels", "heads"]


@dataclass(frozen=True, slots=True)
class Slice:
    """Where one tensor holds the channels of a group.

    Along `axis`, from index `start` on, stand `tile` copies of the group's channels one after the other, each channel taking
    `repeat` neighbouring indices: 49 of them where feature maps of 7 x 7 were flattened, `tile=12` where each of 12 heads holds
    the same head dimensions.
    """

    tensor: str
    """Name of a parameter or buffer of the network."""

    axis: int
    """Axis of that tensor."""

    start: int = 0
    """Index of the group's first channel; above 0 where channels were concatenated."""

    repeat: int = 1
    """Neighbouring indices that belong to one channel."""

    tile: int = 1
    """How often the whole run of channels stands there."""

    order: tuple[int, ...] | None = None
    """The channels in the order in which they stand; None: 0, 1, 2, ... all of them."""

    def length(self, channels: int) -> int:
        """Indices along the axis that belong to the group.

        >>> Slice("head.weight", 1, repeat=49).length(channels=8)
        392
        """
        return self.tile * self.repeat * (channels if self.order is None else len(self.order))

    def channels_at(self, channels: int) -> Iterator[int]:
        """The channel that each index holds, from `start` on.

        >>> list(Slice("a", 0, repeat=2, tile=2).channels_at(channels=2))
        [0, 0, 1, 1, 0, 0, 1, 1]
        """
        order = range(channels) if self.order is None else self.order
        run = [channel for channel in order for _ in range(self.repeat)]
        return itertools.chain.from_iterable(itertools.repeat(run, self.tile))


@dataclass(frozen=True, slots=True)
class Group:
    """Channels that must go together. The first `producers` slices are output axes of the weights that compute them."""

    name: str
    channels: int
    slices: tuple[Slice, ...]

    producers: int = 1
    """How many slices, from the first on, are output axes of weights: the ones that criteria score."""

    role: Role = "channels"
    """`heads` where each channel of the group is a block that another prunable group divides: attention heads, groups of a
    grouped convolution. A share of all channels is then taken from the inner group and these stay, unless they are asked for."""

    @property
    def leader(self) -> Slice:
        """The output axis of the first weight that computes the channels."""
        return self.slices[0]


def output(module: str) -> Slice:
    """The output axis of a convolution or linear layer without bias."""
    return Slice(f"{module}.weight", 0)


def reads(module: str, start: int = 0) -> Slice:
    """The input axis of a convolution or linear layer."""
    return Slice(f"{module}.weight", 1, start)


def norm(module: str, start: int = 0) -> tuple[Slice, ...]:
    """Scale, shift and running statistics of a batch norm."""
    return tuple(Slice(f"{module}.{part}", 0, start) for part in ("weight", "bias", "running_mean", "running_var"))
