"""Groups of channels that must go together, as every network declares them: plain values, no torch.

A network with `channel_groups()` says for each group which axes of which tensors hold its channels. Removing channel i means
removing index `start + i` of every slice; nothing else of the network changes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slice:
    """Where one tensor holds the channels of a group: channel i is index `start + i` along `axis`."""

    tensor: str
    """Name in the network's state dict."""

    axis: int
    """Axis of that tensor."""

    start: int = 0
    """Index of the group's first channel; above 0 where channels were concatenated."""


@dataclass(frozen=True, slots=True)
class Group:
    """Channels that are computed by one weight. `slices[0]` is that weight's output axis: the one that criteria score."""

    name: str
    channels: int
    slices: tuple[Slice, ...]

    @property
    def leader(self) -> Slice:
        """The output axis of the weight that computes the channels."""
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
