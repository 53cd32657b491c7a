"""The training of a detector, one recipe for all: SGD with momentum, warm-up, and two drops of the learning rate.

    lr(step) = peak x (1/1000 + (1 - 1/1000) step / W)   in the first W = min(1000, steps of an epoch) steps
    lr(step) = peak x 0.1^d(epoch)                      d = 1 from 2/3 of the epochs on, 2 from 8/9 on

Which anchors and proposals a loss is made of is drawn in each step from (seed, epoch, step), so arms of a seed draw alike as far as their
proposals allow, and nothing depends on what was drawn before.

Source: Girshick et al. 2017, arXiv:1706.02677 (warm-up); the drops are those of the 1x schedule of Detectron, Girshick et al. 2018
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from regrow.data.stream import steps
from regrow.detection.batches import training_batches
from regrow.detection.scenes import Scene
from regrow.detection.settings import DetectionSettings
from regrow.errors import DivergenceError
from regrow.randomness import seeded

WARM_UP: Final = 1000
"""Steps at most in which the learning rate grows to its peak."""

FIRST: Final = 1 / 1000
"""Of the peak, at step 0."""

DROPS: Final = ((2, 3), (8, 9))
"""Shares of all epochs after which the learning rate is a tenth of what it was, as fractions: 2/3 has no exact number."""

DROP: Final = 0.1

OnEpoch = Callable[[int, float], None]
"""Takes the number of finished epochs and the last one's mean loss."""


def lr_at(step: int, steps_per_epoch: int, epochs: int, peak: float) -> float:
    """The learning rate of a step, counted from 0.

    >>> [round(lr_at(step, 2, 9, 1.0), 3) for step in (0, 1, 2, 11, 12, 16)]
    [0.001, 0.5, 1.0, 1.0, 0.1, 0.01]
    """
    warm = min(WARM_UP, steps_per_epoch)
    drops = sum(step // steps_per_epoch >= math.ceil(epochs * part / whole) for part, whole in DROPS)
    growth = FIRST + (1 - FIRST) * step / warm if step < warm else 1.0
    return peak * growth * DROP**drops


def train_detector(
    detector: nn.Module,
    scenes: Sequence[Scene],
    settings: DetectionSettings,
    *,
    seed: int,
    image_channels: int,
    first_epoch: int = 0,
    on_epoch: OnEpoch | None = None,
) -> float:
    """Train in place for `settings.epochs`; the mean loss of the last one.

    `first_epoch` says where the seed's stream of images is read from; the schedule begins anew. Raises `DivergenceError` where the loss is
    no longer finite.
    """
    device = torch.device(settings.device)
    detector.to(device).train()
    weights = [parameter for parameter in detector.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(
        weights, lr=settings.peak_lr, momentum=settings.momentum, weight_decay=settings.weight_decay
    )
    per_epoch, mean = steps(len(scenes), settings.batch), math.nan
    for number in range(settings.epochs):
        epoch, losses = first_epoch + number, list[float]()
        batches = training_batches(scenes, settings.batch, seed, epoch, image_channels, device)
        for step, (images, targets) in enumerate(batches):
            rate = lr_at(number * per_epoch + step, per_epoch, settings.epochs, settings.peak_lr)
            for group in optimizer.param_groups:
                group["lr"] = rate
            with seeded(seed, "detection sample", epoch, step):
                loss = _loss(detector(images, targets), epoch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's is not annotated
            optimizer.step()
            losses.append(float(loss.detach()))
        mean = sum(losses) / len(losses)
        if on_epoch is not None:
            on_epoch(number + 1, mean)
    return mean


def _loss(parts: dict[str, Tensor], epoch: int) -> Tensor:
    """The sum of the four losses."""
    loss = torch.stack(list(parts.values())).sum()
    if not torch.isfinite(loss):
        raise DivergenceError(
            f"the detector's loss became {float(loss.detach()):g} in epoch {epoch + 1}. Give a lower --lr, for all arms alike."
        )
    return loss
