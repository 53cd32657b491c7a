"""Pieces: the part of one weight tensor that a criterion is called with, and what its scores mean.

A piece is a run of rows of one tensor: those that hold a group's channels, or all of them. Criteria see it with outputs first.

Shape suffixes: C = channels of the group, R = rows of the piece.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from regrow.errors import PruningError
from regrow.networks.groups import Group, Slice


@dataclass(frozen=True, eq=False)
class Piece:
    """One call of a criterion."""

    key: str
    owner: str
    """Name of the group, or of the tensor where single weights are scored: whose random numbers are drawn."""

    tensor: str
    axis: int
    start: int
    length: int
    shape: tuple[int, ...] = ()
    """Of the tensor, outputs first, where single weights are scored."""

    group: Group | None = None
    part: Slice | None = None

    def rows(self, value: Tensor, size: int) -> Tensor:
        """The piece of something that is laid out as the tensor, whose axis has this size; statistics that all rows share stay."""
        oriented = value.movedim(self.axis, 0)
        piece = oriented.narrow(0, self.start, self.length) if len(oriented) == size else oriented
        return piece if piece.ndim > 1 else piece.unsqueeze(1)

    def weight(self, tensor: Tensor) -> Tensor:
        """The weight, in float32 at least: squares of half precision vanish."""
        piece = self.rows(tensor.detach(), tensor.shape[self.axis])
        return piece.to(torch.promote_types(piece.dtype, torch.float32))

    def outputs(self, values: Tensor) -> Tensor:
        """One number per row, of all rows of the layer."""
        return values.narrow(0, self.start, self.length)

    def unit_sum(self, values: Tensor) -> Tensor:
        """What goes together, added up: the rows of each channel, in float64; single weights go alone."""
        if self.group is None:
            return values
        return self._channels(values.flatten(1).sum(dim=1, dtype=torch.float64))

    def by_row(self, values_C: Tensor) -> Tensor:
        """What is known of a channel, for each of its rows."""
        channel_R = self._channel_of_row
        return values_C if channel_R is None else values_C[channel_R.to(values_C.device)]

    def understood(self, scores: Tensor, criterion: str) -> Tensor:
        """Scores per channel (or per weight), from scores per weight, row or channel; the shape decides.

        Raises `PruningError` for every other shape.
        """
        if self.group is None:
            return self._of_weights(scores, criterion)
        if scores.ndim > 1 and len(scores) == self.length:
            return self.unit_sum(scores)
        if scores.shape == (self.length,):
            return self._channels(scores)
        if scores.shape == (self.group.channels,):
            return scores
        raise PruningError(
            f"{self.group.name}: a criterion gives one score per output channel, or one per weight; for the {self.length} rows of "
            f"{self.tensor} {criterion} gave a tensor of shape {tuple(scores.shape)}"
        )

    def _of_weights(self, scores: Tensor, criterion: str) -> Tensor:
        vector = len(self.shape) == 1 and scores.shape == (*self.shape, 1)
        if scores.shape != self.shape and not vector:
            raise PruningError(
                f"{self.tensor}: to choose single weights takes one score for each, in the shape {self.shape}; {criterion} gave "
                f"{tuple(scores.shape)}. A criterion of channels cannot choose weights; magnitude and others can."
            )
        return scores.reshape(self.shape)

    def _channels(self, scores_R: Tensor) -> Tensor:
        channel_R = self._channel_of_row
        if channel_R is None:
            return scores_R
        assert self.group is not None
        empty = scores_R.new_zeros(self.group.channels, dtype=torch.float64)
        return empty.index_add_(0, channel_R.to(scores_R.device), scores_R.double())

    @functools.cached_property
    def _channel_of_row(self) -> Tensor | None:
        """The channel of each row; None where they are the same."""
        if self.group is None or self.part is None:
            return None
        if self.part.repeat == self.part.tile == 1 and self.part.order is None:
            return None
        return torch.tensor(list(self.part.channels_at(self.group.channels)))


def piece_of_group(group: Group, part: Slice, index: int) -> Piece:
    """The rows of one tensor that hold a group's channels."""
    return Piece(
        key=f"{group.name}\x1f{index}",
        owner=group.name,
        tensor=part.tensor,
        axis=part.axis,
        start=part.start,
        length=part.length(group.channels),
        group=group,
        part=part,
    )


def piece_of_tensor(name: str, tensor: Tensor, axis: int) -> Piece:
    """All weights of one tensor, each by itself."""
    shape = tuple(tensor.movedim(axis, 0).shape)
    return Piece(key=name, owner=name, tensor=name, axis=axis, start=0, length=shape[0], shape=shape)
