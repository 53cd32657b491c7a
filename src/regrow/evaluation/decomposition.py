"""Decomposition: is it the architecture that pruning found, the weights that it inherits, or both together?

Two comparisons of one study and two arms make a 2 x 2 table of test accuracies, paired by seed:

                        inherited weights      fresh weights
    found widths               FI                   FF
    uniform widths             UI                   UF

    architecture    ((FI + FF) - (UI + UF)) / 2     found minus uniform, averaged over weights
    weights         ((FI + UI) - (FF + UF)) / 2     inherited minus fresh, averaged over architectures
    interaction     (FI - FF) - (UI - UF)           how much more inheriting is worth where the widths were found

and four simple effects, each along one edge of the table. Every number is a mean over seeds of that seed's own difference, with Student's
95 % interval, whose standard deviation is never taken to be below one test image. What the images of the test set can resolve is not
counted in any further, so what shall be decided is declared as a contrast before the run (`[[between]]`). Both architectures must cost
the same, in MACs or in parameters, or the effect of the architecture would be one of size. A method that trains its own network
(slimming) inherits from that one and not from the dense network: then "weights" holds the method's own training too.

Units: percentage points of test accuracy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, Final

from regrow.evaluation.statistics import Interval, critical

Row = Mapping[str, Any]

EQUAL: Final = 0.02
"""Largest difference of two architectures' mean cost, as a share of the larger, at which they count as equally large. Each is within 1 %
of what was asked for."""

_MATCHED: Final = ("network", "data", "variant", "fraction")
_CELLS: Final = ("FI", "FF", "UI", "UF")

EFFECTS: Final[dict[str, tuple[float, float, float, float]]] = {
    "architecture": (0.5, 0.5, -0.5, -0.5),
    "weights": (0.5, -0.5, 0.5, -0.5),
    "interaction": (1.0, -1.0, -1.0, 1.0),
    "architecture, inherited weights": (1.0, 0.0, -1.0, 0.0),
    "architecture, fresh weights": (0.0, 1.0, 0.0, -1.0),
    "weights, found widths": (1.0, -1.0, 0.0, 0.0),
    "weights, uniform widths": (0.0, 0.0, 1.0, -1.0),
}
"""Weights of FI, FF, UI and UF in every effect."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A mean over seeds, of accuracies or of differences."""

    mean: float
    interval: Interval | None
    """Student's 95 %; None for a single seed."""

    n: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Decomposition:
    """One 2 x 2 table."""

    network: str
    data: str
    variant: str
    fraction: float | None
    found: str
    """Method and design whose widths were found, e.g. `slimming, 50 % of macs`."""

    uniform: str
    equal: tuple[str, ...]
    """In what both architectures cost the same: macs, params or both."""

    inherited: str
    """The arm that inherits weights."""

    fresh: str
    seeds: tuple[int, ...]
    cells: dict[str, Estimate]
    """Mean test accuracy, percent, of FI, FF, UI and UF."""

    effects: dict[str, Estimate]
    """A row for each of `EFFECTS`."""


def decompose(
    results: Mapping[str, Any],
    *,
    found: str = "slimming",
    uniform: str = "l1",
    inherited: str = "retrain",
    fresh: str = "scratch-e",
) -> list[Decomposition]:
    """Every 2 x 2 table that the results of a study hold, in the order of its rows.

    Args:
        results: the content of a results.json.
        found: the method whose widths were found.
        uniform: the method whose widths were given, at the same fraction and cost.
        inherited: the arm that inherits weights.
        fresh: the arm that does not.

    Pairs of comparisons that cost differently, or have no seed with all four runs, are left out; so the list may be empty.
    """
    arms = (inherited, fresh)
    sizes = _sizes(results)
    tables = []
    for one, other in _pairs(list(sizes), found, uniform):
        equal = tuple(cost for cost in ("macs", "params") if _alike(sizes[one][cost], sizes[other][cost]))
        runs = [_by_seed(results, key, arm) for key in (one, other) for arm in arms]
        seeds = tuple(sorted(set.intersection(*map(set, runs))))
        if equal and seeds:
            image = _image(results, one[1])
            tables.append(_table(one, other, equal, arms, seeds, runs, image))
    return tables


Key = tuple[Any, ...]
"""network, data, variant, fraction, method, design"""


def _key(row: Row) -> Key:
    return (*(row.get(column, "") for column in _MATCHED), row["method"], row["design"])


def _sizes(results: Mapping[str, Any]) -> dict[Key, dict[str, float]]:
    """Mean MACs and parameters of every comparison's small network, over seeds where they differ."""
    rows: dict[Key, list[Row]] = {}
    for row in results.get("architectures", ()):
        rows.setdefault(_key(row), []).append(row)
    return {
        key: {cost: fmean(row[cost] for row in found) for cost in ("macs", "params")} for key, found in rows.items()
    }


def _pairs(keys: Sequence[Key], found: str, uniform: str) -> Iterator[tuple[Key, Key]]:
    for one in keys:
        if one[-2] == found:
            yield from ((one, other) for other in keys if other[-2] == uniform and other[:-2] == one[:-2])


def _alike(one: float, other: float) -> bool:
    return abs(one - other) <= EQUAL * max(one, other)


def _by_seed(results: Mapping[str, Any], key: Key, arm: str) -> dict[int, float]:
    """Test accuracy of every seed, percent."""
    rows = (row for row in results.get("runs", ()) if row["arm"] == arm and _key(row) == key)
    return {int(row["seed"]): float(row["test_accuracy"]) for row in rows}


def _image(results: Mapping[str, Any], data: str) -> float:
    """Percentage points that one test image is; 0 where the results do not say how many there are."""
    counts = [row["test"] for row in results.get("data", ()) if row["data"] == data and row.get("test")]
    return 100 / counts[0] if counts else 0.0


def _table(
    one: Key,
    other: Key,
    equal: tuple[str, ...],
    arms: tuple[str, str],
    seeds: tuple[int, ...],
    runs: Sequence[Mapping[int, float]],
    image: float,
) -> Decomposition:
    network, data, variant, fraction = one[:4]
    effects = {
        name: _estimate([sum(w * run[seed] for w, run in zip(weights, runs, strict=True)) for seed in seeds], image)
        for name, weights in EFFECTS.items()
    }
    return Decomposition(
        network=network,
        data=data,
        variant=variant,
        fraction=fraction,
        found=f"{one[-2]}, {one[-1]}",
        uniform=f"{other[-2]}, {other[-1]}",
        equal=equal,
        inherited=arms[0],
        fresh=arms[1],
        seeds=seeds,
        cells={name: _estimate([run[seed] for seed in seeds], image) for name, run in zip(_CELLS, runs, strict=True)},
        effects=effects,
    )


def _estimate(values: Sequence[float], image: float) -> Estimate:
    """Mean and interval; equal values of a few seeds are no proof that they would always be equal."""
    n, middle = len(values), fmean(values)
    if n < 2:
        return Estimate(mean=middle, interval=None, n=n)
    half = float(critical(0.95, n - 1, n)) * max(stdev(values), image) / n**0.5
    return Estimate(mean=middle, interval=(middle - half, middle + half), n=n)
