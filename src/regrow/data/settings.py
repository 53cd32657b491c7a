"""What a study may say about its data. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from regrow.settings import Settings

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Augmentation = Literal["none", "crop-flip", "crop"]


class DataSettings(Settings):
    """Which examples, and how they are split. Every choice is made on validation examples, never on the test set."""

    name: str
    """A row of `regrow list data`: digits, cifar10, cifar100, cifar10-jpeg, imagenet, or the formats parquet, folder and hub."""

    root: Path | None = None
    """Where the files lie: required for cifar10-jpeg, imagenet, parquet and folder; where cifar10, cifar100 and hub put downloads
    (by default in the user's cache folder); unused for digits."""

    hub: str | None = None
    """`owner/name` of a data set on the Hugging Face hub, with `name = "hub"`."""

    label: str | None = None
    """How reports call this data set; by default its name, or for a format the last part of `root` or `hub`."""

    validation: Share | Count = 0.1
    """Examples held out of the training set for every choice: a share of it, or how many."""

    test: Share | Count | None = None
    """Only for data without a test set of their own: the share, or number, of examples held out for the final test."""

    split_seed: int = 0
    """Seed of the split; it is the same for every arm and every seed of the study."""

    share: Share | None = None
    """Only this share of the training examples is used, from every class alike. An epoch still has as many steps as with all of
    them, so that each is seen more often and all else (steps, schedules, budgets) stays what it is."""

    augment: Augmentation | None = None
    """Augmentation of training examples: none, crop (pad 1/8 and crop), crop-flip; by default the data set's usual one. For folder,
    crops have random size and proportions, as usual for ImageNet."""

    examples: Count | None = None
    """Formats only: training examples in the files, validation included, so that a study can be planned unopened."""

    classes: Annotated[int, Field(ge=2)] | None = None
    """Formats only: number of classes."""

    shape: tuple[Count, Count, Count] | None = None
    """Formats only: channels (1 or 3), height, width that the network sees, in pixels; larger images are resized and centre-cropped."""

    image_column: str = "img"
    """parquet and hub: the column that holds the image."""

    label_column: str = "label"
    """parquet and hub: the column that holds the class."""

    loader_workers: Annotated[int, Field(ge=0)] = 2
    """folder and imagenet: processes that decode images beside each training."""

    @model_serializer(mode="wrap")
    def _without_empty_share(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Studies of all examples keep the identity that they had before there were shares."""
        written: dict[str, Any] = handler(self)
        if self.share is None:
            written.pop("share", None)
        return written
