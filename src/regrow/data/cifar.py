"""CIFAR-10 and CIFAR-100 through torchvision, which downloads them and checks their MD5 sums."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from regrow.data.datasets import Facts, download_folder
from regrow.data.settings import DataSettings
from regrow.data.source import Images, Source, in_chunks
from regrow.errors import DataError


def cifar10(settings: DataSettings, _known: Facts) -> Source:
    """50,000 + 10,000 colour images, 32x32, ten classes."""
    from torchvision.datasets import CIFAR10

    return read(CIFAR10, download_folder(settings))


def cifar100(settings: DataSettings, _known: Facts) -> Source:
    """50,000 + 10,000 colour images, 32x32, a hundred classes."""
    from torchvision.datasets import CIFAR100

    return read(CIFAR100, download_folder(settings))


def read(dataset: type[Any], root: Path) -> Source:
    """Both parts of a torchvision CIFAR class, downloaded where `root` does not hold them.

    Raises `DataError` where they are neither there nor to be had.
    """
    return Source(train=_part(dataset, root, train=True), test=_part(dataset, root, train=False))


def _part(dataset: type[Any], root: Path, *, train: bool) -> Images:
    try:
        part = _open(dataset, root, train=train)
    except (OSError, RuntimeError) as error:  # URLError is an OSError; a bad checksum is a RuntimeError
        raise DataError(
            f"{dataset.__name__} is not in {root}, and could not be downloaded from {dataset.url} ({error}). "
            f"Connect this machine, or put {dataset.filename} into a folder and name it with data.root."
        ) from error
    return Images(np.asarray(part.targets, dtype=np.int64), in_chunks(part.data))


def _open(dataset: type[Any], root: Path, *, train: bool) -> Any:
    try:
        return dataset(root=root, train=train, download=False)
    except RuntimeError:
        return dataset(root=root, train=train, download=True)
