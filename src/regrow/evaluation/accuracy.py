"""Accuracy on the test set, measured once for each trained network. Nothing else opens the test set."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from regrow.data.stream import batches
from regrow.data.test_set import open_test
from regrow.networks.modes import evaluating
from regrow.training.compute import Compute

BATCH = 500
"""Examples a forward pass. Part of what determines a result's bits, so it is the same for every network."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evaluation:
    """What a network did on the test set."""

    correct: NDArray[np.bool_]
    """[N], in the order of the test set: whether the highest logit was the right class. An output that is not finite is wrong."""

    loss: float | None
    """Mean cross-entropy, nats; None where the outputs are not finite, as may happen right after pruning."""

    @property
    def accuracy(self) -> float:
        """Top-1, percent."""
        return 100 * float(self.correct.mean())


def evaluate(network: nn.Module, data_folder: Path, compute: Compute, batch: int = BATCH) -> Evaluation:
    """Accuracy and loss of a network on the whole test set, in fp32 whatever precision it was trained in.

    The network must be on `compute.device`. It is measured in eval mode and every module is left in the mode it was in.
    """
    examples = open_test(data_folder, compute.device)
    correct, losses = [], []
    with measuring(network):
        for images, labels in batches(examples, batch, channels_last=compute.channels_last):
            logits = network(images).float()
            correct.append(_right(logits, labels).cpu())
            losses.append(functional.cross_entropy(logits, labels, reduction="sum").double().cpu())
    loss = float(torch.stack(losses).sum()) / len(examples)
    return Evaluation(correct=torch.cat(correct).numpy(), loss=loss if np.isfinite(loss) else None)


def _right(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.argmax(dim=1) == labels) & logits.isfinite().all(dim=1)


@contextlib.contextmanager
def measuring(network: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients, no autocast, no TF32; everything as it was afterwards."""
    device = next((tensor.device.type for tensor in network.parameters()), "cpu")
    cudnn = torch.backends.cudnn
    exact = cudnn.flags(enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=False)
    with evaluating(network), torch.inference_mode(), torch.autocast(device, enabled=False), exact:
        yield
