"""Loading: a study file and overrides into a `Study`, with all faults at once.

    name or path -> source (TOML tables) -> profile -> overrides -> parts (each checked by its type) -> rules -> Study

What can be checked is checked, whatever else is wrong: a fault in one key hides only the rules that read this key.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from regrow.config.faults import fault, overlaps, refuse
from regrow.config.fields import missing, read_part
from regrow.config.keys import dotted, meant
from regrow.config.overrides import NETWORK, PATHS, WHERE, Override, absolute, apply, is_path, parse
from regrow.config.profiles import PROFILE, apply_profile
from regrow.config.rules import broken_rules
from regrow.config.source import Source, read_source
from regrow.config.study import Study, as_list, expand_seeds
from regrow.config.trust import untrusted
from regrow.config.variants import variant_faults
from regrow.config.words import show
from regrow.errors import ConfigError, Fault

ARRAYS: Final = frozenset({"data", "network", "prune", "variant", "between"})
"""Tables that may stand several times; a single one counts as an array of one."""

LONGEST_PATH: Final = 400
"""Characters of a path that a message shows; its end matters."""


def load_study(
    name_or_path: str | Path, overrides: Sequence[str] = (), *, trust: bool = False, profile: str | None = None
) -> Study:
    """The study of a packaged name (`digits`) or of a TOML file, in one of its profiles, with `a.b=value` overrides.

    Relative paths in a file are meant from the file's folder, relative paths in an override from the current one. A study that
    names code of somebody's own, a function or a saved program, needs `trust`; nothing of it runs here.
    Raises `ConfigError`, with every fault that could be found, or `ProtocolError` where all of them are about fairness.
    """
    changes, faults = parse(overrides)
    try:
        source = read_source(name_or_path)
    except ConfigError as error:
        raise ConfigError(faults=[*error.faults, *faults]) from None
    tables = copy.deepcopy(source.tables)
    faults += apply_profile(tables, profile, _name(source))
    _resolve_paths(tables, source.folder)
    faults += apply(tables, changes)
    tables.setdefault("name", _name(source))
    study, found = build(tables, source.folder)
    found += _missing_checkpoint(tables, found)
    found += [] if trust else untrusted(study)
    refuse(faults + _place(found, source.where, changes))
    study = study.from_file(source.file, source.folder)
    return study.trusting() if trust else study


def check_profiles(name_or_path: str | Path, overrides: Sequence[str] = (), *, trust: bool = False) -> None:
    """Load a study in each of its profiles; raises what `load_study` raises for the first one with faults, which then name it."""
    profiles = read_source(name_or_path).tables.get(PROFILE, {})
    for profile in profiles:
        try:
            load_study(name_or_path, overrides, trust=trust, profile=profile)
        except ConfigError as error:
            named = [dataclasses.replace(one, where=f"{one.where} [profile.{profile}]") for one in error.faults]
            raise (ConfigError(faults=named) if named else error) from None


def _missing_checkpoint(tables: Mapping[str, Any], found: Sequence[Fault]) -> list[Fault]:
    """A checkpoint is part of the study, as its text is; data may be fetched later and are not looked at."""
    key, dense = "dense.checkpoint", tables.get("dense")
    path = dense.get("checkpoint") if isinstance(dense, dict) else None
    if not isinstance(path, str) or any(overlaps(key, one.key) for one in found) or _is_file(path):
        return []
    hint = "Give a safetensors file; a relative path is meant from the study file's folder, or with --set from the current one."
    return [fault(key, f"there is no such file; found {show(path, LONGEST_PATH)}", hint)]


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # too long, or no path at all
        return False


def build(tables: Mapping[str, Any], folder: Path | None = None) -> tuple[Study, list[Fault]]:
    """A study of TOML tables in a file of a folder, and its faults; only without faults is the study whole."""
    faults = [
        fault(dotted(key), f"there is no such key; found {show(tables[key])}", meant("", key))
        for key in _unknown(tables)
    ]
    parts: dict[str, Any] = {}
    wrong: list[str] = []
    for name, field in Study.model_fields.items():
        if name in tables:
            part = read_part(name, _tidy(name, tables[name]))
            faults += part.faults
            wrong += part.wrong
            parts |= {name: part.value} if part.usable else {}
        elif field.is_required():
            faults.append(missing(name))
            wrong.append(name)
    study = Study.model_construct(**parts).from_file("", folder)
    recipes = variant_faults(study, tables, wrong)
    wrong += [one.key for one in recipes]
    return study, [*faults, *recipes, *broken_rules(study, wrong)]


def _unknown(tables: Mapping[str, Any]) -> list[str]:
    return [key for key in tables if key not in Study.model_fields]


def _tidy(name: str, value: Any) -> Any:
    """The two shorthands of a file: a number of seeds, and one table where an array of tables may stand."""
    if name == "seeds":
        return expand_seeds(value)
    return as_list(value) if name in ARRAYS else value


def _resolve_paths(tables: Mapping[str, Any], folder: Path) -> None:
    for key in (*PATHS, NETWORK):
        section, _, field = key.partition(".")
        for table in _tables(tables.get(section)):
            if is_path(key, table.get(field)):
                table[field] = absolute(table[field], folder)


def _tables(value: Any) -> Iterable[dict[str, Any]]:
    return [table for table in (value if isinstance(value, list) else [value]) if isinstance(table, dict)]


def _name(source: Source) -> str:
    """A study's name by default: its file's, without what a folder's name should not hold."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", source.file.removesuffix(".toml"))
    return stem.lstrip("._-")[:80] or "study"


def _place(faults: Iterable[Fault], where: str, changes: Collection[Override]) -> list[Fault]:
    """Faults with the place they came from: the option for keys that were overridden, the file for all others."""
    keys = [change.key for change in changes]
    return [
        dataclasses.replace(one, where=WHERE if any(overlaps(key, one.key) for key in keys) else where)
        for one in faults
    ]
