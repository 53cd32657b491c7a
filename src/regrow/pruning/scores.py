"""Scores: how much does each channel of a traced group matter, over all the weights that compute it?

A group may have several producers: every block of a residual stage writes the same channels, and q, k and v projections hold the
same heads. A criterion scores the rows of each producer's weight; the rows of one channel are added up,

    score[c] = sum over producers p of  s_p[c] / mean |s_p|,      s_p[c] = sum over rows r of channel c of criterion(W_p)[r]

in float64. Dividing by the producer's mean makes producers count the same, whatever their fan-in, as in the averaged group norm of
Fang et al., "DepGraph", CVPR 2023, arXiv:2301.12900. A producer whose scores are all zero (a norm initialised to zero) says nothing.

Shape suffixes: C = channels of the group, R = rows of one weight that hold them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from regrow.errors import PruningError
from regrow.networks.groups import Group, Slice
from regrow.pruning.methods import METHODS
from regrow.table import load

Criterion = Callable[[Tensor, torch.Generator], Tensor]


def named_criterion(criterion: str | Criterion) -> tuple[str, Criterion]:
    """Name and function of a criterion: a row of `regrow list methods`, or a function like those of `regrow.pruning.criteria`."""
    if callable(criterion):
        return getattr(criterion, "__name__", type(criterion).__name__), criterion
    row = METHODS[criterion]
    if row.needs_data:
        raise PruningError(f"{criterion} scores channels on examples, and none are given here; use it in a study")
    function: Criterion = load(row.target)
    return criterion, function


def score(group: Group, tensors: Mapping[str, Tensor], criterion: Criterion, numbers: torch.Generator) -> Tensor:
    """scores_C of one group, float64 on the CPU; higher = keep.

    Raises `PruningError` where the criterion does not give one number per row.
    """
    scores_C = torch.zeros(group.channels, dtype=torch.float64)
    for part in group.slices[: group.producers]:
        scores_C += _share(_of_producer(group, part, tensors[part.tensor], criterion, numbers))
    return scores_C


def _of_producer(group: Group, part: Slice, tensor: Tensor, criterion: Criterion, numbers: torch.Generator) -> Tensor:
    rows = part.length(group.channels)
    weight_R = tensor.detach().movedim(part.axis, 0).narrow(0, part.start, rows)
    scores_R = criterion(weight_R if weight_R.ndim > 1 else weight_R.unsqueeze(1), numbers)
    if scores_R.shape != (rows,):
        raise PruningError(
            f"{group.name}: a criterion gives one score per output channel; for the {rows} of {part.tensor} "
            f"it gave a tensor of shape {tuple(scores_R.shape)}"
        )
    scores_R = scores_R.to("cpu", torch.float64)
    if part.repeat == part.tile == 1 and part.order is None:
        return scores_R
    channel_R = torch.tensor(list(part.channels_at(group.channels)))
    return torch.zeros(group.channels, dtype=torch.float64).index_add_(0, channel_R, scores_R)


def _share(scores_C: Tensor) -> Tensor:
    mean = scores_C.abs().mean()
    return scores_C if mean == 0 else scores_C / mean
