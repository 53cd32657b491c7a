"""Packaged studies: study files that come with regrow and are known by name."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from regrow.errors import UnknownNameError


@dataclass(frozen=True, kw_only=True, slots=True)
class Packaged:
    """One packaged study."""

    summary: str
    """Its title."""

    file: str
    """Its file's name."""


class PackagedStudies(Mapping[str, Packaged]):
    """Name to packaged study, read from the package when first asked; an unknown name raises `UnknownNameError`."""

    def __getitem__(self, name: str) -> Packaged:
        try:
            return _read()[name]
        except KeyError:
            raise UnknownNameError("packaged study", name, _read()) from None

    def __contains__(self, name: object) -> bool:
        return name in _read()

    def __iter__(self) -> Iterator[str]:
        return iter(_read())

    def __len__(self) -> int:
        return len(_read())


@cache
def _read() -> dict[str, Packaged]:
    files = sorted(file.name for file in _folder().iterdir() if file.name.endswith(".toml"))
    return {
        name.removesuffix(".toml"): Packaged(summary=tomllib.loads(text(name))["title"], file=name) for name in files
    }


def text(file: str) -> str:
    """The content of one packaged study's file."""
    return _folder().joinpath(file).read_text(encoding="utf-8")


def _folder() -> Traversable:
    return resources.files("regrow").joinpath("studies")


STUDIES: Final = PackagedStudies()
