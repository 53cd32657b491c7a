"""The loss barrier between two networks: how far the loss rises on the straight line from one's weights to the other's.

    L(t) = loss of (1 - t) first + t second,    barrier = max over t of  L(t) - ((1 - t) L(0) + t L(1))

A barrier of 0 says that both lie in one basin of the loss. Two networks that differ by the order of their channels alone compute the same
and may still have a barrier, so it is taken again after their channels were matched (`regrow.evaluation.matching`).

Weights that are averaged leave norm layers with the wrong statistics, which raises the loss for a reason of its own; so the statistics are
estimated anew, on the same images, at every point, the ends included.

Source: Frankle et al. 2020, arXiv:1912.05671; Entezari et al. 2022, arXiv:2110.06296; Jordan et al. 2023, arXiv:2211.08403 (statistics).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Final

import torch
from torch import nn

from regrow.data.examples import AnyExamples
from regrow.data.stream import batches
from regrow.errors import PruningError
from regrow.evaluation.losses import measure_loss
from regrow.pruning.norms import reestimate_norms

POSITIONS: Final = tuple(place / 10 for place in range(11))
"""t of the points on the line; 0 is the first network, 1 the second."""

NORM_BATCH: Final = 256
"""Examples of a batch from which norm statistics are estimated."""


def line(first: nn.Module, second: nn.Module, examples: AnyExamples, *, channels_last: bool) -> list[float | None]:
    """Loss at all `POSITIONS`, nats; None where outputs are not finite. Both networks are left as they are.

    Raises `PruningError` for networks whose tensors differ in name or shape.
    """
    losses = []
    for position in POSITIONS:
        point = between(first, second, position)
        reestimate_norms(point, batches(examples, NORM_BATCH, channels_last=channels_last))
        losses.append(measure_loss(point, examples, channels_last=channels_last).loss)
    return losses


@torch.no_grad()
def between(first: nn.Module, second: nn.Module, position: float) -> nn.Module:
    """A network on the line: every tensor of numbers is (1 - t) first + t second; counters and the like are the first's."""
    ends = [network.state_dict() for network in (first, second)]
    shapes = [{name: tuple(tensor.shape) for name, tensor in end.items()} for end in ends]
    if shapes[0] != shapes[1]:
        differing = sorted(name for name in {*shapes[0], *shapes[1]} if shapes[0].get(name) != shapes[1].get(name))
        raise PruningError(
            f"a line needs two networks of one architecture; they differ in {', '.join(differing[:3])}"
            f"{' and more' if len(differing) > 3 else ''}. Compare two arms that train the same small network."
        )
    point = copy.deepcopy(first)
    for name, tensor in point.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_((1 - position) * ends[0][name] + position * ends[1][name])
    return point


def barrier(losses: Sequence[float | None]) -> float | None:
    """The highest rise over the straight line between the losses of the ends, nats; at least 0. None where a loss is not known.

    >>> round(barrier([1.0, *[1.5] * 9, 2.0]), 3), barrier([0.0, *[-1.0] * 9, 0.0])
    (0.4, 0.0)
    """
    known = [loss for loss in losses if loss is not None]
    if len(known) < len(POSITIONS):
        return None
    return max(
        loss - ((1 - position) * known[0] + position * known[-1])
        for position, loss in zip(POSITIONS, known, strict=True)
    )
