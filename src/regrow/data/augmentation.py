"""Augmentation: pad-and-crop and mirroring for whole batches of 8-bit images, where they lie, without a loop.

Images are padded with zeros by an eighth of their size, and a window of the old size is cut out at random; half of them are
mirrored. Zeros are black: padding comes before normalisation, as is customary for CIFAR.

How: a batch is copied into a padded buffer, upright and mirrored. In NHWC every row of a window is a run of W*C bytes there,
so one `index_select` over all such runs (a view that overlaps itself) cuts the whole batch, by plain copies of memory.
Measured on one thread for 128 images of 32x32x3: 0.08 ms, against 0.48 ms for an advanced index over windows and 0.6 ms for
picking single pixels; all of `Windows.cut` takes 0.3 ms.

Shape suffixes:  N = examples of the data set,  B = of a batch,  H = height,  W = width,  C = channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from regrow.data.settings import Augmentation


@dataclass(frozen=True, slots=True)
class Draws:
    """What chance decided for each example of one epoch."""

    top: Tensor
    """int64: first row of the window in the padded image, 0..2*pad."""

    left: Tensor
    """int64: first column of the window in the padded, perhaps mirrored image, 0..2*pad."""

    mirror: Tensor
    """bool: whether the image is mirrored left to right."""


def padding(shape: tuple[int, int, int]) -> tuple[int, int]:
    """Rows and columns added on each side: an eighth of the size, 4 for 32x32, and at least 1.

    >>> padding((3, 32, 32)), padding((1, 8, 8))
    ((4, 4), (1, 1))
    """
    _, height, width = shape
    return max(1, height // 8), max(1, width // 8)


def draw(examples: int, shape: tuple[int, int, int], generator: torch.Generator) -> Draws:
    """Draws for `examples` examples, on the CPU so that they are the same for every device.

    The same numbers are drawn for every kind of augmentation, so switching mirroring off leaves the windows where they were.
    """
    rows, columns = padding(shape)
    return Draws(
        torch.randint(2 * rows + 1, (examples,), generator=generator),
        torch.randint(2 * columns + 1, (examples,), generator=generator),
        torch.randint(2, (examples,), generator=generator).bool(),
    )


class Windows:
    """Cuts one window out of each image of a batch of at most `batch` images. Holds a buffer: one object per thread."""

    def __init__(self, shape: tuple[int, int, int], augment: Augmentation, batch: int, device: torch.device) -> None:
        channels, height, width = shape
        self._pad = padding(shape)
        self._mirrors = augment == "crop-flip"
        self._stride = (width + 2 * self._pad[1]) * channels
        self._image = (height + 2 * self._pad[0]) * self._stride
        self._channels = channels
        copies = 2 if self._mirrors else 1
        buffer = torch.zeros(batch * copies * self._image, dtype=torch.uint8, device=device)
        padded = buffer.view(batch, copies, -1, width + 2 * self._pad[1], channels)
        self._inner = padded[:, :, self._pad[0] : self._pad[0] + height, self._pad[1] : self._pad[1] + width]
        run = width * channels
        self._runs = buffer.as_strided((len(buffer) - run + 1, run), (1, 1))
        self._images = torch.arange(batch, device=device) * (copies * self._image)
        self._rows = torch.arange(height, device=device) * self._stride

    def starts(self, draws: Draws) -> Tensor:
        """Where each example's window starts, in bytes from the start of its place in the buffer; int64, N."""
        starts = draws.top * self._stride + draws.left * self._channels
        return starts + draws.mirror * self._image if self._mirrors else starts

    def cut(self, images: Tensor, starts_B: Tensor) -> Tensor:
        """The windows of a batch: uint8 BHWC, as `images` is."""
        count = len(images)
        self._inner[:count, 0] = images
        if self._mirrors:
            self._inner[:count, 1] = images.flip(2)
        runs = (self._images[:count] + starts_B)[:, None] + self._rows
        return self._runs.index_select(0, runs.view(-1)).view(images.shape)
