"""Every error that regrow raises on purpose, as a tree.

    RegrowError                 exit code 1
    ├── ConfigError             2   a study file, an option or a name is wrong; carries one Fault per mistake
    │   ├── UnknownNameError    2   a name that is in no table; "Did you mean ...?"
    │   └── MissingExtraError   2   an optional dependency is not installed; says what to type
    ├── ProtocolError           2   the study would compare what cannot be compared
    ├── DataError               1   examples are missing, unreadable, or not what the study said
    ├── PruningError            1   a layer would be emptied, widths do not fit the network
    ├── TrainingError           1
    │   └── DivergenceError     1   the loss is no longer finite
    ├── ExportError             1   a network cannot be exported, or the exported file computes something else
    └── StoreError              1   the store, or a saved network, cannot be read or written

Everything else is a bug in regrow: it keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class RegrowError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line returns."""

    exit_code: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One mistake in a person's input: where it stands, what the rule is, what to write instead."""

    where: str
    """The file or option the input came from: `study.toml`, `--set`."""

    key: str
    """Dotted key (`prune.fraction`), or `line 12` where there is none; empty for the whole file."""

    rule: str
    """What is expected, with the value that was found."""

    hint: str = ""
    """What to write instead; may be empty."""

    def __str__(self) -> str:
        place = f"{self.where}: {self.key}" if self.key else self.where
        return f"{place}: {self.rule}" + (f"\n    {self.hint}" if self.hint else "")


class ConfigError(RegrowError):
    """A person's input is wrong. `faults` holds every mistake that was found, not only the first."""

    exit_code = 2

    def __init__(self, message: str = "", *, faults: Sequence[Fault] = ()) -> None:
        self.faults = tuple(faults)
        super().__init__(message or "\n".join(str(fault) for fault in self.faults))


class UnknownNameError(ConfigError):
    """A name that its table does not hold."""

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, tuple(known)
        super().__init__(f"no {kind} is called {name!r}. {did_you_mean(str(name), self.known)}")


class MissingExtraError(ConfigError):
    """An optional dependency is missing."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f'{what} needs an optional dependency. Install it with: pip install "regrow[{extra}]"')


class ProtocolError(RegrowError):
    """The comparison asked for would not be a fair one, or could not be made at all."""

    exit_code = 2


class DataError(RegrowError):
    """Examples are missing, unreadable, or not what the study declared."""


class PruningError(RegrowError):
    """The network cannot be pruned as asked."""


class TrainingError(RegrowError):
    """Training could not go on."""


class DivergenceError(TrainingError):
    """The training loss became infinite or not a number."""


class ExportError(RegrowError):
    """A network cannot be exported, or the exported file does not compute what the network computes."""


class StoreError(RegrowError):
    """The store of finished stages, or a saved network, cannot be read or written."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the closest known name, if one is close, and all of them.

    >>> did_you_mean("randon", ["l1", "random"])
    "Did you mean 'random'? Known: l1, random."
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    suggestion = f"Did you mean {close[0]!r}? " if close else ""
    return f"{suggestion}Known: {', '.join(names)}."
