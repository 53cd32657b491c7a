"""Small networks and trainings that the tests of masks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, AdamW, Optimizer

from regrow.pruning.gradual import Gradual
from regrow.pruning.holding import Holding

RATE = 0.05


def small(inner: int = 8, seed: int = 0) -> nn.Sequential:
    """Two convolutions with a norm between them, a hidden linear layer and a classifier."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, inner, 3, padding=1, bias=False),
        nn.BatchNorm2d(inner),
        nn.ReLU(),
        nn.Conv2d(inner, 4, 3),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 12),
        nn.ReLU(),
        nn.Linear(12, 4),
    )


WEIGHTS = ("0.weight", "3.weight", "6.weight")
"""What masks may remove of it: 216, 288 and 192 weights."""


def sgd(network: nn.Module) -> Optimizer:
    """The optimiser that moves a weight without a gradient most: momentum, weight decay, Nesterov."""
    return SGD(network.parameters(), lr=RATE, momentum=0.9, nesterov=True, weight_decay=5e-3, fused=True)


def adamw(network: nn.Module) -> Optimizer:
    """AdamW as training builds it."""
    return AdamW(network.parameters(), lr=1e-2, weight_decay=5e-2, fused=True)


OPTIMIZERS = {"sgd": sgd, "adamw": adamw}


def batch(step: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Images and labels of one step: a function of its number alone."""
    numbers = torch.Generator().manual_seed(step)
    images = torch.randn(8, 3, 5, 5, generator=numbers, dtype=torch.float64).to(dtype)
    return images, torch.randint(0, 4, (8,), generator=numbers)


def learn(
    network: nn.Module,
    optimizer: Optimizer,
    held: Holding | Gradual | None,
    steps: range,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Train as the loop does: the intervention stands before and after every step."""
    network.train()
    for step in steps:
        images, labels_B = batch(step, dtype)
        cross_entropy(network(images), labels_B).backward()
        if held is not None:
            held.before_step(RATE)
        optimizer.step()
        if held is not None:
            held.after_step(RATE)
        optimizer.zero_grad()
