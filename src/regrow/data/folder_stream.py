"""The stream of an image folder: files are decoded when they are needed, by a torch DataLoader with torchvision transforms.

Order and augmentation obey the rules of `stream.py`, except that each file's augmentation has a seed of its own,
(seed, "augment", epoch, example): what is drawn for a random resized crop depends on the size of the image.
Nothing depends on the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2
from torchvision.transforms.v2 import Compose

from regrow.data.examples import FolderExamples
from regrow.data.pixels import open_image
from regrow.data.settings import Augmentation
from regrow.data.stream import WHOLE, Batch, Normalise, Portion, steps
from regrow.errors import DataError
from regrow.randomness import generator, seeded

Key: TypeAlias = tuple[int, int]
"""Epoch and example; the epoch is -1 without augmentation."""

_PLAIN = -1


def training_transform(shape: tuple[int, int, int], augment: Augmentation) -> Compose:
    """As usual for ImageNet: a crop of random size and proportions, mirrored by chance; `none`: as in evaluation."""
    if augment == "none":
        return evaluation_transform(shape)
    mirror = [v2.RandomHorizontalFlip()] if augment == "crop-flip" else []
    return Compose([v2.RandomResizedCrop(shape[1:], antialias=True), *mirror])


def evaluation_transform(shape: tuple[int, int, int]) -> Compose:
    """As usual for ImageNet: the shorter side to 8/7 of the size (256 for 224), then the centre."""
    side = -(-max(shape[1:]) * 8 // 7)
    return Compose([v2.Resize(side, antialias=True), v2.CenterCrop(shape[1:])])


class Decoded(Dataset[tuple[Tensor, Tensor]]):
    """Images of a folder as uint8 tensors HWC, by `Key`."""

    def __init__(self, examples: FolderExamples, augment: Augmentation, seed: int) -> None:
        self._examples, self._seed = examples, seed
        self._train = training_transform(examples.shape, augment)
        self._evaluate = evaluation_transform(examples.shape)

    def __getitem__(self, key: Key) -> tuple[Tensor, Tensor]:
        epoch, index = key
        path = self._examples.root / self._examples.paths[index]
        image = open_image(path, self._examples.shape[0], str(path))
        if epoch == _PLAIN:
            image = self._evaluate(image)
        else:
            with seeded(self._seed, "augment", epoch, index):
                image = self._train(image)
        return v2.functional.pil_to_tensor(image).permute(1, 2, 0), self._examples.labels[index]


class _Keys:
    """What the loader reads next: a list of batches that is changed between epochs, while the workers live on."""

    def __init__(self) -> None:
        self.batches: list[list[Key]] = []

    def __iter__(self) -> Iterator[list[Key]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class FolderStream:
    """Training batches of an image folder."""

    def __init__(
        self,
        examples: FolderExamples,
        batch: int,
        seed: int,
        augment: Augmentation,
        channels_last: bool,
        workers: int = 0,
        portion: Portion = WHOLE,
    ) -> None:
        self.examples, self.portion = examples, portion
        self.steps_per_epoch = steps(len(examples), batch)
        self._seed = seed
        self._reader = _Reader(examples, augment, seed, channels_last=channels_last, workers=workers)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of epoch `number`, counted from 0. A second epoch ends the reading of the first."""
        order_N = torch.randperm(len(self.examples), generator=generator(self._seed, "order", number))
        yield from self._reader.read(number, list(map(self.portion.cut, order_N.tensor_split(self.steps_per_epoch))))


def folder_batches(
    examples: FolderExamples, batch: int, *, channels_last: bool, workers: int, portion: Portion = WHOLE
) -> Iterator[Batch]:
    """All files once, in their order and without augmentation; for one of n devices, every n-th whole batch."""
    reader = _Reader(examples, "none", 0, channels_last=channels_last, workers=workers)
    cut = torch.arange(len(examples)).tensor_split(steps(len(examples), batch))
    yield from reader.read(_PLAIN, cut[portion.index :: portion.of])


class _Reader:
    """A DataLoader whose workers are started once."""

    def __init__(
        self, examples: FolderExamples, augment: Augmentation, seed: int, *, channels_last: bool, workers: int
    ) -> None:
        self._device = examples.device
        self._normalise = Normalise(examples, channels_last=channels_last, device=examples.device)
        self._keys = _Keys()
        self._loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
            Decoded(examples, augment, seed),
            batch_sampler=self._keys,
            num_workers=workers,
            persistent_workers=workers > 0,
            # A forked worker hangs when the parent has multiplied matrices before.
            multiprocessing_context="spawn" if workers else None,
            pin_memory=examples.device.type == "cuda",
            # Without one, the loader would draw from torch's global generator, and dropout would see other numbers.
            generator=generator(seed, "loader"),
        )

    def read(self, epoch: int, batches: Sequence[Tensor]) -> Iterator[Batch]:
        self._keys.batches = [[(epoch, index) for index in indices.tolist()] for indices in batches]
        try:
            for pixels, labels in self._loader:
                moved = pixels.to(self._device, non_blocking=True)
                yield self._normalise(moved), labels.to(self._device, non_blocking=True)
        except DataError as error:
            # From a worker it comes wrapped in that worker's traceback; the last line is ours.
            raise DataError(str(error).strip().splitlines()[-1].removeprefix("regrow.errors.DataError: ")) from None
