"""The specification of a network: a value from which it can be built, priced and hashed. Imports no torch."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from regrow.errors import ConfigError, Fault
from regrow.files import canonical_json

Width = Annotated[int, Field(ge=1, le=1_000_000)]
ValueT = TypeVar("ValueT")
Side = Annotated[int, Field(ge=1, le=16_384)]


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkSpec:
    """A network of a table's row, at given widths, for given examples. Says nothing about weights."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    name: Annotated[str, Field(min_length=1, max_length=200)]
    """A row of `regrow.networks.zoo.NETWORKS`."""

    width: Annotated[float, Field(gt=0, le=16)]
    """Multiplier of all channel numbers of the dense network, those that cannot be pruned included."""

    widths: tuple[Width, ...]
    """Channels of every prunable group, in forward order. The dense network's are `NETWORKS[name].groups(width)`."""

    classes: Width
    """Outputs of the last layer."""

    shape: tuple[Side, Side, Side]
    """One example: channels, height, width."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types; `from_json` gives an equal value back."""
        return {**asdict(self), "widths": list(self.widths), "shape": list(self.shape)}

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
