"""Fields: one part of a study file checked against its type, with faults in plain words.

A part is one key at the top of the file: a value, a table, or an array of tables. pydantic checks it, strictly (a number in
quotes is no number); here its errors, several for one mistake and in Python's words, become one fault for each key.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final, get_args

from pydantic import BaseModel, BeforeValidator, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from regrow.config.faults import MISSING, fault
from regrow.config.keys import dotted, meant
from regrow.config.study import FIRST_TUNING_SEED, Study
from regrow.config.words import alternatives, constraints, describe, is_list, show, suggest
from regrow.errors import Fault

Path = tuple[str | int, ...]

SPECIAL: Final = {
    "seeds": f"how many seeds (1 to {FIRST_TUNING_SEED}), or a list of different whole numbers from 0 to {FIRST_TUNING_SEED - 1}",
    "name": "at most 80 letters, digits, dots, dashes and underscores, the first one a letter or digit",
    "data": "a table, [data], or several, each [[data]]",
    "network": "a table, [network], or several, each [[network]]",
    "prune": "a table, [prune], or several, each [[prune]]",
    "variant": "a table, [variant], or several, each [[variant]]",
    "between": "a table, [between], or several, each [[between]]",
    "contrast": 'two arms, for instance ["retrain", "scratch-b"]',
}
"""Rules that a type alone does not tell."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part that was read: its value, if it could be made out, its faults, and the keys that are wrong."""

    value: Any
    faults: tuple[Fault, ...] = ()
    wrong: tuple[str, ...] = ()
    usable: bool = True
    """Whether `value` holds what is left after wrong keys were taken out, so that rules can be checked on the rest."""


def read_part(name: str, raw: Any) -> Part:
    """Check one part. Wrong keys are taken out and the rest is read again, so that the other rules still see it."""
    adapter = _adapter(name)
    try:
        return Part(_validate(adapter, raw))
    except ValidationError as error:
        mistakes = list(_mistakes(name, raw, error))
    faults, wrong = tuple(one for _, one in mistakes), tuple(one.key for _, one in mistakes)
    try:
        rest = _validate(adapter, _without(raw, [path for path, _ in mistakes]))
    except ValidationError:
        return Part(None, faults, (*wrong, name), usable=False)
    return Part(rest, faults, wrong)


def missing(name: str) -> Fault:
    """The fault of a part or key that a study must give."""
    return fault(name, "is missing; a study must give it", MISSING.get(name, ""))


def _validate(adapter: TypeAdapter[Any], raw: Any) -> Any:
    """JSON on the way, because pydantic's strict mode then takes arrays for tuples and text for paths, and nothing else."""
    return adapter.validate_json(json.dumps(raw, default=str), strict=True)


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(_type_of(Study.model_fields[name]))


def _type_of(field: FieldInfo) -> Any:
    """A field's type with its bounds, without the conveniences that Python callers get."""
    bounds = [part for part in field.metadata if not isinstance(part, BeforeValidator)]
    return Annotated[field.annotation, *bounds] if bounds else field.annotation


def _mistakes(name: str, raw: Any, error: ValidationError) -> Iterator[tuple[Path, Fault]]:
    """One fault for each key, however many errors pydantic has for it."""
    seen: set[Path] = set()
    for detail in error.errors(include_url=False, include_context=False):
        path, annotation = _locate(_type_of(Study.model_fields[name]), detail["loc"])
        if path not in seen:
            seen.add(path)
            yield path, _fault(_render(name, raw, path), name, annotation, _value_at(raw, path), detail)


def _fault(key: str, name: str, annotation: Any, value: Any, detail: ErrorDetails) -> Fault:
    """The fault that an error of pydantic's stands for, told by what the key accepts and what was found there."""
    kind, last = detail["type"], str((detail["loc"] or ("",))[-1])
    if kind == "extra_forbidden":
        return fault(key, f"there is no such key; found {show(value)}", meant(name, last))
    if kind == "missing" and value is None:
        return fault(key, "is missing; a study must give it", MISSING.get(dotted(name, last), ""))
    if kind == "value_error":
        return fault(key, detail["msg"].removeprefix("Value error, "))
    rule = SPECIAL[name] if key == name and name in SPECIAL else describe(annotation)
    better = "" if key == "seeds" else suggest(value, annotation)  # 0 seeds are not meant to be the seed 0
    hint = f"Did you mean {better}?" if better else MISSING.get(name, "") if "." not in key else ""
    return fault(key, f"must be {rule}; found {show(value)}", hint)


def _locate(annotation: Any, location: Sequence[str | int]) -> tuple[Path, Any]:
    """The path of the key that an error is about, and the type there: the rest of pydantic's location is its own affair."""
    path: list[str | int] = []
    for step in location:
        below = _step(annotation, step)
        if below is None:
            break
        path.append(step)
        annotation = below
    return tuple(path), annotation


def _step(annotation: Any, step: str | int) -> Any | None:
    """The type one step inside another; None where a step leads into a union or a list of fixed length."""
    members = list(alternatives(annotation))
    kind = constraints(members[0])[0]
    if is_list(kind) and len(members) == 1:
        return get_args(kind)[0] if isinstance(step, int) and get_args(kind)[-1] is ... else None
    if len(members) > 1 or not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return None
    return _type_of(kind.model_fields[step]) if step in kind.model_fields else object


def _value_at(raw: Any, path: Path) -> Any:
    for step in path:
        raw = raw.get(step) if isinstance(raw, Mapping) else raw[step]
    return raw


def _render(name: str, raw: Any, path: Path) -> str:
    """The dotted key of a path: tables and items are counted from 1, and tables only where there are several."""
    parts = [name]
    for step in path:
        if isinstance(step, str):
            parts.append(step)
        elif len(raw) > 1 or not isinstance(raw[step], Mapping):
            parts[-1] += f" #{step + 1}"
        raw = raw.get(step) if isinstance(raw, Mapping) else raw[step]
    return dotted(*parts)


def _without(raw: Any, paths: Sequence[Path]) -> Any:
    """A copy without the values at these paths, the last first, so that the numbers of items stay right."""
    rest = json.loads(json.dumps(raw, default=str))
    for path in sorted(paths, reverse=True):
        if not path:
            return None
        holder: Any = _value_at(rest, path[:-1])
        with contextlib.suppress(KeyError):  # a missing key is wrong and cannot be taken out
            del holder[path[-1]]
    return rest
