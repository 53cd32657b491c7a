"""Words: what a field accepts, and what was found, in the words of a study file instead of Python's.

>>> from typing import Annotated
>>> from pydantic import Field
>>> describe(Annotated[float, Field(gt=0, lt=1)] | None)
'a number above 0 and below 1'
>>> show({"fraction": 0.3, "skip": ["conv1", True]})
'{ fraction = 0.3, skip = ["conv1", true] }'
"""

from __future__ import annotations

import contextlib
import difflib
import json
import math
import operator
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

LONGEST_VALUE: Final = 60
"""Characters of a found value that a message shows."""

_NOUNS: Final[dict[Any, tuple[str, str]]] = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("text in quotes", "texts in quotes"),
    Path: ("a path in quotes", "paths in quotes"),
    bool: ("true or false", "true or false"),
}
_BOUNDS: Final = (("gt", "above {}"), ("ge", "of at least {}"), ("lt", "below {}"), ("le", "of at most {}"))
_COMPARE: Final = {"gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le}
_TRUTH: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def show(value: object, longest: int = LONGEST_VALUE) -> str:
    """A value as TOML writes it, shortened; control characters are escaped, so it is safe to print."""
    text = _toml(value)
    return text if len(text) <= longest else text[: longest - 4] + " ..."


def _toml(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str() | Path():
            return json.dumps(str(value), ensure_ascii=not str(value).isprintable())
        case list() | tuple():
            return f"[{', '.join(_toml(item) for item in value)}]"
        case Mapping():
            return (
                "{ " + ", ".join(f"{key_text(key)} = {_toml(item)}" for key, item in value.items()) + " }"
                if value
                else "{}"
            )
        case _:
            return str(value)


def key_text(key: str) -> str:
    """A key as TOML writes it: quoted, and thereby safe to print, unless it is a bare word."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml(key)


def describe(annotation: Any, *, plural: bool = False) -> str:
    """What a field of this type accepts, e.g. `a whole number of at least 1, or a list of such values`."""
    members = list(alternatives(annotation))
    choices = [choice for member in members for choice in literals(member)]
    if choices and bool in members:
        choices += [True, False]
    phrases = [f"one of {', '.join(_toml(choice) for choice in choices)}"] if choices else []
    ranges = [member for member in members if not literals(member) and not (choices and member is bool)]
    phrases += [
        _describe_list(member, ranges) if is_list(member) else _describe_one(member, plural) for member in ranges
    ]
    return ", or ".join(phrases)


def alternatives(annotation: Any) -> Iterator[Any]:
    """The members of a union without None; the annotation itself where it is no union."""
    if get_origin(annotation) not in (Union, types.UnionType):
        yield annotation
        return
    for member in get_args(annotation):
        if member is not types.NoneType:
            yield from alternatives(member)


def literals(annotation: Any) -> tuple[Any, ...]:
    """The words that a member of a union lists one by one; empty where it gives a range."""
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def is_list(annotation: Any) -> bool:
    """Whether a type is written as an array."""
    return get_origin(annotation) is tuple


def _describe_one(annotation: Any, plural: bool) -> str:
    kind, bounds = constraints(annotation)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "tables" if plural else "a table"
    if get_origin(kind) is dict:
        return "tables" if plural else "a table"
    noun = _NOUNS[kind][plural] if kind in _NOUNS else "a value"
    limits = [phrase.format(bounds[name]) for name, phrase in _BOUNDS if name in bounds]
    return f"{noun} {' and '.join(limits)}" if limits else noun


def _describe_list(annotation: Any, beside: Sequence[Any]) -> str:
    """A list; `such values` where the union's other members are just what the list may hold."""
    first, last = get_args(annotation)[0], get_args(annotation)[-1]
    if last is not ...:
        return f"a list of {len(get_args(annotation))} {describe(first, plural=True)}"
    if set(alternatives(first)) <= set(beside):
        return "a list of such values"
    return f"a list of {describe(first, plural=True)}"


def constraints(annotation: Any) -> tuple[Any, dict[str, float]]:
    """The plain type inside an annotation, and its bounds by their pydantic names (gt, ge, lt, le)."""
    if get_origin(annotation) is not Annotated:
        return annotation, {}
    kind, *marks = get_args(annotation)
    flat = [part for mark in marks for part in (mark.metadata if isinstance(mark, FieldInfo) else [mark])]
    return kind, {name: getattr(part, name) for part in flat for name, _ in _BOUNDS if hasattr(part, name)}


def suggest(value: object, annotation: Any) -> str:
    """What the person probably meant, as TOML, where one can tell; empty otherwise.

    >>> from pydantic import Field
    >>> suggest(30, Annotated[float, Field(gt=0, lt=1)])
    '0.3'
    >>> suggest("0.1", float)
    '0.1'
    >>> suggest("cosin", Literal["step", "cosine"])
    '"cosine"'
    """
    for member in alternatives(annotation):
        better = _closest(value, literals(member)) if literals(member) else _repair(value, member)
        if better is not None:
            return show(better)
    return ""


def _repair(value: object, annotation: Any) -> object | None:
    """A value of this type that the found one probably stands for, or None."""
    kind, bounds = constraints(annotation)
    if is_list(annotation):
        return _repair_list(value, get_args(annotation))
    if isinstance(value, str) and kind in (int, float, bool):
        value = _unquoted(value)
    if kind is bool:
        return value if isinstance(value, bool) else None
    if (
        kind not in (int, float)
        or isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
    ):
        return None
    if kind is int:
        value = int(value) if value == int(value) else value
    elif bounds.get("lt") == 1 and 1 < value < 100:
        value = float(Decimal(str(value)) / 100)
    return value if _fits(value, kind, bounds) else None


def _repair_list(value: object, items: tuple[Any, ...]) -> object | None:
    """A list whose wrong items are repaired; a single value in brackets where a list may have any length."""
    item, any_length = items[0], items[-1] is ...
    if not isinstance(value, list):
        return [value] if any_length and _accepts(value, item) else None
    repaired = [entry if _accepts(entry, item) else _repair(entry, item) for entry in value]
    fits = any_length or len(value) == len(items)
    return repaired if fits and repaired and None not in repaired else None


def _accepts(value: object, annotation: Any) -> bool:
    kind, bounds = constraints(annotation)
    if literals(kind):
        return value in literals(kind)
    if kind is str:
        return isinstance(value, str)
    return (
        kind in (int, float)
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and _fits(value, kind, bounds)
    )


def _fits(value: float, kind: Any, bounds: Mapping[str, float]) -> bool:
    """Whether a number has the kind and lies within the bounds."""
    if kind is int and not isinstance(value, int):
        return False
    return all(_COMPARE[name](value, bound) for name, bound in bounds.items())


def _closest(value: object, choices: Sequence[Any]) -> str | None:
    words = [choice for choice in choices if isinstance(choice, str)]
    close = difflib.get_close_matches(str(value).lower(), words, n=1, cutoff=0.5)
    return close[0] if close and close[0] != value else None


def _unquoted(text: str) -> object:
    """The number or truth value that a quoted text spells; the text where it spells none."""
    if text.lower() in _TRUTH:
        return _TRUTH[text.lower()]
    for read in (int, float):
        with contextlib.suppress(ValueError):
            return read(text)
    return text
