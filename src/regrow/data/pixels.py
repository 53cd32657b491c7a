"""Pixels: an encoded image to 8-bit pixels of the declared shape."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from regrow.data.datasets import Shape
from regrow.data.source import Pixels
from regrow.errors import DataError

_MODES = {1: "L", 3: "RGB"}


def open_image(content: bytes | Path, channels: int, where: str) -> Image.Image:
    """The decoded image, grey (1 channel, ITU-R 601 luma) or RGB (3 channels).

    Raises `DataError`, naming `where`, for a file that is damaged, is no image, or has more than 8 bits a channel.
    """
    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as image:
            image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{where} is not a readable image ({error}). Repair it, or take it out.") from error
    if image.mode.startswith(("I", "F")):  # converting these clips at 255 instead of scaling
        raise DataError(f"{where} has mode {image.mode}; 8 bits a channel are expected. Convert it before.")
    return image.convert(_MODES[channels])


def decode(content: bytes, shape: Shape, where: str) -> Pixels:
    """One image as an array HWC of `shape` (C, H, W).

    A larger image is resized (bilinear, antialiased, keeping its proportions) until it just covers H x W, then cut to its centre.
    Raises `DataError` for a smaller one: enlarging is a choice that we leave to people.
    """
    channels, height, width = shape
    image = open_image(content, channels, where)
    if image.size != (width, height):
        image = _cover(image, width, height, where)
    return np.asarray(image, dtype=np.uint8).reshape(height, width, channels)


def _cover(image: Image.Image, width: int, height: int, where: str) -> Image.Image:
    if image.width < width or image.height < height:
        raise DataError(
            f"{where} is {image.height} pixels high and {image.width} wide, smaller than data.shape, {height} x {width}. "
            "Declare a shape that no image falls short of, or enlarge the images before."
        )
    scale = max(width / image.width, height / image.height)
    size = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    if size != image.size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
