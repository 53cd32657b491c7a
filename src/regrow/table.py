"""Tables: the only door from a name in a study file to code.

A table maps names to rows. A row is any frozen value with a `summary`, one line of help, so `regrow list` can print
every table without importing torch. Rows that stand for code hold its address, `module:attribute`, and import it on first use.

>>> from dataclasses import dataclass
>>> @dataclass(frozen=True)
... class Colour:
...     summary: str
>>> COLOURS = Table("colour", {"red": Colour("warm"), "blue": Colour("cold")})
>>> COLOURS["red"].summary
'warm'
>>> COLOURS["rad"]
Traceback (most recent call last):
regrow.errors.UnknownNameError: no colour is called 'rad'. Did you mean 'red'? Known: blue, red.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any, Generic, Protocol, TypeVar, overload

from regrow.errors import UnknownNameError


class Summarised(Protocol):
    """What every row of every table has."""

    @property
    def summary(self) -> str:
        """One line of help, without a final full stop."""
        ...


RowT = TypeVar("RowT", bound=Summarised)
DefaultT = TypeVar("DefaultT")


class Table(Mapping[str, RowT], Generic[RowT]):
    """Named rows of one kind; looking up an unknown name raises `UnknownNameError` with a suggestion.

    A mapping's `get` and `in` work as usual; only `table[name]` teaches.
    """

    @overload
    def get(self, name: str, default: None = None, /) -> RowT | None: ...
    @overload
    def get(self, name: str, default: RowT | DefaultT, /) -> RowT | DefaultT: ...
    def get(self, name: str, default: RowT | DefaultT | None = None, /) -> RowT | DefaultT | None:
        """The row, or `default` where there is none."""
        return self._rows.get(name, default)

    def __init__(self, kind: str, rows: Mapping[str, RowT]) -> None:
        self.kind = kind
        self._rows = dict(rows)

    def __getitem__(self, name: str) -> RowT:
        try:
            return self._rows[name]
        except KeyError:
            raise UnknownNameError(self.kind, name, self._rows) from None

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def load(target: str) -> Any:
    """The object at `module:attribute`, imported now.

    >>> load("math:floor")(2.5)
    2
    """
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
