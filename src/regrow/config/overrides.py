"""Overrides: `--set a.b=value` on the command line, `set=["a.b=value"]` from Python.

The value is TOML and is checked as the file is. A bare word that is no TOML value is taken as text, because shells eat quotes.
"""

from __future__ import annotations

import contextlib
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeGuard

from regrow.config.keys import dotted
from regrow.config.words import show
from regrow.errors import Fault
from regrow.networks.sources import is_program

PATHS: Final = frozenset({"data.root", "dense.checkpoint", "prune.guide"})
"""Keys that hold a path. One given in an override is meant from the current folder, one in a file from the file's folder."""

NETWORK: Final = "network.name"
"""A path too where it names a saved program."""

WHERE: Final = "--set"
QUOTE: Final = """Quote the whole for the shell: --set 'arms=["retrain", "scratch-b"]'"""


@dataclass(frozen=True, slots=True)
class Override:
    """One key and the value that replaces what the file says."""

    path: tuple[str, ...]
    value: Any

    @property
    def key(self) -> str:
        """The dotted key."""
        return dotted(*self.path)


def parse(texts: Iterable[str]) -> tuple[list[Override], list[Fault]]:
    """Every override that can be read, and a fault for every other."""
    found = [_parse_one(text) for text in texts]
    return [one for one in found if isinstance(one, Override)], [one for one in found if isinstance(one, Fault)]


def _parse_one(text: str) -> Override | Fault:
    key, equals, value = (part.strip() for part in text.partition("="))
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path):
        return Fault(
            where=WHERE,
            key="",
            rule=f"must be KEY=VALUE; found {show(text)}",
            hint="For instance --set prune.fraction=0.3",
        )
    try:
        found = _value(value)
    except (tomllib.TOMLDecodeError, RecursionError):
        rule = f"is no TOML value; found {show(value)}"
        return Fault(where=WHERE, key=dotted(*path), rule=rule, hint=QUOTE)
    return Override(path, absolute(found, Path.cwd()) if is_path(dotted(*path), found) else found)


def is_path(key: str, value: object) -> TypeGuard[str]:
    """Whether the value of a key is a path.

    >>> is_path("data.root", "images"), is_path("network.name", "net.pt2"), is_path("network.name", "vgg11")
    (True, True, False)
    """
    return isinstance(value, str) and (key in PATHS or (key == NETWORK and is_program(value)))


def _value(text: str) -> Any:
    """A TOML value, or the text itself where it is a bare word. Raises TOMLDecodeError for anything else."""
    try:
        tables = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        if re.fullmatch(r"[^\[\]{}\"'=,#\s][^\[\]{}\"'=,#\n]*", text):
            return text
        raise
    if set(tables) != {"value"}:
        raise tomllib.TOMLDecodeError("more than one value")
    return tables["value"]


def absolute(path: str, folder: Path) -> str:
    """A path, relative to a folder or to somebody's home (`~`), in full. What cannot be a path stays as it is."""
    with contextlib.suppress(ValueError, RuntimeError, OSError):
        return str((folder / Path(path).expanduser()).resolve())
    return path


def apply(tables: dict[str, Any], overrides: Iterable[Override]) -> list[Fault]:
    """Write the overrides into a study file's tables, in order; a fault for every one that has no place."""
    faults = []
    for override in overrides:
        holder = _holder(tables, override.path[:-1])
        if isinstance(holder, str):
            faults.append(Fault(where=WHERE, key=override.key, rule=holder, hint="Change the study file instead."))
        else:
            holder[override.path[-1]] = override.value
    return faults


def _holder(tables: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any] | str:
    """The table at a path, made where it is missing; a rule, as text, where there is no one table."""
    holder: Any = tables
    for step in path:
        holder = holder.setdefault(step, {})
        if isinstance(holder, list) and len(holder) > 1:
            return f"names one table; the study has {len(holder)} [[{dotted(step)}]] tables"
        if isinstance(holder, list) and holder:
            holder = holder[0]
        if not isinstance(holder, dict):
            return f"{dotted(step)} is no table; found {show(holder)}"
    found: dict[str, Any] = holder
    return found
