"""Costs at any widths: multiply-accumulates and parameters of the pruned network, as integers, without building it.

Both are sums of products of axis lengths. The length of an axis is a sum over the sets of groups that its positions belong to,

    length(w) = sum over sets S of  n_S * product over groups g in S of w_g / c_g,

where n_S positions of the dense axis belong to the groups of S, c_g is the dense and w_g the kept number of channels: {(): 3, (0,): 64}
for 3 channels that stay beside 64 of group 0; 49 positions for each channel where 7 x 7 maps were flattened; both of w_heads and
w_dimensions where heads stand side by side. MACs are then

    macs(w) = sum over products p of  product over axes a of p of  length_a(w),

and parameters the same over tensors. What counts as a product is said in `regrow.networks.cost`; MACs are those of one example.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from regrow.errors import PruningError
from regrow.networks.groups import Group
from regrow.pruning.costs_products import Axis, Product, counts_of

_LARGEST_INTEGER: Final = 2**62


@dataclass(frozen=True, slots=True, eq=False)
class CostModel:
    """What a network costs when every group keeps as many channels as a sequence of widths says."""

    channels: tuple[int, ...]
    """Channels of every group of the dense network."""

    _macs: _Sum
    _params: _Sum

    def macs(self, widths: Sequence[int]) -> int:
        """Multiply-accumulates of one forward pass of one example. Raises `PruningError` for widths that the groups cannot have."""
        return self._macs.at(self._checked(widths))

    def params(self, widths: Sequence[int]) -> int:
        """Parameters, trainable or frozen; buffers are not counted. Raises `PruningError` as `macs` does."""
        return self._params.at(self._checked(widths))

    def _checked(self, widths: Sequence[int]) -> Sequence[int]:
        if len(widths) != len(self.channels):
            raise PruningError(
                f"the network has {len(self.channels)} channel groups and needs one width for each; found {len(widths)}"
            )
        for position, (width, channels) in enumerate(zip(widths, self.channels, strict=True), start=1):
            if not 0 <= width <= channels:
                raise PruningError(f"group {position} has {channels} channels and cannot keep {width}")
        return widths


def cost_model(
    network: nn.Module,
    groups: Sequence[Group],
    example_inputs: Any,
    *,
    outputs: Callable[[Any], Any] | None = None,
    allow_inexact: Sequence[str] = (),
) -> CostModel:
    """The costs of a network in terms of its groups, declared or traced; takes about as long as tracing it once.

    Args:
        network: an `nn.Module`, on any device, `meta` included; it is not touched.
        groups: its prunable groups.
        example_inputs: a tensor, of whose first axis one example is taken; or a tuple or dict of arguments, counted as they are.
        outputs: as the groups were traced with.
        allow_inexact: as the groups were traced with.

    Raises `PruningError` where the network cannot run, and where `groups` are not channels that can go one by one.
    """
    found = counts_of(network, groups, example_inputs, outputs=outputs, allow_inexact=allow_inexact)
    channels = tuple(group.channels for group in groups)
    return CostModel(channels, _Sum.of(found.products, channels), _Sum.of(found.parameters, channels))


@dataclass(frozen=True, slots=True, eq=False)
class _Sum:
    """Sum over terms of factor * product of axis lengths, laid out in arrays. Suffixes: G = groups, M = sets of groups, A = axes."""

    members: NDArray[np.intp]
    """Groups of every set, shape (M, most groups of a set); short rows end in the number of groups, whose width is 1."""

    lengths: NDArray[Any]
    """How many positions of an axis stand for one channel of each group of a set."""

    terms: NDArray[np.intp]
    """Axes of every term, shape (T, most axes); short rows end in the number of axes, whose length is 1."""

    factors: NDArray[Any]

    @classmethod
    def of(cls, products: Iterable[Product], channels: Sequence[int]) -> _Sum:
        """Equal axes, and equal terms, are counted once."""
        sets: dict[tuple[int, ...], int] = {}
        axes: dict[tuple[tuple[int, int], ...], int] = {}
        terms: dict[tuple[int, ...], int] = {}
        for product in products:
            factor, live = 1, []
            for axis in product:
                if set(axis) <= {()}:
                    factor *= axis.get((), 0)
                else:
                    live.append(axes.setdefault(_encoded(axis, sets, channels), len(axes)))
            term = tuple(sorted(live))
            terms[term] = terms.get(term, 0) + factor
        dense = [_dense(one, list(sets), channels) for one in axes]
        largest = sum(factor * math.prod(dense[number] for number in term) for term, factor in terms.items())
        kind: Any = np.int64 if largest < _LARGEST_INTEGER else object  # Python's integers have no largest
        lengths_AM = np.zeros((len(axes), len(sets)), dtype=kind)
        for row, encoded in enumerate(axes):
            for column, count in encoded:
                lengths_AM[row, column] = count
        return cls(
            members=_padded(sets, len(channels)),
            lengths=lengths_AM,
            terms=_padded(terms, len(axes)),
            factors=np.array(list(terms.values()), dtype=kind),
        )

    def at(self, widths: Sequence[int]) -> int:
        """The value at these widths."""
        one = np.ones(1, dtype=self.factors.dtype)
        widths_G = np.concatenate([np.asarray(widths, dtype=self.factors.dtype), one])
        lengths_A = self.lengths @ widths_G[self.members].prod(axis=1)
        return int(self.factors @ np.concatenate([lengths_A, one])[self.terms].prod(axis=1))


Encoded = tuple[tuple[int, int], ...]
"""An axis as (number of a set of groups, positions for one channel of each)."""


def _encoded(axis: Axis, sets: dict[tuple[int, ...], int], channels: Sequence[int]) -> Encoded:
    found = []
    for members, count in axis.items():
        each, rest = divmod(count, math.prod(channels[member] for member in members))
        assert rest == 0, "the channels of a group take up equally many positions"
        found.append((sets.setdefault(members, len(sets)), each))
    return tuple(sorted(found))


def _dense(axis: Encoded, sets: Sequence[tuple[int, ...]], channels: Sequence[int]) -> int:
    """Length of an axis of the dense network."""
    return sum(each * math.prod(channels[member] for member in sets[number]) for number, each in axis)


def _padded(rows: Iterable[tuple[int, ...]], end: int) -> NDArray[np.intp]:
    """Rows of unequal lengths as one array, the short ones filled up with `end`."""
    rows = list(rows)
    longest = max((len(row) for row in rows), default=0)
    table = np.full((len(rows), longest), end, dtype=np.intp)
    for number, row in enumerate(rows):
        table[number, : len(row)] = row
    return table
