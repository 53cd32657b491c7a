"""What a running study tells whoever watches it. Imports no torch, so that a display costs nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """One training that is under way."""

    label: str
    """What is trained, for people: `vgg11 l1 50 % scratch-b, seed 3`."""

    epoch: int
    """Epochs finished."""

    epochs: int
    """Epochs in all."""

    loss: float | None
    """Mean training loss of the last finished epoch; None before the first one ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """The state of a study at one moment. An observer is any callable that takes one."""

    done: int
    """Stages finished, those found in the store included."""

    total: int
    """Stages of the study as far as they are known; may grow while learning rates are chosen."""

    running: tuple[Running, ...]
    """Trainings under way, one a worker."""

    elapsed_seconds: float
    """Seconds since this command began."""

    eta_seconds: float | None
    """Seconds that are left by the latest estimate; None while there is none."""

    message: str
    """What happened last, one line; may be empty."""
