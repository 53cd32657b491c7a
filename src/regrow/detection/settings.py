"""Settings of a transfer to detection: which boxes, which recipe. The same for every network that is compared. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, TypeAdapter

from regrow.networks.spec import validated
from regrow.settings import Settings

Format = Literal["voc", "coco"]
FORMATS: Final[tuple[Format, ...]] = ("voc", "coco")

PRUNE_AFTER: Final = "prune-after"
"""The arm that is pruned after the transfer, the paper's Prune-D."""

LR_PER_IMAGE: Final = 0.02 / 16
"""torchvision's reference: 0.02 for batches of 16; a learning rate that is not given follows from the batch in this proportion."""


class DetectionSettings(Settings):
    """Everything that a detector's training is told, besides its backbone and its seed."""

    root: Path
    """Folder of the images and their boxes."""

    format: Format
    """How the boxes are written down: PASCAL VOC's XML files, or COCO's JSON."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 12
    """Passes over the training images."""

    lr: Annotated[float, Field(gt=0, le=100)] | None = None
    """Peak learning rate; by default 0.02 for batches of 16 images, in proportion for others."""

    batch: Annotated[int, Field(ge=1, le=4096)] = 8
    """Images of a step."""

    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of SGD."""

    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-4
    """Of SGD, on every weight that is trained."""

    image_size: Annotated[int, Field(ge=32, le=8192)] = 600
    """Shorter side in pixels that every image is scaled to; the longer one is at most 5/3 of it."""

    channels: Annotated[int, Field(ge=1, le=4096)] = 256
    """Channels of the feature pyramid; the two hidden layers of the box head have four times as many."""

    regions: Annotated[int, Field(ge=4, le=65_536)] = 512
    """Proposals of an image that the box head's loss is made of, a quarter of them on objects; the proposals' own loss takes half as
    many anchors."""

    norms: Literal["frozen", "trained"] = "frozen"
    """Batch norms of the backbone: as classification left them, which small batches need, or trained on."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where detectors are trained."""

    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """CPU threads; another number gives other bits."""

    @property
    def peak_lr(self) -> float:
        """The learning rate at its highest."""
        return self.lr if self.lr is not None else LR_PER_IMAGE * self.batch

    @property
    def longest_side(self) -> int:
        """An image whose longer side would exceed this many pixels is scaled to it instead: 1000 for 600."""
        return self.image_size * 5 // 3

    @property
    def recipe(self) -> dict[str, Any]:
        """What determines a result, the data left out: those are known by their content."""
        plain = self.model_dump(mode="json", exclude={"root", "format"})
        return plain | {"lr": self.peak_lr}


def read_settings(**given: Any) -> DetectionSettings:
    """Settings from options; what is None keeps its default. Raises `ConfigError` with a fault for every wrong one."""
    said = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    known = {name: value for name, value in said.items() if value is not None}
    return validated(TypeAdapter(DetectionSettings), known, "detect")
