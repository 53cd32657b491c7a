"""What a case of the sweep is, and where to find one by set and name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

SETS = {
    "constructs": "benchmarks.exactness.constructs",
    "torchvision": "benchmarks.exactness.torchvision_models",
    "segmentation": "benchmarks.exactness.segmentation_models",
    "detection": "benchmarks.exactness.detection_models",
    "timm": "benchmarks.exactness.timm_models",
    "transformers": "benchmarks.exactness.transformers_models",
}
"""Each module has `names()`, in the order in which they are judged, and `case(name)`."""


def everything(output: Any) -> Any:
    """The whole output."""
    return output


@dataclass(frozen=True)
class Case:
    """A network to prune and judge."""

    name: str
    build: Callable[[], nn.Module]
    """The factory, without arguments; draws from the global generator."""

    inputs: Callable[[int], Any]
    """Example inputs by seed, in float64: a tensor, a tuple of positional inputs or a dict of keywords."""

    train_inputs: Callable[[int], Any] | None = None
    """Inputs of a training step, where they are others."""

    pick: Callable[[Any], Any] = everything
    """What of the output is compared."""


def names(group: str) -> tuple[str, ...]:
    """The cases of a set."""
    return tuple(importlib.import_module(SETS[group]).names())


def case(group: str, name: str) -> Case:
    """One case; its factory is not run."""
    found: Case = importlib.import_module(SETS[group]).case(name)
    return found


def images(size: int | tuple[int, int], batch: int = 2, channels: int = 3) -> Callable[[int], Tensor]:
    """Random images in float64, by seed."""
    height, width = (size, size) if isinstance(size, int) else size

    def draw(seed: int) -> Tensor:
        numbers = torch.Generator().manual_seed(seed)
        return torch.randn(batch, channels, height, width, generator=numbers, dtype=torch.float64)

    return draw


def doubled(value: Any) -> Any:
    """The same inputs in float64; integers stay."""
    if isinstance(value, Tensor):
        return value.double() if value.is_floating_point() else value
    if isinstance(value, dict):
        return {key: doubled(part) for key, part in value.items()}
    return type(value)(doubled(part) for part in value) if isinstance(value, (list, tuple)) else value
