"""First derivatives of the cross-entropy by the scored weights, streamed over the batches.

All of them refer to the mean loss of an example, whatever the size of the batches, so that scores of two networks can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from regrow.pruning.evidence_look import Batch, Look, derived, read, summed_loss, zeros


def gradient(look: Look) -> dict[str, Tensor]:
    """g = d/dw of (1/N) sum over examples n of L_n: the same for every way to cut N examples into batches."""
    total, count = zeros(look), 0
    for batch in read(look):
        for name, part in _of_batch(look, batch).items():
            total[name] += part
        count += len(batch)
    return {name: tensor / count for name, tensor in total.items()}


def batch_gradients(look: Look) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """For every batch its number of examples B and g_b = d/dw of (1/B) sum over its examples of L_n."""
    for batch in read(look):
        yield len(batch), {name: tensor / len(batch) for name, tensor in _of_batch(look, batch).items()}


def squared_gradient(look: Look) -> dict[str, Tensor]:
    """Diagonal of the empirical Fisher matrix, (1/N) sum over examples n of (dL_n/dw)^2, from one backward pass per batch:

        F = (1/N) sum over batches b of (sum over examples n of b of dL_n/dw)^2

    Exact for batches of one example. For larger ones the products dL_n/dw * dL_m/dw of two examples come in, which cancel
    on average where the mean gradient is zero, as at the end of a training; else F is too large by (B - 1) * mean^2.
    """
    total, count = zeros(look), 0
    for batch in read(look):
        for name, part in _of_batch(look, batch).items():
            total[name] += part.to(total[name].dtype).square_()
        count += len(batch)
    return {name: tensor / count for name, tensor in total.items()}


def _of_batch(look: Look, batch: Batch) -> dict[str, Tensor]:
    """Gradients of the summed loss of one batch."""
    aliases = look.aliases()
    with torch.enable_grad():
        gradients = derived(look, summed_loss(look, batch, aliases), list(aliases.values()))
    return dict(zip(aliases, gradients, strict=True))
