"""Numbers of modules that follow the sizes of their tensors: are they those of the small network, or of the dense one?

A path comes from a file, so it may only lead through what an object holds (attributes, entries, items), never through
double-underscore names, and only to an integer that already stands there with the value that the file expects.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from regrow.channels.architecture import Correction
from regrow.errors import ConfigError


def number_at(network: nn.Module, correction: Correction) -> int | None:
    """The integer at the place of a correction; None where there is no integer."""
    try:
        value: Any = network.get_submodule(correction.module)
        for part in correction.attribute.split("."):
            value = _step(value, part)
    except (AttributeError, KeyError, IndexError, ValueError, TypeError):
        return None
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else None


def check_numbers(network: nn.Module, corrections: Iterable[Correction], *, small: bool, way_out: str) -> None:
    """Refuse a network whose numbers are not those of the small (or of the dense) network: `ConfigError`."""
    for correction in corrections:
        expected = correction.small if small else correction.dense
        if (found := number_at(network, correction)) != expected:
            place = f"{correction.module}.{correction.attribute}".lstrip(".")
            raise ConfigError(f"{place} must be {expected} here; found {found}. {way_out}")


def _step(value: Any, part: str) -> Any:
    if part.startswith("__"):
        raise KeyError(part)
    if isinstance(value, dict):
        return value[part] if part in value else value[int(part)]
    if isinstance(value, list | tuple):
        return value[int(part)]
    return getattr(value, part)
