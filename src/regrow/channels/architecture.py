"""An architecture: what is left of a dense network, as a value. Plain JSON, no weights, no code; imports no torch.

For every channel group it holds which indices of the *original* network live on, so the same architecture can be carved from the
dense network, drawn afresh at its widths, or compared with another one. The file looks like this:

    {"format": "regrow-architecture-2", "regrow": "0.1.0", "fingerprint": "<sha256 of the dense weights>",
     "network": "torchvision.models.resnet:ResNet", "dense": null,
     "kept": [{"group": "layer1.0.conv1", "channels": 64, "indices": [0, 3, ...],
               "slices": [{"tensor": "layer1.0.conv1.weight", "axis": 0, "start": 0, "repeat": 1, "tile": 1, "order": null}, ...]}, ...],
     "corrections": [{"module": "layer1.0.conv1", "attribute": "out_channels", "dense": 64, "small": 32}, ...]}

Networks of the zoo declare their groups and build themselves at any widths: `dense` holds their specification, and they need
neither slices nor corrections. For every other network the slices say where each group lives, and the corrections which Python
numbers of which modules follow the new sizes, so the file can be applied without tracing the network again.

Residual blocks that are gone whole stand under `"removed": ["layer1.1", ...]`; the key is there only where there are some, and a version
of regrow that does not know it refuses the file. Groups inside such a block keep all their channels, which vanish with it.

Whatever a file from a stranger says, reading it runs no code, and a value that exists has passed every check here.
"""

from __future__ import annotations

import functools
import importlib.metadata
import itertools
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn

from pydantic import ConfigDict, Field, TypeAdapter

from regrow.errors import ConfigError, Fault, PruningError, UnknownNameError, did_you_mean
from regrow.files import pretty_json, write_atomic
from regrow.networks.groups import Slice
from regrow.networks.removed import ModuleName, in_order, inside, removed_faults
from regrow.networks.spec import NetworkSpec, Width, validated
from regrow.networks.zoo import NETWORKS, check

_Format = Literal["regrow-architecture-2"]
_FORMAT: Final[_Format] = "regrow-architecture-2"
_LARGEST_FILE: Final = 64 * 2**20
_CONFIG: Final = ConfigDict(extra="forbid", strict=True)

Name = Annotated[str, Field(min_length=1, max_length=1000)]
Index = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptChannels:
    """What is left of one group."""

    __pydantic_config__ = _CONFIG

    group: Name
    """Name of the group in the dense network."""

    channels: Width
    """How many channels the group had there."""

    indices: tuple[Index, ...]
    """Which of them are kept: at least one, increasing, from 0."""

    slices: tuple[Slice, ...] = ()
    """Where the group lives; empty where the dense network declares its groups itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Correction:
    """A Python number of a module that follows the new sizes: `head_dim` of `blocks.0.attn` was 64 and is 32."""

    __pydantic_config__ = _CONFIG

    module: str
    """Name of the module; empty for the network itself."""

    attribute: Name
    """Dotted path from the module: `head_dim`, `normalized_shape.0`, `config.hidden_size`."""

    dense: int
    small: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """What is left of a dense network. Raises `ConfigError`, with every fault, where its parts do not fit each other."""

    __pydantic_config__ = _CONFIG

    dense: NetworkSpec | None
    """How to build the dense network, where a study can name it; None for a network that only its owner can build."""

    kept: tuple[KeptChannels, ...]
    """One entry per prunable group, in forward order."""

    corrections: tuple[Correction, ...] = ()
    """Python numbers of modules that follow the new sizes."""

    network: Annotated[str, Field(max_length=1000)] = ""
    """Class of the dense network, `module:name`; to be read, never imported."""

    removed: tuple[str, ...] = ()
    """Residual blocks of the dense network that are gone whole: an identity stands in their place."""

    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """`regrow.channels.fingerprint.fingerprint` of the dense network that was pruned."""

    regrow: Name
    """Version of regrow that made it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "removed", in_order(self.removed))
        faults = _dense_faults(self.dense) if self.dense else []
        faults += [_fault(f"corrections.{index}", rule) for index, rule in _correction_faults(self.corrections)]
        faults = faults or (_zoo_faults(self.dense, self.kept) if self._declares_groups() else _kept_faults(self.kept))
        faults = faults or _removed_faults(self)
        if faults:
            raise ConfigError(faults=faults)

    def _declares_groups(self) -> bool:
        return self.dense is not None and self.dense.name in NETWORKS

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels left in every group, in forward order."""
        return tuple(len(entry.indices) for entry in self.kept)

    @property
    def indices(self) -> dict[str, tuple[int, ...]]:
        """Kept indices by name of the group."""
        return {entry.group: entry.indices for entry in self.kept}

    @property
    def missing(self) -> tuple[str, ...]:
        """All blocks that the small network lacks: those that are removed here, and those that the dense network lacked already."""
        return in_order((*(self.dense.removed if self.dense else ()), *self.removed))

    def vanishes(self, entry: KeptChannels) -> bool:
        """Whether a group of this architecture lies whole in blocks that are missing, so that none of its channels is left."""
        return _lies_in(entry, self.missing)

    def without(self, blocks: Iterable[str]) -> Architecture:
        """The same, with these blocks removed as well; groups that vanish with them keep all their channels."""
        removed = tuple({*self.removed, *blocks})
        kept = tuple(
            replace(entry, indices=tuple(range(entry.channels))) if _lies_in(entry, removed) else entry
            for entry in self.kept
        )
        return replace(self, kept=kept, removed=removed)

    def pruned_spec(self) -> NetworkSpec:
        """The small network: it can be built, priced and trained from scratch without the dense one.

        Raises `PruningError` for the architecture of a network that a study cannot name.
        """
        if self.dense is None:
            raise PruningError(
                f"the dense network ({self.network or 'of unknown class'}) was handed over as an object, so only its owner can "
                "build it: use regrow.regrow(architecture, factory, seed=...) with the function that builds it."
            )
        widths = self.widths
        if (
            self.missing and self._declares_groups()
        ):  # a group that vanished counts as in the zoo, however narrow it was before
            groups = NETWORKS[self.dense.name].groups(self.dense.width)
            widths = tuple(
                group.channels if self.vanishes(entry) else len(entry.indices)
                for entry, group in zip(self.kept, groups, strict=True)
            )
        return replace(self.dense, widths=widths, removed=self.missing)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types; `from_json` gives an equal value back."""
        value = {
            "format": _FORMAT,
            "regrow": self.regrow,
            "fingerprint": self.fingerprint,
            "network": self.network,
            "dense": self.dense.to_json() if self.dense else None,
            "kept": [_kept_json(entry) for entry in self.kept],
            "corrections": [asdict(correction) for correction in self.corrections],
        }
        return value | ({"removed": list(self.removed)} if self.removed else {})

    @classmethod
    def from_json(cls, value: object, where: str = "architecture") -> Architecture:
        """From untrusted JSON; raises `ConfigError` with a fault per mistake, each naming `where`."""
        file: _File = validated(_adapter(), value, where)
        try:
            return cls(
                dense=file.dense,
                kept=file.kept,
                corrections=file.corrections,
                network=file.network,
                removed=file.removed,
                fingerprint=file.fingerprint,
                regrow=file.regrow,
            )
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
    network: Annotated[str, Field(max_length=1000)]
    dense: NetworkSpec | None
    kept: tuple[KeptChannels, ...]
    corrections: tuple[Correction, ...]
    removed: tuple[ModuleName, ...] = ()


@functools.cache
def _adapter() -> TypeAdapter[_File]:
    return TypeAdapter(_File)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _dense_faults(dense: NetworkSpec) -> list[Fault]:
    if ":" in dense.name:  # a network from elsewhere: its groups are traced, so nothing here knows them
        return []
    try:
        check(dense)
    except UnknownNameError as error:
        return [_fault("dense.name", str(error))]
    except ConfigError as error:
        return [_fault(f"dense.{fault.key}", fault.rule) for fault in error.faults]
    return []


def _correction_faults(corrections: tuple[Correction, ...]) -> list[tuple[int, str]]:
    """A correction sets a number that a module holds, and reaches nothing that Python keeps for itself."""
    return [
        (index, f"a path of plain names and numbers is expected; found {one.attribute!r}")
        for index, one in enumerate(corrections)
        if any(not part or part.startswith("__") for part in one.attribute.split("."))
    ]


def _kept_json(entry: KeptChannels) -> dict[str, Any]:
    slices = [{**asdict(part), "order": None if part.order is None else list(part.order)} for part in entry.slices]
    return {**asdict(entry), "indices": list(entry.indices), "slices": slices}


def _kept_faults(kept: tuple[KeptChannels, ...]) -> list[Fault]:
    """Faults of an architecture that carries its own groups."""
    faults = []
    names = [entry.group for entry in kept]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        faults.append(_fault("kept", f"every group has one entry; found several of {', '.join(doubled)}"))
    for index, entry in enumerate(kept):
        faults.extend(_index_faults(f"kept.{index}", entry))
        if not entry.slices:
            faults.append(_fault(f"kept.{index}.slices", f"{entry.group} must say which tensors hold its channels"))
        for place, part in enumerate(entry.slices):
            faults.extend(_slice_faults(f"kept.{index}.slices.{place}", part, entry.channels))
    return faults


def _slice_faults(key: str, part: Slice, channels: int) -> list[Fault]:
    faults = []
    if part.axis < 0 or part.start < 0:
        faults.append(_fault(key, f"axis and start count from 0; found {part.axis} and {part.start}"))
    if part.repeat < 1 or part.tile < 1:
        faults.append(_fault(key, f"repeat and tile are at least 1; found {part.repeat} and {part.tile}"))
    if part.order is not None and any(not 0 <= channel < channels for channel in part.order):
        faults.append(_fault(f"{key}.order", f"the group has the channels 0 to {channels - 1}; found others"))
    return faults


def _zoo_faults(dense: NetworkSpec | None, kept: tuple[KeptChannels, ...]) -> list[Fault]:
    assert dense is not None
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


def _lies_in(entry: KeptChannels, removed: tuple[str, ...]) -> bool:
    """Whether all of a group lies in blocks that are removed; the groups of the zoo are named by a module in their block."""
    return all(inside(name, removed) for name in [part.tensor for part in entry.slices] or [entry.group])


def _removed_faults(architecture: Architecture) -> list[Fault]:
    """A block goes once, and its groups go with it: they keep all their channels, so that no two architectures say the same."""
    before = architecture.dense.removed if architecture.dense else ()
    faults = [_fault(f"removed.{index}", rule) for index, rule in removed_faults(architecture.removed)]
    gone = [name for name in architecture.removed if inside(name, before)]
    faults += [_fault("removed", f"{name} is gone already in the network that was pruned") for name in gone]
    if architecture.dense is not None and architecture.dense.name in NETWORKS:
        known = NETWORKS[architecture.dense.name].removable
        strange = [name for name in architecture.removed if name not in known]
        rule = f"is no block of {architecture.dense.name} that can go whole."
        faults += [_fault("removed", f"{name} {rule} {did_you_mean(name, known)}") for name in strange]
    for index, entry in enumerate(architecture.kept):
        if len(entry.indices) < entry.channels and architecture.vanishes(entry):
            rule = f"{entry.group} goes with its block and keeps all its {entry.channels} channels; found {len(entry.indices)}"
            faults.append(_fault(f"kept.{index}.indices", rule))
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
