"""Footprint: the MACs and the memory of any network for given inputs, counted and not sampled.

Bytes are those of the parameters and buffers as they are stored, and of the activations at the worst moment as `regrow.networks.cost`
defines it. What the process or the allocator holds beside them is not counted, so equal networks give equal numbers everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from regrow.errors import ConfigError
from regrow.evaluation.runtimes import Arguments
from regrow.pruning.report import cost_with


@dataclass(frozen=True, kw_only=True, slots=True)
class Footprint:
    """What a network needs for one forward pass of the inputs that it was counted with."""

    macs: int
    """Multiply-accumulates of the whole batch."""

    params: int
    """Parameters."""

    weight_bytes: int
    """Bytes of parameters and buffers."""

    activation_bytes: int
    """Bytes of activations at the worst moment."""


def footprint(network: nn.Module, inputs: Arguments) -> Footprint:
    """Count a network for these inputs. Its own modes, hooks and statistics are not touched.

    Raises `ConfigError` where the network cannot run on the inputs.
    """
    positional, keywords = inputs
    counted = cost_with(network, keywords or positional)
    if counted is None:
        given = ", ".join(type(value).__name__ for value in positional) or ", ".join(keywords)
        raise ConfigError(
            f"{type(network).__name__} cannot be run on the example inputs ({given}), so its MACs cannot be counted. Pass a tensor, a "
            "tuple of positional arguments or a dictionary of keyword arguments that its forward takes."
        )
    return Footprint(
        macs=counted.macs,
        params=counted.params,
        weight_bytes=sum(tensor.nbytes for tensor in [*network.parameters(), *network.buffers()]),
        activation_bytes=counted.peak_activation_bytes,
    )
