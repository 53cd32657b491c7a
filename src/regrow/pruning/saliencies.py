"""Saliencies: how much does each weight matter?

Every saliency is a plain function whose parameters name what it looks at (`evidence.py`), and gives one score per weight,

    saliency(weight, ...) -> scores               in the weight's shape, higher = keep

for masks of single weights. Where whole channels are scored, the scores of a channel's weights are added up: with a sum over weights as the
estimate, that is what the channel's removal costs if its weights did not interact. One estimate, `taylor`, has the sum inside a
square: it takes `unit_sum`, which adds up what goes together, and decides itself where the sum stands.

Shape suffix: N = all weights of one tensor.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


def alone(weight: Tensor) -> Tensor:
    """What `unit_sum` is unless a saliency is told otherwise: every weight goes by itself."""
    return weight


def magnitude(weight: Tensor) -> Tensor:
    """Absolute value of each weight.

        score[i] = |w[i]|

    Source: Han et al., "Learning both Weights and Connections", NeurIPS 2015, arXiv:1506.02626.
    Units: those of the weights. Over a channel it adds up to the criterion l1.

    >>> magnitude(torch.tensor([1.0, -2.0]))
    tensor([1., 2.])
    """
    return weight.detach().abs()


def taylor(weight: Tensor, batch_gradient: Tensor, unit_sum: Callable[[Tensor], Tensor] = alone) -> Tensor:
    """Squared change of the loss, to first order, when a weight or a whole channel becomes zero.

        score[u] = mean over batches b of (sum over the weights i of unit u of  w[i] * g_b[i])^2,   g_b = dL_b/dw

    Source: Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019, arXiv:1906.10771, equations 5 and 8.
    Units: squared nats. The square stands outside the sum over a channel's weights, because they go together and their changes may
    cancel; and inside the mean over batches, because the mean gradient of a trained network is close to zero and says nothing. So
    the size of batches matters: noise of smaller ones adds to every score. A group's several weights are squared one by one.

    >>> taylor(torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0, 1.0]]))
    tensor([[9., 4.]])
    >>> taylor(torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0, 1.0]]), lambda parts: parts.sum(dim=1))
    tensor([1.])
    """
    return unit_sum(weight.detach() * batch_gradient).square()


def fisher(weight: Tensor, squared_gradient: Tensor) -> Tensor:
    """Change of the loss, to second order, with the diagonal F of the empirical Fisher matrix for the Hessian's.

        score[i] = 1/2 * w[i]^2 * F[i],      F[i] = mean over examples n of (dL_n/dw[i])^2

    Source: Theis et al., "Faster gaze prediction with dense networks and Fisher pruning", 2018, arXiv:1801.05787, equation 6; there with
    one factor per channel in place of its weights.
    Units: nats. How F comes from batches stands in `evidence_gradients.squared_gradient`.

    >>> fisher(torch.tensor([2.0, 1.0]), torch.tensor([0.5, 0.0]))
    tensor([1., 0.])
    """
    return weight.detach().square() * squared_gradient / 2


def hessian(weight: Tensor, curvature: Tensor) -> Tensor:
    """Change of the loss, to second order, with an estimate h of the diagonal of the Hessian matrix.

        score[i] = 1/2 * h[i] * w[i]^2

    Source: LeCun et al., "Optimal Brain Damage", NeurIPS 1990; h by Hutchinson's method as in Yao et al. 2021, arXiv:2006.00719.
    Units: nats. A negative score says that removing the weight lowers the loss, or that h is noisy: where it is estimated from few
    examples fisher ranks more steadily.

    >>> hessian(torch.tensor([2.0, 1.0]), torch.tensor([0.5, -2.0]))
    tensor([ 1., -1.])
    """
    return weight.detach().square() * curvature / 2


def lamp(weight: Tensor) -> Tensor:
    """Share of each squared weight in the sum of itself and all larger ones of its tensor: comparable between layers.

        score[i] = w[i]^2 / sum over j with |w[j]| >= |w[i]| of w[j]^2

    Source: Lee et al., "Layer-adaptive Sparsity for the Magnitude-based Pruning", ICLR 2021, arXiv:2010.07611, equation 4.
    Units: none, from 0 to 1; the largest weight of every tensor has 1. Of equal weights the first ones count as smaller. Within one tensor
    the order is that of magnitudes. For channels the scores of a row are added up; for the score of channels by their norms, use l2
    with normalise = "lamp".

    >>> lamp(torch.tensor([1.0, 0.0, -2.0]))
    tensor([0.2000, 0.0000, 1.0000], dtype=torch.float64)
    """
    magnitude_N = weight.detach().flatten().abs()
    order_N = _ascending(magnitude_N)
    ascending_N = magnitude_N[order_N].double().square_()
    larger_N = ascending_N.flip(0).cumsum(0).flip(0)
    shares_N = torch.where(larger_N > 0, ascending_N / larger_N, 0.0)
    return torch.empty_like(shares_N).scatter_(0, order_N, shares_N).reshape(weight.shape)


def _ascending(magnitude_N: Tensor) -> Tensor:
    """Positions from the smallest number to the largest, equal ones in their order.

    The bits of positive floats rise as the floats do: with the position below them they make one integer, and integers are sorted
    without carrying positions along, five times as fast.
    """
    if magnitude_N.dtype != torch.float32 or magnitude_N.device.type != "cpu" or len(magnitude_N) >= 2**31:
        return magnitude_N.argsort(stable=True)
    keys_N = magnitude_N.view(torch.int32).to(torch.int64).bitwise_left_shift_(32).add_(torch.arange(len(magnitude_N)))
    return torch.from_numpy(np.sort(keys_N.numpy())).bitwise_and_(2**32 - 1)


def snip(weight: Tensor, gradient: Tensor) -> Tensor:
    """How much the loss depends on each weight's being there.

        score[i] = |w[i] * dL/dw[i]|

    Source: Lee et al., "SNIP: Single-shot Network Pruning based on Connection Sensitivity", ICLR 2019, arXiv:1810.02340, eq. 5, without
    its division by the sum of all scores, which changes no rank.
    Units: nats. Made for networks before their training; the gradient is that of the mean loss over all examples.

    >>> snip(torch.tensor([1.0, -2.0]), torch.tensor([3.0, 1.0]))
    tensor([3., 2.])
    """
    return (weight.detach() * gradient).abs_()


def grasp(weight: Tensor, hessian_gradient: Tensor) -> Tensor:
    """How much of the gradient's squared length would be lost with each weight, to first order; gradient flow is to be preserved.

        score[i] = w[i] * (H g)[i]

    Source: Wang et al., "Picking Winning Tickets Before Training by Preserving Gradient Flow" (GraSP), ICLR 2020, arXiv:2002.07376,
    equation 8 with the opposite sign, so that higher = keep.
    Units: squared nats per squared weight, at the source's temperature of 200. Signed: a negative weight score says that the gradient grows
    when the weight goes. Made for networks before their training.

    >>> grasp(torch.tensor([1.0, -2.0]), torch.tensor([3.0, 1.0]))
    tensor([ 3., -2.])
    """
    return weight.detach() * hessian_gradient


def synflow(weight: Tensor, flow: Tensor) -> Tensor:
    """What flows through each weight from an input of ones to the outputs, when all weights are taken as positive.

        score[i] = |w[i]| * dR/d|w[i]|

    Source: Tanaka et al., "Pruning neural networks without any data by iteratively conserving synaptic flow", NeurIPS 2020,
    arXiv:2006.05467, equation 2. It is made for many small rounds, with scores taken anew in each; one round at a high fraction can cut
    a layer off.
    Units: those of the output R. Needs no example, only the shape of one. float64.

    >>> synflow(torch.tensor([1.0, -2.0]), torch.tensor([3.0, 1.0]))
    tensor([3., 2.])
    """
    return weight.detach().abs() * flow


def wanda(weight: Tensor, input_norm: Tensor) -> Tensor:
    """Each weight's magnitude times the norm of what it multiplies.

        score[i, j] = |W[i, j]| * ||x_j||_2

    Source: Sun et al., "A Simple and Effective Pruning Approach for Large Language Models" (Wanda), ICLR 2024, arXiv:2306.11695, eq. 1.
    Units: those of the layer's outputs. The source compares the weights of one output channel with each other; rank within layers.
    For a convolution x_j is a whole input channel.

    >>> wanda(torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0, 0.5]]))
    tensor([[3., 1.]])
    """
    return weight.detach().abs() * input_norm
