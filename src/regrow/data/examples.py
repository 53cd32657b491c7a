"""Examples: a prepared data set, opened. Pixels are mapped from the file, so all processes of a machine share one copy of them.

Shape suffixes:  N = examples,  H = height,  W = width,  C = channels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np
import torch
from torch import Tensor

from regrow.errors import DataError

Device: TypeAlias = str | torch.device


@dataclass(frozen=True, slots=True)
class Examples:
    """Labelled images in memory, on one device."""

    images: Tensor
    """uint8, NCHW; its memory is NHWC where it comes from a prepared file."""

    labels: Tensor
    """int64, N."""

    mean: tuple[float, ...]
    """Per channel, of pixel values scaled to 0..1; subtracted before training."""

    std: tuple[float, ...]
    """Per channel, of pixel values scaled to 0..1; divided by before training."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        _, channels, height, width = self.images.shape
        return channels, height, width


class Paths(Sequence[str]):
    """Many paths in one block of bytes: a million strings would cost a hundred megabytes in every process."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._ends = np.flatnonzero(np.frombuffer(content, np.uint8) == 0)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        start = self._ends[index - 1] + 1 if index else 0
        return self._content[start : self._ends[index]].decode()


@dataclass(frozen=True, slots=True)
class FolderExamples:
    """Labelled image files, decoded when they are needed."""

    root: Path
    """Folder that the paths start from."""

    paths: Sequence[str]
    """One per example."""

    labels: Tensor
    """int64, N, on the CPU."""

    shape: tuple[int, int, int]
    """Channels, height, width of what the network sees."""

    mean: tuple[float, ...]
    """Per channel, of pixel values scaled to 0..1."""

    std: tuple[float, ...]
    """Per channel, of pixel values scaled to 0..1."""

    device: torch.device
    """Where batches are wanted."""

    def __len__(self) -> int:
        return len(self.labels)


AnyExamples: TypeAlias = Examples | FolderExamples


def open_training(folder: Path, device: Device = "cpu") -> tuple[AnyExamples, AnyExamples]:
    """Training and validation examples of a prepared folder, on `device`.

    On the CPU nothing is read yet: pages come in as they are used, and are shared. Raises `DataError` for a damaged folder.
    """
    return open_part(folder, "train", device), open_part(folder, "validation", device)


def open_part(folder: Path, part: str, device: Device) -> AnyExamples:
    """One part of a prepared folder. For the test set, see `test_set.py`."""
    meta = read_meta(folder)
    labels = _mapped(folder / f"{part}.labels", "<i8", (meta[part],))
    mean, std, shape = tuple(meta["mean"]), tuple(meta["std"]), tuple(meta["shape"])
    if meta["format"] == "files":
        paths = _paths(folder / f"{part}.paths", meta[part])
        return FolderExamples(Path(meta["root"]), paths, labels, shape, mean, std, torch.device(device))
    channels, height, width = shape
    pixels = _mapped(folder / f"{part}.u8", "u1", (meta[part], height, width, channels))
    return Examples(pixels.to(device).permute(0, 3, 1, 2), labels.to(device), mean, std)


def read_meta(folder: Path) -> dict[str, Any]:
    """What `prepare` wrote down; raises `DataError` where it has not been there."""
    try:
        return dict(json.loads((folder / "meta.json").read_text()))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} holds no prepared data ({error}). Prepare it again.") from error


def _mapped(path: Path, kind: str, shape: tuple[int, ...]) -> Tensor:
    expected = int(np.dtype(kind).itemsize * np.prod(shape))
    found = path.stat().st_size if path.exists() else 0
    if found != expected:
        raise DataError(f"{path} has {found} bytes; {expected} are expected. Prepare the data again.")
    # Copy-on-write: torch wants memory that it may write to, and a stray write must not reach the file.
    return torch.from_numpy(np.memmap(path, kind, mode="c", shape=shape))


def _paths(path: Path, count: int) -> Paths:
    paths = Paths(path.read_bytes() if path.exists() else b"")
    if len(paths) != count:
        raise DataError(f"{path} names {len(paths)} files; {count} are expected. Prepare the data again.")
    return paths
