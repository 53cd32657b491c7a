"""What a study may say about its network and about a dense checkpoint the user already has. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from regrow.settings import Settings


class NetworkSettings(Settings):
    """Which dense network."""

    name: str
    """A row of `regrow list networks`, e.g. vgg16 or resnet56."""

    width: Annotated[float, Field(gt=0, le=16)] = 1.0
    """All channel numbers of the dense network are multiplied by this (rounded, at least 1): 0.25 is a quarter as wide."""


class DenseSettings(Settings):
    """A trained dense network that stands in for the dense stage. Without `checkpoint` the study trains its own."""

    checkpoint: Path | None = None
    """A safetensors file whose tensors are named and shaped as the dense network's. Every seed then shares this one network."""

    trained_on: Literal["train", "train+validation", "train+test", "all", "other"] | None = None
    """Which of the study's examples the checkpoint has seen; must be declared. `other` means none of them."""

    price: Literal["full", "free"] = "full"
    """full: its training is charged, at `epochs` epochs of the study's data; free: it cost nothing (say, a public download)."""

    epochs: Annotated[int, Field(ge=1)] | None = None
    """Epochs that the checkpoint was trained for; by default train.epochs."""
