"""Live progress: how far the whole study is and when it ends, on a terminal; a plain line now and then anywhere else."""

from __future__ import annotations

from types import TracebackType
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from regrow.report.words import seconds
from regrow.study.progress import Running, Snapshot

QUIET_SECONDS: Final = 30.0
"""Least time between two plain lines."""


class LiveProgress:
    """An observer of a running study; use it as a context manager and call it with every `Snapshot`.

        with LiveProgress(Console(stderr=True)) as progress:
            run(study, observer=progress)

    On a terminal it redraws in place: one bar over the whole study, one line per training. Elsewhere (a file, CI) it writes
    a line at the first snapshot, at most every `quiet_seconds` of the study's own clock after that, and at the last one.
    """

    def __init__(self, console: Console, *, quiet_seconds: float = QUIET_SECONDS) -> None:
        self._console = console
        self._quiet_seconds = quiet_seconds
        # stdout carries machine output: rich must not take it over.
        live = Live(console=console, transient=True, refresh_per_second=8, redirect_stdout=False)
        self._live = live if console.is_terminal else None
        self._last: Snapshot | None = None
        self._written: Snapshot | None = None

    def __enter__(self) -> LiveProgress:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()
        if self._last is not None and self._last is not self._written:
            self._write(self._last)

    def __call__(self, snapshot: Snapshot) -> None:
        """Show this state."""
        self._last = snapshot
        if self._live:
            self._live.update(picture(snapshot))
        elif self._due(snapshot):
            self._write(snapshot)

    def _due(self, snapshot: Snapshot) -> bool:
        written = self._written
        return written is None or snapshot.elapsed_seconds - written.elapsed_seconds >= self._quiet_seconds

    def _write(self, snapshot: Snapshot) -> None:
        self._written = snapshot
        self._console.print(Text(line(snapshot)), soft_wrap=True)


def line(snapshot: Snapshot) -> str:
    """One plain line.

    >>> line(Snapshot(done=3, total=40, running=(), elapsed_seconds=12.0, eta_seconds=75.0, message="dense, seed 2"))
    '3 of 40 stages, 12.0 s, about 1 min 15 s to go: dense, seed 2'
    """
    left = (
        f", about {seconds(snapshot.eta_seconds)} to go"
        if snapshot.eta_seconds and snapshot.done < snapshot.total
        else ""
    )
    tail = f": {snapshot.message}" if snapshot.message else ""
    return f"{snapshot.done} of {snapshot.total} stages, {seconds(snapshot.elapsed_seconds)}{left}{tail}"


def picture(snapshot: Snapshot) -> RenderableType:
    """What a terminal shows: a bar over the study, a line per training, the latest message."""
    parts: list[RenderableType] = [_overall(snapshot)]
    if snapshot.running:
        parts.append(_trainings(snapshot.running))
    if snapshot.message:
        parts.append(Text(snapshot.message, style="dim", no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


def _overall(snapshot: Snapshot) -> Table:
    grid = Table.grid(padding=(0, 1))
    eta = f"about {seconds(snapshot.eta_seconds)} to go" if snapshot.eta_seconds is not None else "estimating"
    grid.add_row(
        Text("study", style="bold"),
        ProgressBar(total=max(snapshot.total, 1), completed=_completed(snapshot), width=30),
        Text(f"{snapshot.done} of {snapshot.total} stages"),
        Text(f"{seconds(snapshot.elapsed_seconds)}, {eta}", style="dim"),
    )
    return grid


def _completed(snapshot: Snapshot) -> float:
    """Finished stages, and of every running training the share that is done."""
    return snapshot.done + sum(training.epoch / max(training.epochs, 1) for training in snapshot.running)


def _trainings(running: tuple[Running, ...]) -> Table:
    grid = Table.grid(padding=(0, 1))
    for training in running:
        grid.add_row(
            Text(" "),
            ProgressBar(total=max(training.epochs, 1), completed=training.epoch, width=12),
            Text(training.label, no_wrap=True, overflow="ellipsis"),
            Text(f"epoch {training.epoch}/{training.epochs}", style="dim"),
            Text("" if training.loss is None else f"loss {training.loss:.4f}", style="dim"),
        )
    return grid
