"""What every command does alike: options of one name, JSON on stdout, and errors told as messages with their exit codes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from regrow.errors import ConfigError, Fault, RegrowError

STOPPED: Final = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""

OUT: Final = Path("regrow-runs")
"""Where everything that a run makes goes, unless it is told otherwise."""

Folder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for everything that a run makes.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout.")]


@contextlib.contextmanager
def told(go_on: str = "") -> Iterator[None]:
    """Errors raised on purpose become a message and an exit code; so does Ctrl-C. Anything else is a bug and keeps its traceback."""
    try:
        yield
    except RegrowError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        typer.echo(f"\nStopped. {go_on}".rstrip(), err=True)
        raise typer.Exit(STOPPED) from None


def print_json(value: Any) -> None:
    """One JSON value on stdout."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


def image_shape(text: str) -> tuple[int, int, int]:
    """Channels, height and width from `3x224x224`; raises `ConfigError` for anything else."""
    parts = text.lower().split("x")
    if len(parts) != 3 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        rule = f"must be channels x height x width; found {text!r}"
        raise ConfigError(faults=[Fault(where="--shape", key="", rule=rule, hint="For instance 3x224x224.")])
    channels, height, width = (int(part) for part in parts)
    return channels, height, width
