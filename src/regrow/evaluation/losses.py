"""Losses on training images as they are: without augmentation, in evaluation mode, the way the test set is measured.

The loss of a training curve is taken while the network changes and on augmented images, so it cannot stand beside a test loss. This one
can: two networks of the same test loss may have fitted their training images very differently.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrow.data.examples import AnyExamples, Examples
from regrow.data.stream import batches
from regrow.evaluation.accuracy import BATCH, measuring


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """What a network makes of some examples."""

    loss: float | None
    """Mean cross-entropy, nats; None where the outputs are not finite."""

    accuracy: float
    """Top-1, percent."""

    images: int
    """How many examples."""


def sample(examples: AnyExamples, most: int) -> AnyExamples:
    """At most `most` of the examples, evenly spaced, so that data in the order of its classes loses none of them.

    The same examples for every network. All of them, as they are, where there are no more.
    """
    if len(examples) <= most:
        return examples
    chosen = torch.arange(most) * len(examples) // most
    labels = examples.labels[chosen.to(examples.labels.device)]
    if isinstance(examples, Examples):
        return replace(examples, images=examples.images[chosen.to(examples.images.device)], labels=labels)
    return replace(examples, paths=[examples.paths[i] for i in chosen.tolist()], labels=labels)


def measure_loss(network: nn.Module, examples: AnyExamples, *, channels_last: bool) -> Loss:
    """Loss and accuracy of a network on examples, in fp32 and evaluation mode; every module is left in the mode it was in.

    The network and the examples must be on one device.
    """
    losses, right = list[Tensor](), 0
    with measuring(network):
        for images, labels in batches(examples, BATCH, channels_last=channels_last):
            logits = network(images).float()
            losses.append(functional.cross_entropy(logits, labels, reduction="sum").double().cpu())
            right += int(((logits.argmax(dim=1) == labels) & logits.isfinite().all(dim=1)).sum())
    loss = float(torch.stack(losses).sum()) / len(examples)
    return Loss(loss=loss if math.isfinite(loss) else None, accuracy=100 * right / len(examples), images=len(examples))
