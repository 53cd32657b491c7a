"""Criteria: how much does each channel of a group matter?

Every criterion is a plain function with one signature,

    criterion(weight, generator) -> scores        scores_C, higher = keep

and scores only. Which channels go is decided in `selection.py`; removing them is done by `regrow.channels.carve`. `weight` is the
weight that computes the group's channels, output channels first. To add a criterion, write the function and a row in `methods.py`:
the shared tests in `tests/pruning/test_criteria.py` then run on it without another line.

Shape suffixes: C = output channels, F = everything one output channel reads (input channels x kernel height x kernel width).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

_NUMBERS_AT_ONCE: Final = 2**16
"""Half a megabyte of float64, which stays in the cache: seven times as fast as a float64 copy of the whole weight."""


def l1(weight: Tensor, generator: torch.Generator) -> Tensor:
    """Sum of absolute weights of each output channel.

        score[c] = sum_f |W[c, f]|

    Source: Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017, arXiv:1608.08710.
    Units: those of the weights, added in float64. A channel that reads more inputs scores higher: rank within a group only.

    >>> l1(torch.tensor([[1.0, -2.0], [0.0, 0.5], [3.0, 0.0]]), torch.Generator())
    tensor([3.0000, 0.5000, 3.0000], dtype=torch.float64)
    """
    del generator
    return _by_rows(weight, lambda weight_CF: weight_CF.abs_().sum(dim=1))


def l2(weight: Tensor, generator: torch.Generator) -> Tensor:
    """Euclidean length of each output channel's weights.

        score[c] = sqrt(sum_f W[c, f]^2)

    Source: He et al., "Soft Filter Pruning", IJCAI 2018, arXiv:1808.06866.
    Units: those of the weights, added in float64. Rank within a group only.

    >>> l2(torch.tensor([[3.0, -4.0], [0.0, 0.5]]), torch.Generator())
    tensor([5.0000, 0.5000], dtype=torch.float64)
    """
    del generator
    return _by_rows(weight, lambda weight_CF: weight_CF.square_().sum(dim=1).sqrt_())


def random(weight: Tensor, generator: torch.Generator) -> Tensor:
    """A number drawn uniformly from [0, 1) for each output channel: the control that looks at no weight.

        score[c] ~ U(0, 1)

    Source: the control of Le and Hua 2021, arXiv:2105.03193, and of many others.
    Units: none. Every subset of a size is equally likely to be kept.

    >>> scores = random(torch.zeros(4, 9), torch.Generator().manual_seed(0))
    >>> bool(scores.min() >= 0) and bool(scores.max() < 1)
    True
    """
    return torch.rand(len(weight), generator=generator, dtype=torch.float64)


def _by_rows(weight: Tensor, measure: Callable[[Tensor], Tensor]) -> Tensor:
    """A measure of each row by itself, taken of a few rows at a time, each time on a copy in float64 that it may change."""
    rows = max(1, _NUMBERS_AT_ONCE * len(weight) // max(1, weight.numel()))
    return torch.cat(
        [measure(part.flatten(1).to(torch.float64, copy=True)) for part in torch.split(weight.detach(), rows)]
    )
