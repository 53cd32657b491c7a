from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from regrow.data.augmentation import Draws, Windows, draw, padding
from regrow.data.settings import Augmentation
from regrow.randomness import generator
from tests.data.samples import noise

CPU = torch.device("cpu")
SHAPES = [(3, 32, 32), (1, 8, 8), (3, 16, 40), (1, 5, 9)]


def by_hand(image: Tensor, top: int, left: int, mirror: bool) -> Tensor:
    """The window of one image HWC, the plain way."""
    height, width, channels = image.shape
    rows, columns = padding((channels, height, width))
    padded = pad(image.flip(1) if mirror else image, (0, 0, columns, columns, rows, rows))
    return padded[top : top + height, left : left + width]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("augment", ["crop", "crop-flip"])
def test_windows_are_those_cut_by_hand_one_by_one(shape: tuple[int, int, int], augment: Augmentation) -> None:
    images = torch.from_numpy(noise(50, shape))
    draws = draw(50, shape, generator(0))
    windows = Windows(shape, augment, 60, CPU)
    found = windows.cut(images, windows.starts(draws))
    mirror = draws.mirror if augment == "crop-flip" else torch.zeros(50, dtype=torch.bool)
    decided = zip(draws.top.tolist(), draws.left.tolist(), mirror.tolist(), strict=True)
    expected = torch.stack([by_hand(image, *one) for image, one in zip(images, decided, strict=True)])
    assert torch.equal(found, expected)


def test_the_middle_window_is_the_image_itself() -> None:
    images = torch.from_numpy(noise(2, (3, 8, 8)))
    windows = Windows((3, 8, 8), "crop-flip", 2, CPU)
    middle = torch.ones(2, dtype=torch.int64)
    found = windows.cut(images, windows.starts(Draws(middle, middle, torch.tensor([False, True]))))
    assert torch.equal(found[0], images[0])
    assert torch.equal(found[1], images[1].flip(1))


def test_a_second_batch_shows_nothing_of_the_first() -> None:
    shape = (1, 8, 8)
    windows = Windows(shape, "crop-flip", 4, CPU)
    starts = windows.starts(draw(4, shape, generator(1)))
    windows.cut(torch.full((4, 8, 8, 1), 255, dtype=torch.uint8), starts)
    assert int(windows.cut(torch.zeros(4, 8, 8, 1, dtype=torch.uint8), starts).max()) == 0


@pytest.mark.parametrize(
    ("shape", "expected"), [((3, 32, 32), (4, 4)), ((1, 8, 8), (1, 1)), ((1, 4, 4), (1, 1)), ((3, 224, 64), (28, 8))]
)
def test_padding_is_an_eighth(shape: tuple[int, int, int], expected: tuple[int, int]) -> None:
    assert padding(shape) == expected


def test_every_window_and_both_sides_are_drawn_alike() -> None:
    draws = draw(81 * 2 * 200, (3, 32, 32), generator("frequencies"))
    kinds = (draws.top * 9 + draws.left) * 2 + draws.mirror
    counts = torch.bincount(kinds, minlength=162).float()
    # 200 expected of each of 162 kinds: chi-square with 161 degrees of freedom, 99.99 % point 237
    assert float(((counts - 200) ** 2 / 200).sum()) < 237


def test_draws_follow_the_generator_alone() -> None:
    one, two = (draw(10, (3, 32, 32), generator(7)) for _ in range(2))
    assert torch.equal(one.top, two.top)
    assert torch.equal(one.mirror, two.mirror)
