"""Channel matching: the order of a second network's channels in which its weights resemble the first's most.

A network computes the same whatever the order of its hidden channels is, so two trainings may come to the same solution and show it in
another order. For every group of channels that go together, the permutation is sought that maximises

    sum over all slices of the group  < first[channel i], second[channel p(i)] >

with all other groups held: a linear assignment. Groups are visited in forward order, again and again, until none changes. The sum grows
with every change, so this ends; it ends in a local maximum.

Groups are traced on the network itself, so those that pruning leaves alone (a residual stream) are matched as well. Before a group is
used, its channels are turned by one place and the outputs compared: a group whose order the network's code knows (positions, fixed
tables) is left as it is, and named.

Source: Ainsworth et al. 2023, "Git Re-Basin", arXiv:2209.04836 (weight matching); Entezari et al. 2022, arXiv:2110.06296.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from regrow.evaluation.accuracy import measuring
from regrow.evaluation.statistics import best_assignment
from regrow.networks.groups import Group, Slice

Order = NDArray[np.int64]
"""For every place, the channel that comes to stand there, [channels]."""

SWEEPS: Final = 100
"""Times that all groups are visited, at most; a few are enough."""

_GAIN: Final = 1e-9
"""Share of the sum by which a change must raise it: less is rounding, or another order of equal channels."""

_SAME: Final = 1e-4
"""Share of the largest output by which outputs may differ for a permutation to have left the function unchanged."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Matched:
    """A second network in the order of a first one."""

    network: nn.Module
    """A copy of the second network, its channels permuted."""

    orders: Mapping[str, Order]
    """The permutation of every group that was matched, by the group's name."""

    left: tuple[str, ...]
    """Groups whose channels cannot change places."""

    @property
    def moved(self) -> float | None:
        """Share of the matched groups' channels that changed places; None where no group could be matched."""
        places = [order != np.arange(len(order)) for order in self.orders.values()]
        return float(np.concatenate(places).mean()) if places else None


def match(first: nn.Module, second: nn.Module, groups: Iterable[Group], images: Tensor) -> Matched:
    """Permute the channels of a copy of `second` to fit `first`, two networks of one architecture with these groups.

    `images`: a few inputs on the networks' device, on which the outputs of a permuted network are compared.
    """
    copied = copy.deepcopy(second)
    tensors, target = _tensors(copied), dict(first.named_parameters(remove_duplicate=False))
    able = [group for group in groups if keeps_function(copied, group, images)]
    orders = {group.name: np.arange(group.channels) for group in able}
    for _ in range(SWEEPS):
        if not [group for group in able if _improve(target, tensors, group, orders)]:
            break
    left = tuple(group.name for group in groups if group.name not in orders)
    return Matched(network=copied, orders=orders, left=left)


def _improve(first: Mapping[str, Tensor], second: Mapping[str, Tensor], group: Group, orders: dict[str, Order]) -> bool:
    """Put the channels of one group into the best order, given all others; whether that was better than the order they had."""
    order = best_order(first, second, group)
    before = agreement(first, second, group)
    permute(second, group, order)
    # A tensor that holds the group along two axes makes the sum quadratic, so what the assignment promises is looked at.
    if agreement(first, second, group) > before + _GAIN * max(1.0, abs(before)):
        orders[group.name] = orders[group.name][order]
        return True
    permute(second, group, np.argsort(order))
    return False


def best_order(first: Mapping[str, Tensor], second: Mapping[str, Tensor], group: Group) -> Order:
    """The permutation of one group that maximises the summed inner products with all other groups held."""
    similarity_CC = np.zeros((group.channels, group.channels))
    for part in group.slices:
        if part.tensor in first:
            _add_inner_products(similarity_CC, first[part.tensor], second[part.tensor], part)
    order = np.arange(group.channels)
    for alike in interchangeable(group):
        order[alike] = alike[best_assignment(similarity_CC[np.ix_(alike, alike)])]
    return order


def _add_inner_products(similarity_CC: NDArray[np.float64], first: Tensor, second: Tensor, part: Slice) -> None:
    """What one slice says of every pair of channels that stand in it equally often."""
    places = places_of(part, len(similarity_CC))
    for count in {len(where) for where in places} - {0}:
        members = np.array([channel for channel, where in enumerate(places) if len(where) == count])
        index = torch.from_numpy(np.concatenate([places[channel] for channel in members]))
        rows = [
            tensor.detach().index_select(part.axis, index.to(tensor.device)).movedim(part.axis, 0).double()
            for tensor in (first, second)
        ]
        flat = [row.reshape(len(members), -1) for row in rows]
        similarity_CC[np.ix_(members, members)] += (flat[0] @ flat[1].T).cpu().numpy()


def places_of(part: Slice, channels: int) -> list[Order]:
    """The indices along a slice's axis that hold each channel; none for a channel that does not stand there."""
    holds = np.fromiter(part.channels_at(channels), np.int64)
    return [part.start + np.flatnonzero(holds == channel) for channel in range(channels)]


def interchangeable(group: Group) -> list[Order]:
    """Channels that may change places with each other: those that stand equally often in every slice of the group."""
    counts = [[len(where) for where in places_of(part, group.channels)] for part in group.slices]
    kinds: dict[tuple[int, ...], list[int]] = {}
    for channel, kind in enumerate(zip(*counts, strict=True)):
        kinds.setdefault(kind, []).append(channel)
    return [np.array(channels) for channels in kinds.values()]


@torch.no_grad()
def permute(tensors: Mapping[str, Tensor], group: Group, order: Order) -> None:
    """Put channel `order[i]` of a group in place i, in all its tensors, which are changed in place."""
    for part in group.slices:
        tensor = tensors[part.tensor]
        index = np.arange(tensor.shape[part.axis])
        places = places_of(part, group.channels)
        for place, channel in enumerate(order):
            index[places[place]] = places[channel]
        tensor.copy_(tensor.index_select(part.axis, torch.from_numpy(index).to(tensor.device)))


def agreement(first: Mapping[str, Tensor], second: Mapping[str, Tensor], group: Group) -> float:
    """Inner products of all parameters that hold channels of a group, summed."""
    names = sorted({part.tensor for part in group.slices if part.tensor in first})
    return sum(float((first[name].detach().double() * second[name].detach().double()).sum()) for name in names)


def keeps_function(network: nn.Module, group: Group, images: Tensor) -> bool:
    """Whether the network computes the same when the channels of a group are turned by one place; it is left as it was."""
    tensors, order = _tensors(network), np.arange(group.channels)
    for alike in interchangeable(group):
        order[alike] = np.roll(alike, 1)
    with measuring(network):
        before = network(images)
    permute(tensors, group, order)
    with measuring(network):
        after = network(images)
    permute(tensors, group, np.argsort(order))
    return bool((after - before).abs().max() <= _SAME * before.abs().max())


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers by name."""
    named: Sequence[Iterable[tuple[str, Tensor]]] = (
        network.named_parameters(remove_duplicate=False),
        network.named_buffers(remove_duplicate=False),
    )
    return dict(itertools.chain.from_iterable(named))
