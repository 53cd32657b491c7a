"""Image folders, laid out as ImageNet: root/train/<class>/*.jpg and root/val/<class>/*.jpg. Listed here, never decoded at once."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from regrow.data.datasets import Facts
from regrow.data.settings import DataSettings
from regrow.data.source import TEST_NAMES, Files, Source
from regrow.errors import DataError, did_you_mean

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff"})
"""Files with other endings are passed over."""


def imagenet(settings: DataSettings, _known: Facts) -> Source:
    """The files of `data.root`, as `folder` reads them; the test set is val, whose labels are public.

    A folder called test, which ImageNet has without labels, is not looked at. Raises what `folder` raises; that the numbers are
    ImageNet's is checked by `prepare`.
    """
    assert settings.root is not None  # `prepare` has looked
    root = settings.root.resolve()
    classes = _class_folders(root / "train")
    return Source(train=_files(root, "train", classes), test=_files(root, "val", classes))


def folder(settings: DataSettings, _known: Facts) -> Source:
    """The files of `data.root`; class numbers follow the names of the class folders in `train`, sorted.

    The test set is the folder test or, without one, val. Raises `DataError` for folders that are missing or empty.
    """
    assert settings.root is not None  # `prepare` has looked
    root = settings.root.resolve()
    classes = _class_folders(root / "train")
    test = next((name for name in TEST_NAMES if (root / name).is_dir()), None)
    return Source(
        train=_files(root, "train", classes),
        test=None if test is None else _files(root, test, classes),
    )


def _class_folders(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; images are expected in {folder}/<class>/. See data.root.")
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    if not names:
        raise DataError(f"{folder} holds no class folders; images are expected in {folder}/<class>/. See data.root.")
    return names


def _files(root: Path, part: str, classes: list[str]) -> Files:
    labels: list[int] = []
    paths: list[str] = []
    for name in _class_folders(root / part):
        if name not in classes:
            raise DataError(f"{root / part} has a class that train has not: {name!r}. {did_you_mean(name, classes)}")
        found = _images(root, root / part / name)
        labels += [classes.index(name)] * len(found)
        paths += found
    return Files(np.asarray(labels, dtype=np.int64), root, tuple(paths))


def _images(root: Path, folder: Path) -> list[str]:
    files = (file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    found = sorted(file.relative_to(root).as_posix() for file in files)
    if not found:
        raise DataError(f"{folder} holds no images ({', '.join(sorted(SUFFIXES))}). Fill it, or remove it.")
    return found
