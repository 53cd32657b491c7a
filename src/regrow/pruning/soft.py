"""Soft filter pruning: the smallest filters are zeroed after every epoch, and may grow back in the next one.

Source: He et al. 2018, "Soft Filter Pruning for Accelerating Deep Convolutional Neural Networks", arXiv:1808.06866. A filter's size is
the Euclidean norm of its weights; after every epoch as many filters of each group are zeroed as are to go in the end, and training goes
on without a mask. What is zero after the last epoch is removed.

As in the source's program, norm layers are left alone while training goes on: a filter whose norm were zeroed too could never come
back, for nothing would flow through it. After the last epoch the norm's scale and shift of a removed filter are zeroed as well, so that
carving changes nothing; the source's network goes on adding the constant that the norm makes of a zero filter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from regrow.errors import PruningError
from regrow.networks.groups import Group, Slice
from regrow.pruning.selection import keep_highest


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """The rows of one tensor that belong to a group."""

    parameter: nn.Parameter
    part: Slice
    channels: Tensor
    """The group's channel of each row, on the parameter's device."""

    def rows(self) -> Tensor:
        """A view of the rows, the channel axis first."""
        return self.parameter.detach().movedim(self.part.axis, 0).narrow(0, self.part.start, len(self.channels))


class SoftPruning:
    """Soft filter pruning, as an intervention in a training; see the top of this module.

    Args:
        groups, widths: the groups, and how many filters of each are not zeroed.
        every: epochs between two zeroings; there is always one after the last.
        silence: after the last zeroing, zero biases, norm scales and shifts of what goes, too. Without it, as in the source's program,
            the network that was trained goes on adding what its norms make of zero filters, and the carved one does not.
    """

    def __init__(self, groups: Sequence[Group], widths: Sequence[int], every: int = 1, *, silence: bool = True) -> None:
        if len(groups) != len(widths):
            raise PruningError(f"soft pruning needs a width for each of {len(groups)} groups; got {len(widths)}")
        if every < 1:
            raise PruningError(f"soft pruning zeroes filters every so many epochs, at least 1; got {every}")
        self._groups, self._widths, self._every = tuple(groups), tuple(widths), every
        self._silence = silence
        self._filters: dict[str, list[_Place]] = {}
        self._norms: dict[str, list[_Place]] = {}

    def attach(self, network: nn.Module) -> None:
        """Find the filters, their biases, and the norms behind them."""
        parameters = dict(network.named_parameters())
        self._filters = {
            group.name: _places(parameters, group, group.slices[: group.producers]) for group in self._groups
        }
        one_axis = {
            group.name: [part for part in group.slices[group.producers :] if parameters.get(part.tensor) is not None]
            for group in self._groups
        }
        self._norms = {
            group.name: [
                place for place in _places(parameters, group, one_axis[group.name]) if place.parameter.ndim == 1
            ]
            for group in self._groups
        }

    def description(self) -> dict[str, Any]:
        """What a checkpoint must agree in."""
        widths = {group.name: width for group, width in zip(self._groups, self._widths, strict=True)}
        return {"widths": widths, "every": self._every, "silence": self._silence}

    def owned(self) -> Sequence[nn.Parameter]:
        """None: the optimiser moves all parameters."""
        return ()

    def before_step(self, lr: float) -> None:
        """Nothing: gradients of zeroed filters flow, so that they may come back."""

    def after_step(self, lr: float) -> None:
        """Nothing."""

    @torch.no_grad()
    def after_epoch(self, done: int, epochs: int) -> None:
        """Zero the smallest filters of every group; after the last epoch what follows them as well."""
        if done % self._every and done != epochs:
            return
        for group, width in zip(self._groups, self._widths, strict=True):
            keep_C = keep_highest(self._norm(group), group.channels - width)
            last = self._norms[group.name] if done == epochs and self._silence else []
            for place in (*self._filters[group.name], *last):
                place.rows()[~keep_C.to(place.channels.device)[place.channels]] = 0

    def state(self) -> dict[str, Tensor]:
        """Nothing: all is in the weights."""
        return {}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Nothing was kept."""

    def finish(self) -> None:
        """Nothing was added."""

    def scales(self) -> dict[str, Tensor]:
        """The Euclidean norm of every filter: exactly zero for those that go."""
        return {group.name: self._norm(group) for group in self._groups}

    def _norm(self, group: Group) -> Tensor:
        """norms_C of a group's filters over all weights that compute them, float64 on the CPU."""
        squares_C = torch.zeros(group.channels, dtype=torch.float64)
        for place in self._filters[group.name]:
            rows = place.rows().flatten(1).double().square().sum(1).cpu()
            squares_C.index_add_(0, place.channels.cpu(), rows)
        return squares_C.sqrt()


def _places(parameters: Mapping[str, nn.Parameter], group: Group, parts: Sequence[Slice]) -> list[_Place]:
    return [
        _Place(
            parameters[part.tensor],
            part,
            torch.tensor(list(part.channels_at(group.channels)), device=parameters[part.tensor].device),
        )
        for part in parts
    ]
