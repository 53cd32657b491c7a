"""Parquet: a local folder of train*.parquet and test*.parquet files, laid out as on the Hugging Face hub.

The image column is a struct of `bytes` (an encoded image) and `path`, or plain binary; the label column holds whole numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from regrow.data.datasets import Facts, Shape
from regrow.data.pixels import decode
from regrow.data.settings import DataSettings
from regrow.data.source import CHUNK, TEST_NAMES, Images, Labels, Pixels, Source
from regrow.errors import DataError, did_you_mean


def parquet(settings: DataSettings, known: Facts) -> Source:
    """The files in `data.root`, or in its `data` folder, whose names begin with train and with test (or val).

    Raises `DataError` for a folder without training files, a damaged file, a missing column or one of a wrong type.
    """
    assert settings.root is not None  # `prepare` has looked
    train, test = parquet_files(settings.root)
    return Source(
        train=_images(train, settings, known.shape),
        test=_images(test, settings, known.shape) if test else None,
    )


def parquet_files(root: Path) -> tuple[list[Path], list[Path]]:
    """Training and test files, each in the order of their names; raises `DataError` where there is none to train on."""
    folders = [root, root / "data"]
    train = next((found for folder in folders if (found := sorted(folder.glob("train*.parquet")))), [])
    if not train:
        raise DataError(
            f"{root} holds no train*.parquet, nor does its folder data. Name the folder of the files with data.root."
        )
    patterns = (train[0].parent.glob(f"{name}*.parquet") for name in TEST_NAMES)
    return train, next((found for files in patterns if (found := sorted(files))), [])


def decode_column(values: Iterable[Any], shape: Shape, *, column: str, where: str, first: int) -> Pixels:
    """A chunk of an image column as an array NHWC; `first` is the row number of its first value, for error messages."""
    rows = [
        decode(_content(value, column, f"{where}, row {row}"), shape, f"{where}, row {row}")
        for row, value in enumerate(values, first)
    ]
    return np.stack(rows)


def label_column(column: Any, name: str, where: str) -> Labels:
    """An arrow column of whole numbers as an array; raises `DataError` for other types and for missing labels."""
    import pyarrow

    if not pyarrow.types.is_integer(column.type):
        raise DataError(
            f"{where}: column {name!r} holds {column.type}; classes are whole numbers, 0 and up. See data.label_column."
        )
    if column.null_count:
        raise DataError(f"{where}: column {name!r} lacks {column.null_count} labels. Take those rows out.")
    return np.asarray(column.to_numpy(), dtype=np.int64)


def check_columns(settings: DataSettings, columns: Sequence[str], where: str) -> None:
    """Raises `DataError` where a column that the study names is not there."""
    for key in ("image_column", "label_column"):
        name = getattr(settings, key)
        if name not in columns:
            raise DataError(f"{where} has no column {name!r}; set data.{key}. {did_you_mean(name, columns)}")


def _content(value: Any, column: str, where: str) -> bytes:
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes):
        raise DataError(
            f"{where}: column {column!r} holds no encoded image, but {type(content).__name__}. "
            "Embed the images: a struct of bytes and path, or binary."
        )
    return content


def _images(files: Sequence[Path], settings: DataSettings, shape: Shape) -> Images:
    labels = [_read_labels(file, settings) for file in files]
    return Images(np.concatenate(labels), lambda: _chunks(files, settings.image_column, shape))


def _open(file: Path) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(file, memory_map=True)
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{file} is not a readable parquet file ({error}). Copy or download it again.") from error


def _read_labels(file: Path, settings: DataSettings) -> Labels:
    with _open(file) as opened:
        check_columns(settings, opened.schema_arrow.names, str(file))
        column = opened.read([settings.label_column], use_threads=False).column(0)
    return label_column(column, settings.label_column, str(file))


def _chunks(files: Sequence[Path], column: str, shape: Shape) -> Iterator[Pixels]:
    for file in files:
        first = 0
        with _open(file) as opened:
            for values in _columns(opened, column, file):
                yield decode_column(values, shape, column=column, where=str(file), first=first)
                first += len(values)


def _columns(opened: Any, column: str, file: Path) -> Iterator[list[Any]]:
    import pyarrow

    row = 0
    try:
        for batch in opened.iter_batches(CHUNK, columns=[column], use_threads=False):
            yield batch.column(0).to_pylist()
            row += batch.num_rows
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{file} is damaged after row {row} ({error}). Copy or download it again.") from error
