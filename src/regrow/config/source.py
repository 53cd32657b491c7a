"""Sources: where a study comes from, a packaged name or a file, read down to TOML tables. Every failure is a `Fault`."""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from regrow.config.overrides import absolute
from regrow.config.packaged import STUDIES, companion, text
from regrow.config.words import show
from regrow.errors import ConfigError, Fault, did_you_mean

LARGEST: Final = 1 << 20
"""Bytes of the largest file that can be a study."""

SMALLEST_STUDY: Final = (
    'A study names at least [data] name = "digits", [network] name = "vgg11" and [prune] method = "l1".'
)

PLAIN: Final = (
    (
        "Invalid value",
        "there is no TOML value here",
        "Text stands in quotes; numbers look like 0.1, truth values like true.",
    ),
    ("Unclosed array", "a list is not closed", "End it with ]."),
    ("Unclosed inline table", "a table in braces is not closed", "End it with }."),
    ("Expected '=' after a key", "a key must be followed by = and a value", "Write key = value."),
    ("Expected ']'", "a table's name must end with ]", "Write [name] on a line of its own."),
    (
        "Cannot declare",
        "the table stands twice",
        "Join the two; only data, network, prune, variant and between can be several: [[data]].",
    ),
    ("Cannot overwrite a value", "the key stands twice", "Leave one of the two out."),
    ("Cannot mutate", "the table is already complete", "Write all its keys in one place."),
    ("Duplicate inline", "the key stands twice", "Leave one of the two out."),
    ("Expected newline", "a line holds one key and one value", "Begin a new line; put text with blanks in quotes."),
    ("Illegal character", "the text is not closed in its line", "End it with the quote that it began with."),
    ("Unterminated string", "the text is not closed", "End it with the quote that it began with."),
    ("Unescaped '\\'", "a backslash begins an escape", "Write paths with / or in 'single quotes'."),
    ("Invalid hex", "a backslash begins an escape", "Write paths with / or in 'single quotes'."),
    ("Invalid statement", "a line must be key = value or [table]", "A comment begins with #."),
    ("Invalid initial character", "a key must begin a line", "A comment begins with #."),
)
"""What tomllib says, in plain words, and what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """A study file, read."""

    where: str
    """The file as messages name it."""

    file: str
    """The file's name without its folder."""

    folder: Path
    """The folder that paths in the file are relative to."""

    tables: dict[str, Any]


def read_source(name_or_path: str | Path) -> Source:
    """Read a packaged study by name, or the file at a path. Raises `ConfigError` with one fault."""
    name = str(name_or_path)
    if isinstance(name_or_path, str) and name in STUDIES:
        file = STUDIES[name].file
        return Source(file, file, Path.cwd(), _with_guides(_parse(text(file), file)))
    path = Path(absolute(name, Path.cwd()) if name.startswith("~") else name)
    where = name if name.isprintable() else show(name)
    return Source(where, path.name, path.absolute().parent, _parse(_decode(_read(path, name, where), where), where))


def _with_guides(tables: dict[str, Any]) -> dict[str, Any]:
    """A packaged study's tables; of a guide that it names, a file in the current folder comes before the one in the package."""
    for one in (tables, *tables.get("profile", {}).values()):
        prunings = one.get("prune", [])
        for prune in prunings if isinstance(prunings, list) else [prunings]:
            if "guide" in prune:
                prune["guide"] = companion(prune["guide"])
    return tables


def _refuse(where: str, rule: str, hint: str, key: str = "") -> ConfigError:
    return ConfigError(faults=[Fault(where=where, key=key, rule=rule, hint=hint)])


def _read(path: Path, name: str, where: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except IsADirectoryError:
        inside = sorted(path.glob("*.toml"))[:1]
        hint = (
            f"Did you mean {inside[0]}?" if inside else "Give the path of a TOML file, or the name of a packaged study."
        )
        raise _refuse(where, "is a folder, not a study file", hint) from None
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise _missing(path, name, where) from None
    except OSError as error:
        raise _refuse(
            where, f"cannot be read: {error.strerror or error}", "Check the path and its permissions."
        ) from None
    if len(content) > LARGEST:
        raise _refuse(where, f"is larger than {LARGEST:,} bytes, too large for a study file", SMALLEST_STUDY)
    return content


def _missing(path: Path, name: str, where: str) -> ConfigError:
    if path.suffix != ".toml" and re.fullmatch(r"[\w.-]*", name):
        return _refuse(where, "is neither a packaged study nor a file", did_you_mean(name, STUDIES))
    beside = (
        [str(other.name) for other in path.parent.glob("*.toml")] if "\0" not in name and path.parent.is_dir() else []
    )
    close = difflib.get_close_matches(path.name, beside, n=1)
    packaged = f"Packaged studies: {', '.join(STUDIES)}."
    return _refuse(where, "there is no such file", f"Did you mean {path.parent / close[0]}?" if close else packaged)


def _decode(content: bytes, where: str) -> str:
    if b"\0" in content:
        raise _refuse(where, "is no text file: it holds zero bytes", "A study is a TOML file, text in UTF-8.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        rule = f"is no UTF-8 text; found byte 0x{content[error.start]:02X}"
        raise _refuse(where, rule, "Save the file as UTF-8.", key=f"line {line}") from None


def _parse(content: str, where: str) -> dict[str, Any]:
    try:
        tables = tomllib.loads(content)
    except RecursionError:
        raise _refuse(where, "lists are nested too deeply for a study file", SMALLEST_STUDY) from None
    except tomllib.TOMLDecodeError as error:
        raise _toml_fault(content, where, str(error)) from None
    if not tables:
        raise _refuse(where, "is empty", SMALLEST_STUDY)
    return tables


def _toml_fault(content: str, where: str, message: str) -> ConfigError:
    """tomllib's error as a fault: its message ends with `(at line 3, column 9)` or `(at end of document)`."""
    lines = content.splitlines() or [""]
    position = re.search(r"\(at line (\d+), column (\d+)\)$", message)
    line, column = (int(number) for number in position.groups()) if position else (len(lines), len(lines[-1]) + 1)
    reason = message.partition(" (at ")[0]
    rule, hint = next(
        ((rule, hint) for start, rule, hint in PLAIN if reason.startswith(start)), (reason, "A study is a TOML file.")
    )
    found = lines[line - 1].strip() if line <= len(lines) else ""
    return _refuse(where, f"{rule}; found {show(found)}", hint, key=f"line {line}, column {column}")
