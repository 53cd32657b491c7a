"""The record of a bundle, `bundle.json`: what was saved, value by value, so that nothing else is believed. Imports no torch.

    {"format": "regrow-bundle-1",
     "network": "torchvision.models.resnet:ResNet",
     "weights": {"bytes": 12345, "sha256": "..."}, "architecture": {"bytes": 678, "sha256": "..."},
     "tensors": [{"name": "conv1.weight", "kind": "parameter", "dtype": "float32", "shape": [32, 3, 7, 7], "dense": [64, 3, 7, 7],
                  "trainable": true, "persistent": true, "same_as": null}, ...],
     "modules": [{"name": "conv1", "kind": "Conv2d", "training": false}, ...],
     "versions": {"python": "3.11.9", "regrow": "0.1.0", "torch": "2.15.0"},
     "notes": "..."}

A network has one row for every name under which it registers a tensor: `same_as` says which earlier row holds the same one (tied
weights), and only rows without it are stored. The dense shapes say which network must be built before anything is put into it; the
classes of its modules tell two networks apart whose tensors look alike.
"""

from __future__ import annotations

import functools
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from regrow.errors import StoreError
from regrow.files import file_digest
from regrow.networks.spec import validated

_Format = Literal["regrow-bundle-1"]
FORMAT: Final[_Format] = "regrow-bundle-1"
LARGEST_JSON: Final = 64 * 2**20
"""Bytes: a larger record or architecture is not read."""

RECORD, ARCHITECTURE, WEIGHTS, CARD = "bundle.json", "architecture.json", "model.safetensors", "README.md"
FILES: Final = (ARCHITECTURE, WEIGHTS, CARD, RECORD)
"""The files of a bundle, in the order in which they are written: the record comes last and vouches for the others."""

_CONFIG: Final = ConfigDict(extra="forbid", strict=True)

Name = Annotated[str, Field(max_length=1000)]
Count = Annotated[int, Field(ge=0)]
Shape = tuple[Count, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """A file of the bundle, as it must be found again."""

    __pydantic_config__ = _CONFIG

    bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorRow:
    """One name under which the network registers a parameter or buffer."""

    __pydantic_config__ = _CONFIG

    name: Name
    kind: Literal["parameter", "buffer"]

    dtype: Name
    """As torch calls it, without `torch.`: `bfloat16`."""

    shape: Shape
    dense: Shape
    """Its shape in the dense network."""

    trainable: bool
    """`requires_grad` of a parameter; False for a buffer."""

    persistent: bool
    """Whether `state_dict()` holds it. All are stored, persistent or not."""

    same_as: Name | None = None
    """The earlier row that is the very same tensor."""

    @property
    def numel(self) -> int:
        """Numbers it holds."""
        return math.prod(self.shape)

    @property
    def dense_numel(self) -> int:
        """Numbers it holds in the dense network."""
        return math.prod(self.dense)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleRow:
    """One module of the network."""

    __pydantic_config__ = _CONFIG

    name: Name
    kind: Name
    """Name of its class, without the module that defines it."""

    training: bool
    """Whether it was in train mode."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What a bundle holds."""

    __pydantic_config__ = _CONFIG

    format: _Format
    network: Name
    """Class of the network, `module:name`; to be read, never imported."""

    weights: StoredFile
    architecture: StoredFile
    tensors: tuple[TensorRow, ...]
    modules: tuple[ModuleRow, ...]
    versions: dict[Name, Name]
    """Of Python and of the packages that saved it."""

    notes: Annotated[str, Field(max_length=100_000)]

    @property
    def stored(self) -> tuple[TensorRow, ...]:
        """The rows whose tensors the weights file holds: each tensor once."""
        return tuple(row for row in self.tensors if row.same_as is None)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        value: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return value


@functools.cache
def _adapter() -> TypeAdapter[Record]:
    return TypeAdapter(Record)


def stored_file(path: Path) -> StoredFile:
    """Size and hash of a file that was just written."""
    return StoredFile(bytes=path.stat().st_size, sha256=file_digest(path))


def read_record(folder: Path) -> Record:
    """The record of a bundle, every value checked; raises `ConfigError` or `StoreError` where it is none."""
    path = folder / RECORD
    if not path.is_file():
        raise StoreError(
            f"{folder} holds no {RECORD}: it is not a folder that regrow.save wrote, or its download is not complete. "
            f"A bundle has the files {', '.join(sorted(FILES))}."
        )
    size = path.stat().st_size
    if size > LARGEST_JSON:
        raise StoreError(
            f"{path} has {size} bytes; the record of a bundle has at most {LARGEST_JSON}, so it is not read"
        )
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{path} is not JSON: {error}. Save the network again, or fetch the file again.") from None
    return validated(_adapter(), value, str(path))


def check_file(path: Path, expected: StoredFile) -> None:
    """Refuse a file that is not, byte for byte, the one that was saved: `StoreError`. Its size is looked at first."""
    if not path.is_file():
        raise StoreError(f"{path.parent} lacks {path.name}: fetch it again, or save the network again")
    size = path.stat().st_size
    if size != expected.bytes:
        raise StoreError(
            f"{path} has {size} bytes, {expected.bytes} were saved: it was cut short or replaced. "
            "Fetch it again, or save the network again."
        )
    if (found := file_digest(path)) != expected.sha256:
        raise StoreError(
            f"{path} is not the file that was saved: its SHA-256 is {found[:12]}..., not {expected.sha256[:12]}... "
            "It was damaged or changed. Fetch it again, or save the network again."
        )
