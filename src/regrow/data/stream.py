"""The stream: every epoch's batches as a function of (seed, epoch), the same for every arm of a seed.

Order and augmentation of epoch n come from the seeds (seed, "order", n) and (seed, "augment", n), whatever was read before,
so reading can begin at any epoch. An example's augmentation belongs to (seed, n, example), whatever batch it falls into.
An epoch is cut into ceil(N / batch) batches that differ by at most one example, so none is tiny. Where several devices share a training,
each reads its portion of every batch; the batches are the same.

Shape suffixes:  N = examples,  B = examples of a batch,  H = height,  W = width,  C = channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol, TypeAlias

import torch
from torch import Tensor

from regrow.data.augmentation import Windows, draw
from regrow.data.examples import AnyExamples, Examples, FolderExamples
from regrow.data.settings import Augmentation
from regrow.randomness import generator

Batch: TypeAlias = tuple[Tensor, Tensor]
"""Normalised float32 images BCHW and int64 labels B, on the device of the examples."""


@dataclass(frozen=True, slots=True)
class Portion:
    """What one of several devices reads of everything."""

    index: int = 0
    """Which device, counted from 0."""

    of: int = 1
    """How many there are."""

    def cut(self, batch_B: Tensor) -> Tensor:
        """Its part of one batch: as even as possible, the first devices have one example more.

        >>> [Portion(i, 3).cut(torch.arange(8)).tolist() for i in range(3)]
        [[0, 1, 2], [3, 4, 5], [6, 7]]
        """
        return batch_B if self.of == 1 else batch_B.tensor_split(self.of)[self.index]


WHOLE: Final = Portion()


class BatchStream(Protocol):
    """What training needs of a stream."""

    @property
    def examples(self) -> AnyExamples:
        """What is read."""
        ...

    @property
    def portion(self) -> Portion:
        """The part of every batch that is read."""
        ...

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch."""
        ...

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of epoch `number`, counted from 0."""
        ...


def steps(examples: int, batch: int) -> int:
    """Batches of an epoch: ceil(examples / batch).

    >>> steps(256, 128), steps(257, 128)
    (2, 3)
    """
    return -(-examples // batch)


def batch_sizes(examples: int, count: int) -> list[int]:
    """Examples of each of the `count` batches of an epoch.

    >>> batch_sizes(50, 4)
    [13, 13, 12, 12]
    """
    return [examples // count + (number < examples % count) for number in range(count)]


class Normalise:
    """8-bit pixels BHWC to float32 BCHW with the given layout: (pixel / 255 - mean) / std."""

    def __init__(self, examples: AnyExamples, *, channels_last: bool, device: torch.device) -> None:
        self._shape, self._last = examples.shape, channels_last
        _, height, width = examples.shape
        mean_C, std_C = (torch.tensor(values, dtype=torch.float64) for values in (examples.mean, examples.std))

        # Spread over a whole image: a constant of C = 3 values would be broadcast three at a time, five times slower.
        def spread(values_C: Tensor) -> Tensor:
            values = values_C.repeat(height * width) if channels_last else values_C.repeat_interleave(height * width)
            return values.float().to(device)

        self._scale, self._shift = spread(1 / (255 * std_C)), spread(-mean_C / std_C)

    def __call__(self, pixels: Tensor) -> Tensor:
        """A fresh tensor BCHW."""
        channels, height, width = self._shape
        if not self._last:
            pixels = pixels.permute(0, 3, 1, 2).contiguous()
        values = pixels.reshape(len(pixels), -1).float()
        torch.addcmul(self._shift, values, self._scale, out=values)
        if self._last:
            return values.view(-1, height, width, channels).permute(0, 3, 1, 2)
        return values.view(-1, channels, height, width)


class Stream:
    """Training batches of examples that are in memory."""

    def __init__(
        self,
        examples: Examples,
        batch: int,
        seed: int,
        augment: Augmentation,
        channels_last: bool,
        portion: Portion = WHOLE,
    ) -> None:
        self.examples, self.portion = examples, portion
        self.steps_per_epoch = steps(len(examples), batch)
        self._seed, self._augment = seed, augment
        self._device = examples.images.device
        self._normalise = Normalise(examples, channels_last=channels_last, device=self._device)
        # No copy for prepared examples, whose memory is NHWC already.
        self._pixels = examples.images.permute(0, 2, 3, 1).reshape(len(examples), -1)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of epoch `number`, counted from 0. Every batch is a fresh tensor."""
        order_N = torch.randperm(len(self.examples), generator=generator(self._seed, "order", number))
        batches = self._batches(order_N)
        pixels = self._plain(batches) if self._augment == "none" else self._augmented(batches, order_N, number)
        for indices_B, pixels_B in zip(batches, pixels, strict=True):
            yield self._normalise(pixels_B), self.examples.labels.index_select(0, indices_B)

    def _batches(self, values_N: Tensor) -> tuple[Tensor, ...]:
        """One value for each example, in the epoch's order, as batches; this device's portion of them."""
        return tuple(map(self.portion.cut, values_N.to(self._device).tensor_split(self.steps_per_epoch)))

    def _plain(self, batches: tuple[Tensor, ...]) -> Iterator[Tensor]:
        channels, height, width = self.examples.shape
        for indices_B in batches:
            yield self._pixels.index_select(0, indices_B).view(-1, height, width, channels)

    def _augmented(self, batches: tuple[Tensor, ...], order_N: Tensor, number: int) -> Iterator[Tensor]:
        shape = self.examples.shape
        windows = Windows(shape, self._augment, len(batches[0]), self._device)
        starts_N = windows.starts(draw(len(order_N), shape, generator(self._seed, "augment", number)))
        for pixels, starts_B in zip(self._plain(batches), self._batches(starts_N[order_N]), strict=True):
            yield windows.cut(pixels, starts_B)


def batches(
    examples: AnyExamples, batch: int, *, channels_last: bool = True, workers: int = 0, portion: Portion = WHOLE
) -> Iterator[Batch]:
    """All examples once, in their order and without augmentation: for evaluation. `workers` is for image folders.

    The portion of one of n devices is every n-th whole batch, perhaps none: here nothing depends on how examples are batched.
    """
    if isinstance(examples, FolderExamples):
        from regrow.data.folder_stream import folder_batches

        yield from folder_batches(examples, batch, channels_last=channels_last, workers=workers, portion=portion)
        return
    normalise = Normalise(examples, channels_last=channels_last, device=examples.images.device)
    count = steps(len(examples), batch)
    cut = zip(examples.images.tensor_split(count), examples.labels.tensor_split(count), strict=True)
    for images, labels_B in islice(cut, portion.index, None, portion.of):
        yield normalise(images.permute(0, 2, 3, 1)), labels_B


def open_stream(
    examples: AnyExamples,
    batch: int,
    seed: int,
    augment: Augmentation,
    channels_last: bool,
    workers: int = 0,
    portion: Portion = WHOLE,
) -> BatchStream:
    """The stream for either kind of examples. `workers` processes decode files; of examples in memory they are none."""
    if isinstance(examples, Examples):
        return Stream(examples, batch, seed, augment, channels_last, portion)
    from regrow.data.folder_stream import FolderStream

    return FolderStream(examples, batch, seed, augment, channels_last, workers, portion)
