"""Criteria: how much does each channel of a group matter?

Every criterion is a plain function whose parameters name what it looks at; the table of `evidence.py` says what there is. This module
holds those that give one score per channel,

    criterion(weight, ...) -> scores              scores_R, one per row of the weight that computes the channels; higher = keep

and `saliencies.py` those that give one per weight. They score only. Which channels go is decided elsewhere; removing them is done by
`regrow.channels.carve`. To add a criterion, write the function and a row in `methods.py`: the shared tests in
`tests/pruning/test_scores.py` then run on it without another line.

Shape suffixes: R = rows of the weight, one per output channel; F = everything that one row reads (input channels x kernel height x
kernel width); C = channels of the group, as many as rows unless a channel has several.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

_NUMBERS_AT_ONCE: Final = 2**16
"""Half a megabyte of float64, which stays in the cache: seven times as fast as a float64 copy of the whole weight."""

_ROWS_AT_ONCE: Final = 512
"""Of the matrix of distances; 8 MB of float64 for 2,048 filters."""


def l1(weight: Tensor) -> Tensor:
    """Sum of absolute weights of each output channel.

        score[c] = sum_f |W[c, f]|

    Source: Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017, arXiv:1608.08710.
    Units: those of the weights, added in float64. A channel that reads more inputs scores higher: rank within a group, or normalise.

    >>> l1(torch.tensor([[1.0, -2.0], [0.0, 0.5], [3.0, 0.0]]))
    tensor([3.0000, 0.5000, 3.0000], dtype=torch.float64)
    """
    return _by_rows(weight, lambda weight_RF: weight_RF.abs_().sum(dim=1))


def l2(weight: Tensor) -> Tensor:
    """Euclidean length of each output channel's weights.

        score[c] = sqrt(sum_f W[c, f]^2)

    Source: He et al., "Soft Filter Pruning", IJCAI 2018, arXiv:1808.06866.
    Units: those of the weights, added in float64. Rank within a group, or normalise.

    >>> l2(torch.tensor([[3.0, -4.0], [0.0, 0.5]]))
    tensor([5.0000, 0.5000], dtype=torch.float64)
    """
    return _by_rows(weight, lambda weight_RF: weight_RF.square_().sum(dim=1).sqrt_())


def fpgm(weight: Tensor) -> Tensor:
    """Sum of the distances from each filter to all others: small near their geometric median, where a filter is easiest to replace.

        score[c] = sum over d of ||W[c] - W[d]||_2

    Source: He et al., "Filter Pruning via Geometric Median", CVPR 2019, arXiv:1811.00250, equation 8.
    Units: those of the weights. A filter of zeros is not the lowest: it may stand far from all others. Distances come from products in
    float64 around the mean filter, 512 rows at a time; equal filters are apart by up to 1e-8 of their length. Rank within a group.

    >>> fpgm(torch.tensor([[0.0], [1.0], [3.0]])).round(decimals=6)
    tensor([4., 3., 5.], dtype=torch.float64)
    """
    weight_RF = weight.detach().flatten(1).double()
    weight_RF = weight_RF - weight_RF.mean(dim=0)
    square_R = weight_RF.square().sum(dim=1)
    scores_R = torch.zeros_like(square_R)
    for start in range(0, len(weight_RF), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        # Distances are symmetric: each block of rows is compared with itself and with what comes after it.
        later = slice(start, None)
        products = weight_RF[rows] @ weight_RF[later].T
        distances = (square_R[rows, None] + square_R[None, later]).sub_(products, alpha=2).clamp_(min=0).sqrt_()
        own = distances.shape[0]
        distances[:, :own].fill_diagonal_(0)
        scores_R[rows] += distances.sum(dim=1)
        scores_R[start + own :] += distances[:, own:].sum(dim=0)
    return scores_R


def scale(scale: Tensor) -> Tensor:
    """The absolute scale of each channel's norm layer; the mean over all norm layers that hold the channel.

        score[c] = mean over norms n of |gamma_n[c]|

    Source: Ye et al., "Rethinking the Smaller-Norm-Less-Informative Assumption", ICLR 2018, arXiv:1802.00124; as the criterion of
    network slimming, Liu et al. 2017, arXiv:1708.06519.
    Units: none, that of normalised activations; comparable between layers. Needs a norm layer in every group.

    >>> scale(torch.tensor([0.5, 0.0, 1.0]))
    tensor([0.5000, 0.0000, 1.0000])
    """
    return scale


def hrank(output_rank: Tensor) -> Tensor:
    """Mean rank of each channel's feature map over the examples.

        score[c] = mean over examples n of rank(O_n[c])

    Source: Lin et al., "HRank: Filter Pruning using High-Rank Feature Map", CVPR 2020, arXiv:2002.10179, equation 4.
    Units: singular values, from 0 to the smaller side of the map, which is taken behind the norm and the activation that follow the layer.
    A channel without two axes of positions is a matrix of one row, whose rank is 0 or 1. Rank within a group: larger maps have
    larger ranks.

    >>> hrank(torch.tensor([2.5, 7.0]))
    tensor([2.5000, 7.0000])
    """
    return output_rank


def activation_mean(output_mean: Tensor) -> Tensor:
    """Mean absolute activation of each channel over examples and positions.

        score[c] = mean over examples n and positions p of |a_n[c, p]|

    Source: Molchanov et al., "Pruning Convolutional Neural Networks for Resource Efficient Inference", ICLR 2017, arXiv:1611.06440, section
    2.2 ("mean activation", there of activations that are never negative).
    Units: those of the activations, behind the norm and the activation function that follow the layer. Rank within a group, or normalise.

    >>> activation_mean(torch.tensor([0.5, 0.0]))
    tensor([0.5000, 0.0000])
    """
    return output_mean


def rows(weight: Tensor) -> Tensor:
    """What `unit_sum` is unless a criterion is told otherwise: the sum of each row, in float64."""
    return weight.flatten(1).sum(dim=1, dtype=torch.float64)


def random(weight: Tensor, generator: torch.Generator, unit_sum: Callable[[Tensor], Tensor] = rows) -> Tensor:
    """A number drawn uniformly from [0, 1) for each channel, or for each weight: the control that looks at nothing.

        score[c] ~ U(0, 1)

    Source: the control of Le and Hua 2021, arXiv:2105.03193, and of many others.
    Units: none. Every subset of a size is equally likely to be kept.

    >>> scores = random(torch.zeros(4, 9), torch.Generator().manual_seed(0))
    >>> scores.shape, bool(scores.min() >= 0) and bool(scores.max() < 1)
    (torch.Size([4]), True)
    """
    return torch.rand(unit_sum(weight.detach()).shape, generator=generator, dtype=torch.float64)


def position(weight: Tensor) -> Tensor:
    """The index of each channel: the first channels go, whatever they hold. A defect, kept to measure what it costs.

        score[c] = c

    Source: the released code of Liu et al. 2019, arXiv:1810.05270, whose structured lottery ticket writes `weight[mask] = 0` with a mask
    of floating-point zeros and ones. That is indexing by number: filters 0 and 1 are zeroed, and no others, whatever the mask says.
    Units: places. The designs `vgg16-float-mask` and `resnet56-float-mask` remove exactly those two; rank within a group.

    >>> position(torch.tensor([[9.0], [0.0], [5.0]]))
    tensor([0., 1., 2.], dtype=torch.float64)
    """
    return torch.arange(len(weight), dtype=torch.float64, device=weight.device)


def _by_rows(weight: Tensor, measure: Callable[[Tensor], Tensor]) -> Tensor:
    """A measure of each row by itself, taken of a few rows at a time, each time on a copy in float64 that it may change."""
    rows_at_once = max(1, _NUMBERS_AT_ONCE * len(weight) // max(1, weight.numel()))
    return torch.cat(
        [measure(part.flatten(1).to(torch.float64, copy=True)) for part in torch.split(weight.detach(), rows_at_once)]
    )
