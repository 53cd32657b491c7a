"""Targets: the width of every group from a network and a budget alone, before anything is trained, and milliseconds at any widths."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import nn

from regrow.channels.architecture import Architecture, KeptChannels, regrow_version
from regrow.channels.carve import carve
from regrow.channels.groups import DeclaresGroups
from regrow.channels.onmeta import as_call
from regrow.channels.trace import Tracing, trace
from regrow.errors import PruningError
from regrow.networks.groups import Group
from regrow.pruning.allocation import Allocation, Want, allocate
from regrow.pruning.costs import cost_model

WARM_UP: Final = 3
"""Forward passes that are not timed."""

REPEATS: Final = 15
"""Forward passes that are timed."""

_UNKNOWN: Final = "0" * 64
"""The fingerprint of an architecture that stands for its widths alone."""


def widths_for(
    network: nn.Module,
    groups: Sequence[Group],
    links: Sequence[Sequence[int]],
    example_inputs: Any,
    of: str,
    fraction: float,
    skip: Sequence[str] = (),
    *,
    floor: float = 0.0,
    latency: Callable[[Sequence[int]], float] | None = None,
    kept: Mapping[str, float] | None = None,
) -> Allocation:
    """The widths at which every group loses the same share and the network `fraction` of its channels, MACs, parameters or milliseconds.

    With `kept`, a positive share per group name, widths stay in these proportions instead: min(1, factor * share) of the channels of
    every group, to the nearest and at least one, with the factor at which the network comes nearest to the fraction.

    No weight and no score is looked at, so the widths are the same for every seed; those for a share of latency are of this machine,
    and measured here unless `latency` gives milliseconds. `skip` holds patterns of groups that stay whole. Raises as
    `regrow.pruning.allocation.allocate` does.
    """
    want = Want(fraction=fraction, of=of, scope="group", floor=floor, ignore=tuple(skip))
    model = cost_model(network, groups, example_inputs)
    if of == "latency" and latency is None:
        latency = milliseconds_of(network, groups, example_inputs)
    return allocate(groups, links, want, model=model, latency=latency, kept=kept)


def milliseconds_of(
    network: nn.Module, groups: Sequence[Group], example_inputs: Any, traced: Tracing | None = None
) -> Callable[[Sequence[int]], float]:
    """A function from widths to the milliseconds of one forward pass on the example inputs, on the network's device.

    The first channels of every group stand for the kept ones: which they are makes no difference to speed. The median of `REPEATS`
    passes in eval mode, with the threads that PyTorch has now.
    """
    declared = isinstance(network, DeclaresGroups)
    if traced is None and not declared:
        traced = trace(network, example_inputs)

    def milliseconds(widths: Sequence[int]) -> float:
        return timed(at_widths(network, groups, widths, traced), example_inputs)

    return milliseconds


def timed(network: nn.Module, example_inputs: Any) -> float:
    """Median milliseconds of one forward pass."""
    if any(tensor.is_meta for tensor in network.parameters()):
        raise PruningError("a network without weights (meta device) cannot be timed; give it some, or a share of MACs")
    args, kwargs = as_call(example_inputs)
    network.eval()
    seconds = []
    with torch.inference_mode():
        for number in range(WARM_UP + REPEATS):
            start = time.perf_counter()
            network(*args, **kwargs)
            _finish(network)
            if number >= WARM_UP:
                seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)


def _finish(network: nn.Module) -> None:
    """Wait for a device that works on its own."""
    device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def at_widths(network: nn.Module, groups: Sequence[Group], widths: Sequence[int], traced: Tracing | None) -> nn.Module:
    """The network with the first channels of every group; of a traced one, the numbers that its modules hold follow."""
    architecture = Architecture(
        dense=None,
        kept=tuple(
            KeptChannels(group=group.name, channels=group.channels, indices=tuple(range(width)), slices=group.slices)
            for group, width in zip(groups, widths, strict=True)
        ),
        corrections=() if traced is None else traced.corrections(widths),
        network=f"{type(network).__module__}:{type(network).__qualname__}",
        fingerprint=_UNKNOWN,
        regrow=regrow_version(),
    )
    return carve(network, architecture, other_weights=True)
