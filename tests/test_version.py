"""The version."""

from __future__ import annotations

import re
from importlib import metadata

from regrow.version import __version__


def test_the_version_is_the_installed_one_or_says_that_there_is_none() -> None:
    try:
        assert __version__ == metadata.version("regrow")
    except metadata.PackageNotFoundError:
        assert __version__ == "0+not.installed"


def test_the_version_is_a_version() -> None:
    assert re.fullmatch(r"\d+(\.\d+)*([+.]\S+)?", __version__)
