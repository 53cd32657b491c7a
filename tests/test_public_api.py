"""The public names: few, sorted, documented, and fetched only when they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import regrow
from regrow import errors

PUBLIC = [
    "Architecture",
    "ConfigError",
    "DataError",
    "DivergenceError",
    "ExportError",
    "MissingExtraError",
    "ProtocolError",
    "PruningError",
    "RegrowError",
    "Results",
    "StoreError",
    "Study",
    "TrainingError",
    "UnknownNameError",
    "Verdict",
    "__version__",
    "carve",
    "compose",
    "diff",
    "export_onnx",
    "export_program",
    "latency",
    "load",
    "load_study",
    "mask_only",
    "prune",
    "regrow",
    "rewind",
    "run",
    "save",
    "to_widths",
]


def test_these_are_the_public_names() -> None:
    assert regrow.__all__ == PUBLIC
    assert sorted(PUBLIC) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(regrow, name)
    assert isinstance(value, str) or value.__doc__
    assert name in dir(regrow)


def test_every_error_that_is_raised_on_purpose_is_public() -> None:
    raised = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert raised <= set(PUBLIC)


def test_a_public_name_is_the_thing_itself() -> None:
    assert regrow.ConfigError is errors.ConfigError
    assert regrow.load_study("digits") == regrow.load_study("digits")


def test_an_unknown_name_is_answered_with_the_public_ones() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'runn'; its public names are Architecture, "):
        regrow.runn  # noqa: B018


def test_importing_the_package_imports_only_python_s_own_modules() -> None:
    code = (
        "import sys; before = set(sys.modules); import regrow; new = set(sys.modules) - before;"
        "print(sorted(name for name in new if name.partition('.')[0] not in sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['regrow']"
