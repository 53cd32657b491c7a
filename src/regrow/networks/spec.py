"""The specification of a network: a value from which it can be built, priced and hashed. Imports no torch.

{"name": "vgg16", "width": 1.0, "widths": [64, 64, ...], "classes": 10, "shape": [3, 32, 32]}
{"name": "timm:vit_small_patch16_224", ..., "options": {"patch_size": 4}, "origin": "timm 1.0.31"}
"""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from regrow.errors import ConfigError, Fault
from regrow.files import canonical_json
from regrow.networks.removed import ModuleName, in_order

Width = Annotated[int, Field(ge=1, le=1_000_000)]
ValueT = TypeVar("ValueT")
Side = Annotated[int, Field(ge=1, le=16_384)]


def _as_text(options: object) -> object:
    """A table of options as its canonical text."""
    if not isinstance(options, dict):
        raise ValueError("must be a table")
    return canonical_json(options)


Options = Annotated[str, BeforeValidator(_as_text), Field(max_length=100_000)]


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkSpec:
    """A network of the zoo or from elsewhere, at given widths, for given examples. Says nothing about weights."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    name: Annotated[str, Field(min_length=1, max_length=200)]
    """A row of `regrow.networks.zoo.NETWORKS`, or the name of a network from elsewhere (see `regrow.networks.sources`)."""

    width: Annotated[float, Field(gt=0, le=16)]
    """Multiplier of all channel numbers of the dense network, those that cannot be pruned included."""

    widths: tuple[Width, ...]
    """Channels of every prunable group, in forward order. The dense network's are `NETWORKS[name].groups(width)`, or those that
    were traced; empty while a network from elsewhere was not traced yet."""

    classes: Width
    """Outputs of the last layer."""

    shape: tuple[Side, Side, Side]
    """One example: channels, height, width."""

    options: Options = "{}"
    """Canonical JSON of what the code of a network from elsewhere is told besides classes and shape; in JSON a table."""

    origin: Annotated[str, Field(max_length=200)] = ""
    """Which code a network from elsewhere is: `timm 1.0.31`, or the sha256 of the file; so it is part of every stage's identity."""

    removed: tuple[ModuleName, ...] = ()
    """Residual blocks that are gone, an identity in their place. `widths` still counts their groups, at the dense network's width."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "removed", in_order(self.removed))

    @property
    def arguments(self) -> dict[str, Any]:
        """The options, read."""
        read: dict[str, Any] = json.loads(self.options)
        return read

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types; `from_json` gives an equal value back. What says nothing (no options, no removed blocks) is left out."""
        lists = {name: list(getattr(self, name)) for name in ("widths", "shape", "removed")}
        value = {**asdict(self), **lists, "options": self.arguments}
        return {key: found for key, found in value.items() if key not in ("options", "origin", "removed") or found}

    @classmethod
    def from_json(cls, value: object, where: str = "network") -> NetworkSpec:
        """From untrusted JSON; raises `ConfigError` with a fault per mistake, each naming `where`.

        Checks every field by itself; that the widths fit the network is checked by `regrow.networks.zoo.check`.
        """
        return validated(_adapter(), value, where)


@functools.cache
def _adapter() -> TypeAdapter[NetworkSpec]:
    return TypeAdapter(NetworkSpec)


def validated(adapter: TypeAdapter[ValueT], value: object, where: str) -> ValueT:
    """`value`, which came from a file, as the adapter's type; raises `ConfigError` with all faults, located in `where`."""
    try:
        return adapter.validate_json(canonical_json(value))
    except ValidationError as error:
        raise ConfigError(faults=[_fault(detail, where) for detail in error.errors(include_url=False)]) from None
    except (TypeError, ValueError) as error:
        raise ConfigError(faults=[Fault(where=where, key="", rule=f"is not plain JSON: {error}")]) from None


def _fault(detail: Any, where: str) -> Fault:
    found = repr(detail["input"])
    shown = found if len(found) <= 60 else f"{found[:57]}..."
    return Fault(where=where, key=".".join(str(part) for part in detail["loc"]), rule=f"{detail['msg']}; found {shown}")
