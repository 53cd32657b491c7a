"""A small network, a few examples and a recipe: what the tests of training are run on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from regrow.data.examples import Examples
from regrow.data.stream import WHOLE, Portion, Stream
from regrow.training.compute import Compute
from regrow.training.loop import Trained, train
from regrow.training.ranks import this_rank
from regrow.training.recipe import Recipe

PLAIN = Compute()


def network(dropout: float = 0.0, seed: int = 0) -> nn.Module:
    """Every kind of tensor that training changes: 4-d and 2-d weights, vectors, running statistics, an integer counter."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(8, 4),
    )


def examples(count: int = 50, seed: int = 0) -> Examples:
    """Images that hold their class: one quadrant is brighter than the others."""
    numbers = torch.Generator().manual_seed(seed)
    labels_N = torch.randint(0, 4, (count,), generator=numbers)
    images = torch.randint(0, 160, (count, 6, 6, 3), generator=numbers, dtype=torch.uint8)
    for image, label in zip(images, labels_N.tolist(), strict=True):
        row, column = divmod(label, 2)
        image[row * 3 : row * 3 + 3, column * 3 : column * 3 + 3] += 95
    return Examples(images.permute(0, 3, 1, 2), labels_N, (0.4,) * 3, (0.25,) * 3)


def recipe(**changes: Any) -> Recipe:
    """Four epochs of SGD, unless changed."""
    values: dict[str, Any] = {"epochs": 4, "schedule": "step", "peak_lr": 0.1, "final_lr": 0.001, "batch": 16}
    values |= changes
    return Recipe(**({"schedule_epochs": values["epochs"]} | values))


def network_without_norms(dropout: float = 0.0, seed: int = 0) -> nn.Module:
    """One whose gradients are means over examples, however these are shared out."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, bias=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(8, 4),
    )


def stream(
    of: Examples | None = None, batch: int = 16, channels_last: bool = False, portion: Portion = WHOLE
) -> Stream:
    """Augmented batches of 50 examples: four an epoch, of 13 and of 12."""
    return Stream(of or examples(), batch, seed=3, augment="crop-flip", channels_last=channels_last, portion=portion)


def run(net: nn.Module, folder: Path, **changes: Any) -> Trained:
    """`train` with everything small, unless changed."""
    compute = changes.get("compute", PLAIN)
    arguments: dict[str, Any] = {
        "stream": stream(channels_last=compute.channels_last, portion=Portion(this_rank(), compute.devices)),
        "first_epoch": 0,
        "validation": examples(20, seed=1),
        "recipe": recipe(),
        "compute": compute,
        "folder": folder,
    }
    return train(net, **(arguments | changes))


def same_bits(one: nn.Module, other: nn.Module) -> bool:
    """Whether all parameters and buffers agree, not nearly but exactly."""
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
