"""What a study may say about its network and about a dense checkpoint the user already has. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from regrow.files import canonical_json
from regrow.settings import Settings


class NetworkSettings(Settings):
    """Which dense network."""

    name: str
    """A row of `regrow list networks` (vgg16, resnet56), or a network from elsewhere, written as `regrow list sources` says:
    torchvision:resnet50, timm:vit_small_patch16_224, transformers:vit, mypackage.nets:build, network.pt2."""

    width: Annotated[float, Field(gt=0, le=16)] = 1.0
    """All channel numbers of the dense network are multiplied by this (rounded, at least 1): 0.25 is a quarter as wide.
    For networks of the zoo."""

    options: dict[str, Any] = Field(default_factory=dict)
    """What the code of a network from elsewhere is told besides classes and image shape, e.g. { patch_size = 4, depth = 6 }."""

    @field_validator("options")
    @classmethod
    def _plain(cls, options: dict[str, Any]) -> dict[str, Any]:
        try:
            canonical_json(options)
        except (TypeError, ValueError) as error:
            raise ValueError(f"must hold text, finite numbers, truth values, lists and tables only; {error}") from None
        return options

    @model_serializer(mode="wrap")
    def _without_empty_options(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Studies of the zoo keep the identity that they had before there were options."""
        written: dict[str, Any] = handler(self)
        if not self.options:
            written.pop("options", None)
        return written

    def __hash__(self) -> int:
        return hash((self.name, self.width, canonical_json(self.options)))


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
