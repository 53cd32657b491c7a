"""Norm statistics after pruning: re-estimated from training examples, without changing a weight.

A carved network keeps the running statistics of the dense one. They are stale: removed inputs shift every later mean and variance.
Accuracy right after pruning is therefore given twice, with stale and with re-estimated statistics.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from regrow.errors import PruningError
from regrow.networks.modes import evaluating


def reestimate_norms(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Replace the running statistics of all batch norms by their averages over `batches` of (images, labels).

    Each batch counts the same, whatever came before is forgotten, so the result does not depend on the stale numbers. Use training
    examples only, in nearly equal batches of two or more. All other modules run in eval mode (no dropout); modes and momenta are as
    before afterwards. Raises `PruningError` where there is no batch, or one of a single example, whose variance is unknown.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    before = {name: tensor.clone() for name, tensor in network.named_buffers()}
    try:
        with evaluating(network):
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # PyTorch's word for a cumulative average
                norm.train()
            _run(network, batches)
    except BaseException:
        for name, tensor in network.named_buffers():
            tensor.copy_(before[name])
        raise
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def _run(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
    seen = 0
    with torch.no_grad():
        for images, _ in batches:
            if len(images) < 2:
                raise PruningError(
                    f"norm statistics need batches of at least two examples; batch {seen + 1} has {len(images)}. "
                    "Use a larger batch, or one that does not leave a single example over."
                )
            network(images)
            seen += 1
    if seen == 0:
        raise PruningError("norm statistics cannot be estimated without examples; got no batch")
