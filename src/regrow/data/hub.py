"""The Hugging Face hub: any data set of images with a train split, by its name; needs the extra `hub`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from regrow.data.datasets import Facts, Shape
from regrow.data.parquet import check_columns, decode_column, label_column
from regrow.data.settings import DataSettings
from regrow.data.source import CHUNK, TEST_NAMES, Images, Pixels, Source
from regrow.errors import DataError, MissingExtraError


def hub(settings: DataSettings, known: Facts) -> Source:
    """The splits train and test (or validation) of `data.hub`, downloaded into `data.root` or the library's own cache.

    Raises `MissingExtraError` without the extra; `DataError` where the data set is not to be had or not laid out as declared.
    """
    splits = _download(settings)
    if "train" not in splits:
        raise DataError(
            f"{settings.hub} has no split called train; it has {', '.join(sorted(splits))}. Choose another data set."
        )
    test = next((splits[name] for name in TEST_NAMES if name in splits), None)
    return Source(
        train=_images(splits["train"], settings, known.shape),
        test=None if test is None else _images(test, settings, known.shape),
    )


def _download(settings: DataSettings) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError(f"data.hub = {settings.hub!r}", "hub") from error
    try:
        return datasets.load_dataset(settings.hub, cache_dir=str(settings.root) if settings.root else None)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"{settings.hub} could not be had from the hub ({type(error).__name__}: {error}). "
            "Check the name at https://huggingface.co/datasets and the connection, or use a local copy with data.name = 'parquet'."
        ) from error


def _images(split: Any, settings: DataSettings, shape: Shape) -> Images:
    import datasets

    where = f"{settings.hub}, split {split.split}"
    check_columns(settings, split.column_names, where)
    # The library would decode into PIL images; the bytes are all that is wanted, and cheaper.
    encoded = split.cast_column(settings.image_column, datasets.Image(decode=False))
    labels = encoded.with_format("arrow")[:][settings.label_column]
    return Images(
        label_column(labels, settings.label_column, where),
        lambda: _chunks(encoded, settings.image_column, shape, where),
    )


def _chunks(split: Any, column: str, shape: Shape, where: str) -> Iterator[Pixels]:
    tables = split.select_columns([column]).with_format("arrow").iter(batch_size=CHUNK)
    for number, table in enumerate(tables):
        yield decode_column(table.column(0).to_pylist(), shape, column=column, where=where, first=number * CHUNK)
