"""Profiles: smaller (or other) ways to ask a study's question, written in its file. Imports no torch.

    [profile.quick]                    # regrow run table1 --profile quick
    seeds = 3
    [profile.quick.train]
    epochs = 4

A profile's values go over the study's: a table goes into the table of its name, key by key, and into every table of an array; a
list, an array of tables or a plain value replaces what was there. The study's name and title then say which profile it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from regrow.config.faults import fault
from regrow.config.words import show
from regrow.errors import Fault, did_you_mean

PROFILE: Final = "profile"
"""The table that holds a study's profiles."""


def apply_profile(tables: dict[str, Any], name: str | None, study: str) -> list[Fault]:
    """Take the profiles out of a study file's tables and put the one called `name` over the rest; its faults.

    `study` is the study's name where the file gives none. None for the study as it stands.
    """
    profiles = tables.pop(PROFILE, {})
    if not isinstance(profiles, dict) or not all(isinstance(one, dict) for one in profiles.values()):
        hint = "Write [profile.quick] and below it the keys that change."
        return [fault(PROFILE, f"must hold tables; found {show(profiles)}", hint)]
    if name is None:
        return []
    if name not in profiles:
        hint = did_you_mean(name, profiles) if profiles else "This study has none."
        return [Fault(where="--profile", key="", rule=f"{study} has no profile {show(name)}", hint=hint)]
    chosen = profiles[name]
    tables.setdefault("name", f"{study}-{name}")
    if "title" not in chosen and isinstance(tables.get("title"), str):
        tables["title"] = f"{tables['title']} [{name} profile]"
    _merge(tables, chosen)
    return []


def _merge(tables: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        below = tables.get(key)
        if isinstance(value, Mapping) and isinstance(below, dict):
            _merge(below, value)
        elif isinstance(value, Mapping) and isinstance(below, list) and all(isinstance(one, dict) for one in below):
            for one in below:
                _merge(one, value)
        else:
            tables[key] = value
