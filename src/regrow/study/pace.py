"""How fast trainings go, and so how long a study still takes. Imports no torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from regrow.files import canonical_json
from regrow.study.stage import Stage

ENOUGH_SECONDS: Final = 3.0
"""Seconds of training below which nothing is said about the rest."""


class Pace:
    """Seconds per training FLOP, learnt from trainings that ended and from those under way; each architecture has its own.

    Narrow networks take more seconds for a FLOP than wide ones, so what the dense network took says little about the pruned one.
    """

    def __init__(self) -> None:
        self._ended: dict[str, tuple[float, float]] = {}
        self._under_way: dict[str, tuple[str, float, float]] = {}
        self._first: dict[str, tuple[float, float]] = {}

    def under_way(self, stage: Stage, share: float, now: float) -> None:
        """Learn from a training that has done a share of its steps, 0 to 1, at a time in seconds.

        What it did before it was first seen, in an earlier process perhaps, does not count.
        """
        at, done = self._first.setdefault(stage.key, (now, share))
        self._under_way[stage.key] = (architecture(stage), now - at, stage.work * (share - done))

    def ended(self, stage: Stage, result: Mapping[str, Any] | None) -> None:
        """Learn from a training that is over; None, as from one that was lost or refused, teaches nothing."""
        self._under_way.pop(stage.key, None)
        self._first.pop(stage.key, None)
        if stage.kind != "train" or result is None or result["diverged"]:
            return
        seconds, work = self._ended.get(architecture(stage), (0.0, 0.0))
        self._ended[architecture(stage)] = (seconds + result["train_seconds"], work + stage.work)

    def remaining(self, left: Sequence[tuple[str, float]], waiting: Sequence[float], slots: int) -> float | None:
        """Seconds until all is done, if all slots stay busy; None while there is nothing to judge by.

        Args:
            left: architecture and training FLOPs of each training that is known and not finished.
            waiting: training FLOPs of those that are not known yet.
            slots: trainings at once.
        """
        seen = self._seen()
        spent, done = (sum(column) for column in zip((0.0, 0.0), *seen.values(), strict=True))
        if not done or spent < ENOUGH_SECONDS:
            return None
        rates = {name: seconds / work for name, (seconds, work) in seen.items() if work}
        overall = spent / done
        seconds: float = sum(work * rates.get(name, overall) for name, work in left) + sum(waiting) * overall
        return seconds / slots

    def _seen(self) -> dict[str, tuple[float, float]]:
        """Seconds spent and FLOPs done, by architecture."""
        seen = defaultdict(lambda: (0.0, 0.0), self._ended)
        for name, seconds, work in self._under_way.values():
            seen[name] = (seen[name][0] + seconds, seen[name][1] + work)
        return seen


def architecture(stage: Stage) -> str:
    """What tells the network of a training from others: its kind and widths."""
    return canonical_json(stage.settings["network"])
