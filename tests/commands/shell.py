"""Run commands as a person does, and the small real study that they run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from typer.testing import CliRunner

import regrow
from regrow.cli import app

STUDY = """
seeds = 3
arms  = ["retrain", "scratch-b"]

[data]
name = "digits"

[network]
name  = "vgg11"
width = 0.0625

[train]
epochs = 2
batch  = 256

[prune]
method = "l1"

[retrain]
epochs  = 1
tune_lr = false

[compute]
device        = "cpu"
precision     = "fp32"
channels_last = false
"""
"""Learns nothing, in seconds."""


class Done(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str


def regrow_command(*arguments: str, folder: Path) -> Done:
    """Run `regrow` in a folder, as a person does."""
    command = [sys.executable, "-m", "regrow", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment())
    return Done(done.returncode, done.stdout, done.stderr)


def called(*arguments: str) -> Done:
    """The same without a process of its own, for commands that are over at once."""
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "100"}, catch_exceptions=False)
    return Done(done.exit_code, done.stdout, done.stderr)


def environment() -> dict[str, str]:
    source = str(Path(regrow.__file__).parents[1])
    return os.environ | {"PYTHONPATH": source, "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
