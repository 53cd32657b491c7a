"""Start-up: what needs no network must not wait for one.

`--help`, `list`, `check` and completion take at most half a second and import neither torch nor anything else that is large.
Time is processor time, the best of up to ten tries, so that other work on the machine hardly counts.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from regrow.config.packaged import STUDIES

LARGE = (
    "torch",
    "torchvision",
    "lightning",
    "numpy",
    "scipy",
    "statsmodels",
    "sklearn",
    "pandas",
    "pyarrow",
    "plotly",
    "rich",
    "jinja2",
)
"""Packages that these commands do without."""

SECONDS = 0.5

PROGRAM = f"""
import sys
from regrow.cli import main
try:
    main()
finally:
    found = [name for name in {LARGE!r} if name in sys.modules]
    print("large:", *found, file=sys.stderr)
"""

COMMANDS = [
    ["--help"],
    ["run", "--help"],
    ["latency", "--help"],
    ["--version"],
    ["list", "networks"],
    ["list", "sources"],
    ["list", "data", "--json"],
    ["list", "methods"],
    ["list", "designs"],
    ["list", "arms"],
    ["list", "conventions"],
    ["list", "studies"],
    ["check", "digits"],
    ["check", "digits", "--set", "prune.fraction=30"],
    ["check", "digits", "--set", "network.name=torchvision:resnet18", "--set", "data.name=cifar10"],
    ["check", "digits", "--set", "network.name=nowhere:build", "--trust"],
    ["report", "no-such-study"],
]


def start(arguments: list[str], **environment: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """One command in a process of its own, and the processor seconds that it took."""
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
    after = os.times()
    return done, after.children_user + after.children_system - before.children_user - before.children_system


def best(arguments: list[str], **environment: str) -> float:
    """The least processor seconds of up to ten tries."""
    least = float("inf")
    for _ in range(10):
        least = min(least, start(arguments, **environment)[1])
        if least <= SECONDS:
            break
    return least


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_quick_command_imports_nothing_large(arguments: list[str]) -> None:
    done, _ = start(arguments)
    assert done.stderr.splitlines()[-1] == "large:"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["list", "networks"], ["check", "digits"]], ids=" ".join)
def test_a_quick_command_is_quick(arguments: list[str]) -> None:
    assert best(arguments) <= SECONDS


COMPLETION = {"_REGROW_COMPLETE": "complete_bash", "COMP_WORDS": "regrow run d", "COMP_CWORD": "2"}


def test_completion_offers_packaged_studies_quickly_and_imports_nothing_large() -> None:
    done, _ = start([], **COMPLETION)
    assert done.stdout.split() == [name for name in STUDIES if name.startswith("d")]
    assert done.stderr.splitlines()[-1] == "large:"
    assert best([], **COMPLETION) <= SECONDS


def test_completion_offers_kinds() -> None:
    done, _ = start([], _REGROW_COMPLETE="complete_bash", COMP_WORDS="regrow list con", COMP_CWORD="2")
    assert done.stdout.split() == ["conventions"]


SETTINGS_AND_TABLES = [
    "regrow.api",
    "regrow.config.load",
    "regrow.data.datasets",
    "regrow.data.settings",
    "regrow.evaluation.blame",
    "regrow.evaluation.kinds",
    "regrow.evaluation.setup",
    "regrow.networks.prunable",
    "regrow.networks.settings",
    "regrow.networks.sources",
    "regrow.networks.spec",
    "regrow.networks.zoo",
    "regrow.pruning.designs",
    "regrow.pruning.methods",
    "regrow.pruning.settings",
    "regrow.pruning.widths",
    "regrow.retraining.arms",
    "regrow.retraining.conventions",
    "regrow.retraining.ledger",
    "regrow.retraining.pipelines",
    "regrow.retraining.settings",
    "regrow.study.progress",
    "regrow.training.compute",
    "regrow.training.recipe",
    "regrow.training.schedule",
    "regrow.training.settings",
]


def test_settings_and_tables_import_no_torch() -> None:
    code = f"""
import importlib, sys
for name in {SETTINGS_AND_TABLES}:
    importlib.import_module(name)
    assert "torch" not in sys.modules, name
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
