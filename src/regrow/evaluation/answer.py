"""The answer to "will it be faster?": a row of numbers for every network and backend, and a plain sentence for every small network."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from regrow.evaluation.blame import Blame, told
from regrow.evaluation.footprint import Footprint
from regrow.evaluation.setup import Setup
from regrow.evaluation.stopwatch import Times, quartiles

KEPT_PROMISE: Final = 0.75
"""From this efficiency on a MAC cut is said to bring speed; below it, what is to blame is named."""

WORTH_ROUNDING: Final = 1.05
"""A rounding is recommended where it makes the network this many times as fast: less may be noise."""


_NOBODY: Final = (
    "Operation by operation, each became as much faster as it should, so nobody is to blame: this machine has other work, or its caches "
    "are too small for both networks. Measure longer."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One network on one backend."""

    name: str
    """`dense`, the fraction, or the name that somebody gave it."""

    fraction: float | None
    """Share of channels removed; None for a network that was made small elsewhere."""

    round_to: int
    """Widths are multiples of this, where they can be."""

    compared: bool
    """Whether the row only shows what another rounding would give."""

    backend: str
    batch: int
    """Examples in one run."""

    footprint: Footprint
    dense_footprint: Footprint = field(repr=False)
    device_bytes: int | None
    """Bytes that the GPU's allocator held at most beyond the weights, measured; None on a CPU."""

    times: Times
    dense_times: Times = field(repr=False)

    @property
    def mac_cut(self) -> float:
        """MACs of the dense network / MACs of this one."""
        return self.dense_footprint.macs / max(1, self.footprint.macs)

    @property
    def speed_up(self) -> float:
        """Time of the dense network / time of this one: the median over the rounds, in which both took their turns.

        The ratio of the two medians would let a program that wakes up in the middle weigh on one of them alone.
        """
        return statistics.median(self._ratios())

    @property
    def speed_up_quartiles(self) -> tuple[float, float]:
        """Quartiles of the speed-ups of the single rounds."""
        return quartiles(self._ratios())

    def _ratios(self) -> list[float]:
        pairs = zip(self.dense_times.seconds, self.times.seconds, strict=True)
        return [dense / small for dense, small in pairs]

    @property
    def efficiency(self) -> float:
        """Speed-up / MAC cut."""
        return self.speed_up / self.mac_cut

    @property
    def is_slow(self) -> bool:
        """Whether MACs were cut and too little of it came true."""
        return self.mac_cut > 1 and self.efficiency < KEPT_PROMISE

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types. What was measured has a key that ends in _seconds or _per_second, or is a ratio: speed_up, efficiency."""
        first, third = self.times.quartiles
        return {
            "name": self.name,
            "fraction": self.fraction,
            "round_to": self.round_to,
            "compared": self.compared,
            "backend": self.backend,
            "macs": self.footprint.macs // self.batch,
            "params": self.footprint.params,
            "weight_bytes": self.footprint.weight_bytes,
            "peak_activation_bytes": self.footprint.activation_bytes,
            "device_peak_bytes": self.device_bytes,
            "mac_cut": self.mac_cut,
            "median_seconds": self.times.median,
            "first_quartile_seconds": first,
            "third_quartile_seconds": third,
            "examples_per_second": self.batch / self.times.median,
            "rounds": len(self.times.seconds),
            "speed_up": self.speed_up,
            "speed_up_quartiles": list(self.speed_up_quartiles),
            "efficiency": self.efficiency,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """What was measured, and what it means. `str()` gives the sentences."""

    setup: Setup
    batch: int
    """Examples in one run."""

    rows: tuple[Row, ...]
    """Backend by backend, the dense network first."""

    blames: Mapping[str, tuple[Blame, ...]] = field(repr=False)
    """By name of the row: what keeps the speed-up back in eager mode, where too little of the MAC cut came true."""

    notes: tuple[str, ...] = ()
    """What could not be measured, and why."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """One for each small network, led by the first backend; then, backend by backend, whether another rounding would pay."""
        backends = dict.fromkeys(row.backend for row in self.rows)
        asked = [row for row in self.rows if not row.compared and row.footprint != row.dense_footprint]
        known: set[str] = set()
        told_of = (self._sentence(row, known) for row in asked if row.backend == self.rows[0].backend)
        tried = (_rounding([row for row in self.rows if row.backend == backend]) for backend in backends)
        return (*told_of, *(sentence for found in tried for sentence in found))

    def _sentence(self, row: Row, known: set[str]) -> str:
        """Adds the reasons that it tells to `known`, so that none is told twice."""
        head = f"{_subject(row)}: MACs fall {row.mac_cut:.1f}x, {_time(row)} on this machine ({self._how(row)})"
        others = "".join(
            f" In {other.backend}: {_time(other)}."
            for other in self.rows
            if other.name == row.name and other.backend != row.backend
        )
        if not row.is_slow:
            return f"{head}: {_percent(row.efficiency)} of the MAC cut comes true.{others}"
        found = self.blames.get(row.name)
        if found is None:
            return f"{head}. Measure eager mode too to see which layers are to blame.{others}"
        why = told(found, frozenset(known)) or _NOBODY
        known.update(one.reason for one in found)
        return f"{head}. {why}{others}"

    def _how(self, row: Row) -> str:
        threads = f"{self.setup.threads} thread{'' if self.setup.threads == 1 else 's'}"
        return f"{row.backend}, {threads if self.setup.device == 'cpu' else 'GPU'}, batch {self.batch}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "setup": {**asdict(self.setup), "backends": list(self.setup.backends), "batch": self.batch},
            "rows": [row.to_json() for row in self.rows],
            "blame": {name: [asdict(one) for one in found] for name, found in self.blames.items()},
            "sentences": list(self.sentences),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return "\n".join((*self.sentences, *self.notes))


def _subject(row: Row) -> str:
    return row.name if row.fraction is None else f"Fraction {row.fraction:g}"


def _time(row: Row) -> str:
    if row.speed_up < 1:
        return f"time rises {1 / row.speed_up:.1f}x"
    return f"time {'only ' if row.is_slow else ''}{row.speed_up:.1f}x"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def rounding_gain(rows: Sequence[Row]) -> tuple[Row, Row, float] | None:
    """Of one backend's rows: the plain row, the fastest of its rounded ones, and how many times as fast that is.

    None where no other rounding was tried.
    """
    compared = [row for row in rows if row.compared]
    if not compared:
        return None
    plain = next(row for row in rows if row.fraction == compared[0].fraction and not row.compared)
    gains = [(_faster(plain, row), row) for row in compared]
    gain, best = max(gains, key=lambda pair: pair[0])
    return plain, best, gain


def _faster(first: Row, second: Row) -> float:
    """Time of the first / time of the second, the median over the rounds."""
    pairs = zip(first.times.seconds, second.times.seconds, strict=True)
    return statistics.median(one / other for one, other in pairs)


def _rounding(rows: Sequence[Row]) -> Iterator[str]:
    """What the rounded networks say, of one backend's rows."""
    found = rounding_gain(rows)
    if found is None:
        return
    plain, best, gain = found
    where = f"At fraction {plain.fraction:g} in {plain.backend}, rounding the widths to multiples of"
    if gain >= WORTH_ROUNDING:
        yield (
            f"{where} {best.round_to} makes the network {gain:.2f}x as fast as rounding to {plain.round_to}, "
            f"with a MAC cut of {best.mac_cut:.1f}x instead of {plain.mac_cut:.1f}x."
        )
    else:
        tried = ", ".join(str(row.round_to) for row in rows if row.compared)
        yield f"{where} {tried} instead of {plain.round_to} makes it no faster."
