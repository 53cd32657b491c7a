"""The version of the installed package."""

from __future__ import annotations

from importlib import metadata


def _read() -> str:
    try:
        return metadata.version("regrow")
    except metadata.PackageNotFoundError:
        return "0+not.installed"


__version__ = _read()
"""As in pyproject.toml; `0+not.installed` where the source is used without being installed."""
