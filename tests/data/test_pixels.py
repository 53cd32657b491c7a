from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regrow.data.pixels import decode, open_image
from regrow.errors import DataError
from tests.data.samples import noise, png


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def test_pixels_of_the_declared_size_are_untouched() -> None:
    image = noise(1, (3, 5, 7))[0]
    assert np.array_equal(decode(png(image), (3, 5, 7), "x"), image)


def test_grey_images_have_one_channel() -> None:
    image = noise(1, (1, 4, 4))[0]
    assert np.array_equal(decode(png(image), (1, 4, 4), "x"), image)


def test_colour_becomes_grey_by_luma() -> None:
    red = Image.new("RGB", (2, 2), (255, 0, 0))
    assert decode(encoded(red), (1, 2, 2), "x").tolist() == [[[76], [76]], [[76], [76]]]  # 0.299 * 255


def test_grey_becomes_three_equal_channels() -> None:
    assert decode(encoded(Image.new("L", (1, 1), 9)), (3, 1, 1), "x").tolist() == [[[9, 9, 9]]]


def test_transparent_and_palette_images_become_rgb() -> None:
    palette = Image.new("RGB", (3, 3), (1, 2, 3)).convert("P", palette=Image.Palette.ADAPTIVE)
    for image in (Image.new("RGBA", (3, 3), (1, 2, 3, 4)), palette):
        assert decode(encoded(image), (3, 3, 3), "x")[0, 0].tolist() == [1, 2, 3]


def test_a_larger_image_is_shrunk_and_cut_to_its_centre() -> None:
    # 4 x 8: left half black, right half white; halved to 2 x 4, of which the middle 2 x 2 straddle the border
    image = np.zeros((4, 8, 1), np.uint8)
    image[:, 4:] = 255
    found = decode(png(image), (1, 2, 2), "x")[..., 0]
    assert (found[:, 0] < 64).all()
    assert (found[:, 1] > 191).all()


def test_a_smaller_image_is_refused_and_not_enlarged() -> None:
    with pytest.raises(DataError, match=r"row 5 is 4 pixels high and 9 wide, smaller than data\.shape, 5 x 5"):
        decode(png(noise(1, (3, 4, 9))[0]), (3, 5, 5), "row 5")


@pytest.mark.parametrize("content", [b"", b"not an image", png(noise(1, (3, 32, 32))[0])[:700]])
def test_a_corrupt_image_is_named(content: bytes) -> None:
    with pytest.raises(DataError, match=r"train\.parquet, row 7 is not a readable image"):
        decode(content, (3, 32, 32), "train.parquet, row 7")


def test_a_truncated_jpeg_is_corrupt() -> None:
    whole = encoded(Image.fromarray(noise(1, (3, 64, 64))[0]), "JPEG")
    with pytest.raises(DataError, match="truncated"):
        decode(whole[: len(whole) // 2], (3, 64, 64), "x")


def test_more_than_eight_bits_would_be_clipped_and_are_refused() -> None:
    deep = Image.fromarray(np.full((2, 2), 40_000, np.uint16))
    with pytest.raises(DataError, match="8 bits a channel"):
        decode(encoded(deep), (1, 2, 2), "x")


def test_a_file_is_read_as_bytes_are(tmp_path: Path) -> None:
    image = noise(1, (3, 3, 3))[0]
    (tmp_path / "a.png").write_bytes(png(image))
    assert np.array_equal(np.asarray(open_image(tmp_path / "a.png", 3, "x")), image)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png"):
        open_image(tmp_path / "gone.png", 3, str(tmp_path / "gone.png"))
