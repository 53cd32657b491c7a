"""Sizes that a replay cannot see: standard deviations computed from a constructor's argument instead of a tensor's shape.

    self.matrix = nn.Parameter(torch.randn(inputs, outputs) / inputs**0.5)
    nn.init.normal_(self.query.weight, std=config.hidden_size**-0.5)

The first line's numbers come with the registration and are cut; the second one acts on a weight that is small, with a size that is not.
Both give themselves away: they are spread as a law says about the *dense* shape. The second kind must, besides, be spread by no law as
its small shape asks, by no number that authors write down, and just as it is in the dense network. Only then is a tensor scaled to what
the law says about its small shape, and what was done is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regrow.channels.laws import Spread, is_plain, law_of, spread_of
from regrow.channels.redraw import Redrawn, rescale
from regrow.channels.subblocks import SubBlock

_FEWEST = 20_000
"""Numbers below which a standard deviation says too little: it is known to 2 % only."""


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A parameter that was cut as it was registered."""

    bits: Tensor
    """Some of its bits then: as long as they are the same, nothing was drawn into it since."""

    spread: Spread
    """Of the numbers that it was registered with, at the dense shape."""


def bits_of(tensor: Tensor) -> Tensor:
    """Some of a tensor's bits: 64 numbers or a few more, as bytes."""
    flat = tensor.detach().flatten()
    return flat[:: max(1, len(flat) // 64)].clone().view(torch.uint8)


def correct_given(
    network: nn.Module, dense: nn.Module, blocks: Mapping[str, SubBlock], given: Mapping[str, Given]
) -> list[Redrawn]:
    """Scale the parameters that still hold the numbers they were registered with, where a dense size spread those.

    `dense` is the dense network, for the sizes of its modules; its tensors are not looked at.
    """
    found = []
    for name, before in given.items():
        tensor = network.get_parameter(name)
        if not torch.equal(bits_of(tensor), before.bits):
            continue
        law = law_of(name, before.spread, blocks, _owner(dense, name))
        if law is not None and law.small != law.dense:
            rescale(tensor, law)
            found.append(Redrawn(name, law))
    return found


def correct_drawn(
    network: nn.Module, dense: nn.Module, blocks: Mapping[str, SubBlock], build: Callable[[], nn.Module]
) -> tuple[list[Redrawn], list[str]]:
    """Scale the parameters that were drawn at their small shape with a standard deviation computed from dense sizes.

    `build` gives the dense network with fresh weights; it is called only where something looks like it. The second list names
    parameters that no law explains and that are spread as in the dense network, where others were found to follow dense sizes.
    """
    spreads = {
        name: spread_of(tensor)
        for name, tensor in network.named_parameters()
        if blocks[name].keep and tensor.numel() >= _FEWEST
    }
    odd = {
        name: spread
        for name, spread in spreads.items()
        if spread.std > 0
        and not is_plain(spread)
        and law_of(name, spread, blocks, _owner(dense, name), at_small=True) is None
    }
    laws = {name: law_of(name, spread, blocks, _owner(dense, name)) for name, spread in odd.items()}
    if not any(laws.values()):
        return [], []
    drawn = dict(build().named_parameters())
    same = [name for name, spread in odd.items() if _as_spread(spread, spread_of(drawn[name]))]
    scaled = [Redrawn(name, law) for name in same if (law := laws[name]) is not None and law.small != law.dense]
    for entry in scaled:
        assert entry.law is not None
        rescale(network.get_parameter(entry.name), entry.law)
    return scaled, [name for name in same if laws[name] is None] if scaled else []


def _as_spread(one: Spread, other: Spread) -> bool:
    return abs(one.std / other.std - 1) <= one.slack(0.05) + other.slack(0.05) if other.std else False


def _owner(network: nn.Module, name: str) -> nn.Module:
    return network.get_submodule(name.rpartition(".")[0])
