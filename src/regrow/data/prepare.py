"""Prepare: a data set is opened, checked, split and decoded once, into files that every process maps into its memory.

    meta.json                        what there is: counts, shape, mean and std, hashes of the split and of the content
    {train,validation,test}.labels   int64, little-endian
    {train,validation,test}.u8       pixels, uint8 NHWC, in the order of the source
    {train,validation,test}.paths    instead of pixels for `folder`: paths, each ended by a zero byte

The same settings and the same source give the same bytes. Images are written as they are decoded, so memory stays bounded
and a full disk is an error that can be reported (writing through a memory map would kill the process).

Shape suffixes:  N = examples,  H = height,  W = width,  C = channels.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from regrow.data.checks import check
from regrow.data.datasets import DATASETS, Dataset, Facts, facts, held_out, root_problem
from regrow.data.settings import DataSettings
from regrow.data.source import Files, Images, Pixels, Source
from regrow.data.split import Split, draw, split
from regrow.errors import DataError
from regrow.files import pretty_json, write_atomic
from regrow.table import load

PARTS: Final = ("train", "validation", "test")
KINDS: Final = ("labels", "u8", "paths")
_UNUSED: Final = -1

# ImageNet's customary constants, and their luma for grey images: image folders are too large to be measured first.
_FOLDER_CONSTANTS: Final = {3: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), 1: ((0.449,), (0.226,))}


def prepare(settings: DataSettings, folder: Path) -> dict[str, Any]:
    """Write the data set into `folder`, which exists; returns what stands in `meta.json`, which is written last.

    What an interrupted attempt has left in the folder is written anew.

    Raises `ConfigError` for faulty settings, and `DataError` where the source is missing, damaged, or not what was declared.
    """
    known, row = facts(settings), DATASETS[settings.name]
    if problem := root_problem(settings):
        raise DataError(problem)
    source: Source = load(row.target)(settings, known)
    check(source, settings, known)
    _clear(folder)
    parts = split(
        source.train.labels,
        validation=known.validation,
        test=known.test if source.test is None else None,
        seed=settings.split_seed,
    )
    if settings.share is not None:
        parts = replace(parts, train=_share(source, parts, settings))
    meta = _meta(settings, known, parts)
    for examples, part_N in _passes(source, parts):
        meta |= _count_and_label(examples, part_N, folder)
    if isinstance(source.train, Files):
        meta |= {"format": "files", "root": str(source.train.root)} | _write_files(source, parts, known, folder)
    else:
        meta |= {"format": "pixels"} | _write_images(source, parts, known, row, folder)
    if settings.share is not None:
        meta |= {"distinct": meta["train"], "train": known.train}
        _repeat(folder, meta["distinct"], known.train)
    write_atomic(folder / "meta.json", pretty_json(meta))
    return meta


def _clear(folder: Path) -> None:
    """Files are appended to, so nothing may be left of an attempt that was interrupted."""
    for name in ["meta.json", *(f"{part}.{kind}" for part in PARTS for kind in KINDS)]:
        (folder / name).unlink(missing_ok=True)


def _meta(settings: DataSettings, known: Facts, parts: Split) -> dict[str, Any]:
    return {
        "name": settings.name,
        "label": known.label,
        "classes": known.classes,
        "shape": list(known.shape),
        "augment": known.augment,
        "split_digest": parts.digest(),
    }


def _passes(source: Source, parts: Split) -> Iterator[tuple[Images | Files, NDArray[np.int8]]]:
    """What is read, and for each of its examples the number of its part."""
    part_N = np.full(len(source.train.labels), _UNUSED, np.int8)
    part_N[parts.train] = PARTS.index("train")
    part_N[parts.validation] = PARTS.index("validation")
    if parts.test is not None:
        part_N[parts.test] = PARTS.index("test")
    yield source.train, part_N
    if source.test is not None:
        yield source.test, np.full(len(source.test.labels), PARTS.index("test"), np.int8)


def _count_and_label(examples: Images | Files, part_N: NDArray[np.int8], folder: Path) -> dict[str, int]:
    counts = {}
    for number, part in enumerate(PARTS):
        labels = examples.labels[part_N == number]
        if len(labels):
            counts[part] = len(labels)
            _append(folder / f"{part}.labels", labels.astype("<i8").tobytes())
    return counts


def _share(source: Source, parts: Split, settings: DataSettings) -> NDArray[np.int64]:
    """The training examples that are used, from every class in proportion, the first ones of an order that the split's seed fixes."""
    count = held_out(settings.share or 1, len(parts.train))
    return draw(source.train.labels, parts.train, count, settings.split_seed, "share")


def _repeat(folder: Path, distinct: int, wanted: int) -> None:
    """Training files hold their examples again and again, in order, until there are as many as without a share."""
    whole, rest = divmod(wanted, distinct)
    for kind in KINDS:
        path = folder / f"train.{kind}"
        if path.exists():
            content = path.read_bytes()
            ends = [place + 1 for place, byte in enumerate(content) if byte == 0] if kind == "paths" else []
            size = (ends[rest - 1] if rest else 0) if kind == "paths" else len(content) // distinct * rest
            for _ in range(whole - 1):
                _append(path, content)
            _append(path, content[:size])


def _append(path: Path, content: bytes) -> None:
    try:
        with path.open("ab") as file:
            file.write(content)
    except OSError as error:
        raise DataError(
            f"cannot write {path}: {error.strerror}. Make room, or choose another folder with --out."
        ) from error


# ---- pixels


def _write_images(source: Source, parts: Split, known: Facts, row: Dataset, folder: Path) -> dict[str, Any]:
    content = hashlib.sha256()
    counts_CV = np.zeros((known.shape[0], 256), np.int64)
    for images, part_N in _passes(source, parts):
        content.update(images.labels.astype("<i8").tobytes())
        for pixels, part_B in _decoded(images, part_N, known):
            content.update(pixels.tobytes())
            for number, part in enumerate(PARTS):
                _append(folder / f"{part}.u8", pixels[part_B == number].tobytes())
            counts_CV += _histogram(pixels[part_B == 0])
    mean, std = (row.mean, row.std) if row.mean and row.std else _moments(counts_CV, known.label)
    return {"mean": list(mean), "std": list(std), "source_digest": content.hexdigest()}


def _decoded(
    images: Images | Files, part_N: NDArray[np.int8], known: Facts
) -> Iterator[tuple[Pixels, NDArray[np.int8]]]:
    """Chunks of pixels NHWC, each with the part numbers of its images."""
    assert isinstance(images, Images)
    channels, height, width = known.shape
    start = 0
    for pixels in images.chunks():
        assert pixels.shape[1:] == (height, width, channels), pixels.shape
        yield pixels, part_N[start : start + len(pixels)]
        start += len(pixels)
    assert start == len(part_N), (start, len(part_N))


def _histogram(pixels: Pixels) -> NDArray[np.int64]:
    """How often each value occurs, per channel: C x 256."""
    return np.stack([np.bincount(pixels[..., channel].ravel(), minlength=256) for channel in range(pixels.shape[-1])])


def _moments(counts_CV: NDArray[np.int64], label: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, in units of 0..1, from how often each value V occurs.

    var = (n * sum v^2 - (sum v)^2) / n^2,  in whole numbers, so that no order of additions matters
    """
    means, stds = [], []
    for channel, counts in enumerate(counts_CV.tolist()):
        n, total = sum(counts), sum(v * count for v, count in enumerate(counts))
        spread = n * sum(v * v * count for v, count in enumerate(counts)) - total * total
        if not spread:
            raise DataError(
                f"{label}: all training pixels of channel {channel} are equal; there is nothing to learn. See data.root."
            )
        means.append(total / n / 255)
        stds.append(math.sqrt(spread) / n / 255)
    return tuple(means), tuple(stds)


# ---- files


def _write_files(source: Source, parts: Split, known: Facts, folder: Path) -> dict[str, Any]:
    content = hashlib.sha256()
    for files, part_N in _passes(source, parts):
        assert isinstance(files, Files)
        content.update(files.labels.astype("<i8").tobytes())
        for path in files.paths:
            content.update(f"{path}\0{(files.root / path).stat().st_size}\0".encode())
        for number, part in enumerate(PARTS):
            chosen = np.flatnonzero(part_N == number).tolist()
            _append(folder / f"{part}.paths", b"".join(files.paths[i].encode() + b"\0" for i in chosen))
    mean, std = _FOLDER_CONSTANTS[known.shape[0]]
    return {"mean": list(mean), "std": list(std), "source_digest": content.hexdigest()}
