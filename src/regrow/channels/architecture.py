"""An architecture: what is left of a dense network, as a value. Plain JSON, no weights, no code; imports no torch.

For every channel group it holds which indices of the *original* network live on, so the same architecture can be carved from the
dense network, drawn afresh at its widths, or compared with another one. The file looks like this:

    {"format": "regrow-architecture-1", "regrow": "0.1.0", "fingerprint": "<sha256 of the dense weights>",
     "dense": {"name": "vgg16", "width": 1.0, "widths": [64, ...], "classes": 10, "shape": [3, 32, 32]},
     "kept": [{"group": "features.conv1", "channels": 64, "indices": [0, 3, ...]}, ...]}

Whatever a file from a stranger says, reading it runs no code, and a value that exists has passed every check here.
"""

from __future__ import annotations

import functools
import importlib.metadata
import itertools
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn

from pydantic import ConfigDict, Field, TypeAdapter

from regrow.errors import ConfigError, Fault, UnknownNameError
from regrow.files import pretty_json, write_atomic
from regrow.networks.spec import NetworkSpec, Width, validated
from regrow.networks.zoo import NETWORKS, check

_Format = Literal["regrow-architecture-1"]
_FORMAT: Final[_Format] = "regrow-architecture-1"
_LARGEST_FILE: Final = 64 * 2**20
_CONFIG: Final = ConfigDict(extra="forbid", strict=True)

Name = Annotated[str, Field(min_length=1, max_length=1000)]


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptChannels:
    """What is left of one group."""

    __pydantic_config__ = _CONFIG

    group: Name
    """Name of the group in the dense network."""

    channels: Width
    """How many channels the group had there."""

    indices: tuple[Annotated[int, Field(ge=0)], ...]
    """Which of them are kept: at least one, increasing, from 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """What is left of a dense network. Raises `ConfigError`, with every fault, where its parts do not fit each other."""

    __pydantic_config__ = _CONFIG

    dense: NetworkSpec
    """The dense network."""

    kept: tuple[KeptChannels, ...]
    """One entry per prunable group, in forward order."""

    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """`regrow.channels.fingerprint.fingerprint` of the dense network that was pruned."""

    regrow: Name
    """Version of regrow that made it."""

    def __post_init__(self) -> None:
        faults = _dense_faults(self.dense) or _kept_faults(self.dense, self.kept)
        if faults:
            raise ConfigError(faults=faults)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels left in every group, in forward order."""
        return tuple(len(entry.indices) for entry in self.kept)

    @property
    def indices(self) -> dict[str, tuple[int, ...]]:
        """Kept indices by name of the group."""
        return {entry.group: entry.indices for entry in self.kept}

    def pruned_spec(self) -> NetworkSpec:
        """The small network: it can be built, priced and trained from scratch without the dense one."""
        return replace(self.dense, widths=self.widths)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types; `from_json` gives an equal value back."""
        kept = [{**asdict(entry), "indices": list(entry.indices)} for entry in self.kept]
        return {
            "format": _FORMAT,
            "regrow": self.regrow,
            "fingerprint": self.fingerprint,
            "dense": self.dense.to_json(),
            "kept": kept,
        }

    @classmethod
    def from_json(cls, value: object, where: str = "architecture") -> Architecture:
        """From untrusted JSON; raises `ConfigError` with a fault per mistake, each naming `where`."""
        file: _File = validated(_adapter(), value, where)
        try:
            return cls(dense=file.dense, kept=file.kept, fingerprint=file.fingerprint, regrow=file.regrow)
        except ConfigError as error:
            raise ConfigError(faults=[replace(fault, where=where) for fault in error.faults]) from None


def write_architecture(path: Path, architecture: Architecture) -> None:
    """Write an architecture file, seen whole or not at all."""
    write_atomic(path, pretty_json(architecture.to_json()))


def read_architecture(path: Path) -> Architecture:
    """Read an architecture file; raises `ConfigError` with every fault when it is missing, too large or not one."""
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ConfigError(
                faults=[Fault(where=str(path), key="", rule="is larger than 64 MiB; architectures are not")]
            )
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        raise ConfigError(faults=[Fault(where=str(path), key="", rule=f"cannot be read: {error.strerror}")]) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(faults=[Fault(where=str(path), key="", rule=f"is not JSON: {error}")]) from None
    return Architecture.from_json(value, where=str(path))


def regrow_version() -> str:
    """The installed version of regrow; `unknown` when it runs from a folder that was never installed."""
    try:
        return importlib.metadata.version("regrow")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    """The file's own shape: an architecture and the name of its format."""

    __pydantic_config__ = _CONFIG

    format: _Format
    regrow: Name
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    dense: NetworkSpec
    kept: tuple[KeptChannels, ...]


@functools.cache
def _adapter() -> TypeAdapter[_File]:
    return TypeAdapter(_File)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _dense_faults(dense: NetworkSpec) -> list[Fault]:
    try:
        check(dense)
    except UnknownNameError as error:
        return [_fault("dense.name", str(error))]
    except ConfigError as error:
        return [_fault(f"dense.{fault.key}", fault.rule) for fault in error.faults]
    return []


def _kept_faults(dense: NetworkSpec, kept: tuple[KeptChannels, ...]) -> list[Fault]:
    groups = NETWORKS[dense.name].groups(dense.width)
    if len(kept) != len(groups):
        rule = f"{dense.name} has {len(groups)} prunable groups and needs one entry for each; found {len(kept)}"
        return [Fault(where="architecture", key="kept", rule=rule)]
    faults = []
    for index, (entry, group, channels) in enumerate(zip(kept, groups, dense.widths, strict=True)):
        key = f"kept.{index}"
        if entry.group != group.name:
            faults.append(_fault(f"{key}.group", f"the group at this place is {group.name}; found {entry.group}"))
        if entry.channels != channels:
            faults.append(_fault(f"{key}.channels", f"{group.name} had {channels} channels; found {entry.channels}"))
        faults.extend(_index_faults(key, entry))
    return faults


def _index_faults(key: str, entry: KeptChannels) -> list[Fault]:
    indices = entry.indices
    if not indices:
        return [_fault(f"{key}.indices", f"{entry.group} must keep at least one channel; found none")]
    if any(later <= earlier for earlier, later in itertools.pairwise(indices)):
        return [_fault(f"{key}.indices", f"the kept indices of {entry.group} must increase")]
    if indices[0] < 0 or indices[-1] >= entry.channels:
        outside = indices[0] if indices[0] < 0 else indices[-1]
        return [_fault(f"{key}.indices", f"{entry.group} has the channels 0 to {entry.channels - 1}; found {outside}")]
    return []


def _fault(key: str, rule: str) -> Fault:
    return Fault(where="architecture", key=key, rule=rule)
