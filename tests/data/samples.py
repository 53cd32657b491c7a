"""Small real data sets for the tests of this folder."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray
from PIL import Image

from regrow.data.prepare import prepare
from regrow.data.settings import DataSettings

SHAPE = (3, 8, 8)
COUNT = 40
CLASSES = 4


def noise(count: int, shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> NDArray[np.uint8]:
    """Images NHWC."""
    channels, height, width = shape
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, channels), np.uint8)


def png(pixels: NDArray[np.uint8]) -> bytes:
    """One image HWC, encoded without loss."""
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, "PNG")
    return file.getvalue()


def labels(count: int) -> list[int]:
    """Classes 0, 1, 2, 3, 0, ..."""
    return [i % CLASSES for i in range(count)]


def write_parquet(
    path: Path, images: Sequence[bytes | None], classes: Sequence[Any], names: tuple[str, str] = ("img", "label")
) -> None:
    """A file laid out as on the Hugging Face hub."""
    column = [{"bytes": image, "path": None} for image in images]
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table({names[0]: pyarrow.array(column, kind), names[1]: pyarrow.array(classes)})
    pyarrow.parquet.write_table(table, path, row_group_size=16)


def parquet_root(folder: Path, train: int = COUNT, test: int = 12) -> Path:
    """A folder with train.parquet and, unless `test` is 0, test.parquet."""
    write_parquet(folder / "train.parquet", [png(image) for image in noise(train)], labels(train))
    if test:
        write_parquet(folder / "test.parquet", [png(image) for image in noise(test, seed=1)], labels(test))
    return folder


def parquet_settings(root: Path, **changes: Any) -> DataSettings:
    """Settings that fit `parquet_root`."""
    given: dict[str, Any] = {"name": "parquet", "root": root, "classes": CLASSES, "shape": SHAPE, "examples": COUNT}
    return DataSettings(**(given | changes))


def image_root(folder: Path, train: int = 6, test: int = 2, part: str = "val") -> Path:
    """An image folder of classes ape and bee, with `train` and `test` images each."""
    for name, count in (("train", train), (part, test)):
        for number, kind in enumerate(("ape", "bee")):
            target = folder / name / kind
            target.mkdir(parents=True)
            for i, image in enumerate(noise(count, (3, 20, 24), seed=number)):
                Image.fromarray(image).save(target / f"{i}.png")
    return folder


def image_settings(root: Path, **changes: Any) -> DataSettings:
    """Settings that fit `image_root`."""
    given: dict[str, Any] = {"name": "folder", "root": root, "classes": 2, "shape": (3, 16, 16), "examples": 12}
    return DataSettings(**(given | {"validation": 4} | changes))


def prepared(settings: DataSettings, folder: Path) -> Path:
    """A new folder with the prepared data."""
    folder.mkdir(parents=True, exist_ok=True)
    prepare(settings, folder)
    return folder
