"""Comparison: means of every arm, and paired differences between arms over seeds, each with its interval. Imports no torch.

Units: percent of average precision; a difference is arm a minus arm b in percentage points. Seed k of both arms stands on the same dense
network, fresh layers, images and order, so differences are paired by seed: mean and Student's 95 % interval with n - 1 degrees of
freedom. No pair was declared before the run and many are looked at, so none gets a verdict word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from statistics import fmean, stdev
from typing import Any, Final

from regrow.detection.precision import METRICS
from regrow.evaluation.statistics import mean_interval
from regrow.study.comparison import NO_METHOD
from regrow.study.results import KEYS

Row = Mapping[str, Any]

_SHARED: Final = tuple(key for key in KEYS if key not in NO_METHOD)
"""Columns that the dense network shares with the comparisons that it belongs to."""


def cases(rows: Iterable[Row]) -> list[tuple[dict[str, Any], list[Row]]]:
    """Every comparison's columns with its rows, those of its dense network included; the dense network by itself where there is no
    other."""
    rows = list(rows)
    own = {tuple(row[key] for key in KEYS) for row in rows if row["method"]}
    own = own or {tuple(row[key] for key in KEYS) for row in rows}
    found = []
    for columns in sorted(own, key=lambda values: [str(value) for value in values]):
        case = dict(zip(KEYS, columns, strict=True))
        found.append((case, [row for row in rows if _belongs(row, case)]))
    return found


def _belongs(row: Row, case: Mapping[str, Any]) -> bool:
    keys = KEYS if row["method"] else _SHARED
    return all(row[key] == case[key] for key in keys)


def arm_means(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One row a comparison, arm and metric: n, mean, sd and interval over seeds; detectors whose loss became infinite left out."""
    return [
        {**case, "arm": arm, "metric": metric, **_summary(list(_values(found, arm, metric).values()))}
        for case, found in cases(rows)
        for arm in _arms(found)
        for metric in METRICS
        if _values(found, arm, metric)
    ]


def paired_differences(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One row a comparison, pair of arms and metric: over the seeds that both arms have."""
    pairs = []
    for case, found in cases(rows):
        for (a, b), metric in ((pair, metric) for pair in combinations(_arms(found), 2) for metric in METRICS):
            first, second = _values(found, a, metric), _values(found, b, metric)
            seeds = sorted(first.keys() & second.keys())
            if seeds:
                differences = [first[seed] - second[seed] for seed in seeds]
                pairs.append({**case, "a": a, "b": b, "metric": metric, "seeds": seeds, **_summary(differences)})
    return pairs


def _arms(rows: Iterable[Row]) -> list[str]:
    """Arms in the order in which they first come; dense last, which is no arm but what all are measured against."""
    arms = list(dict.fromkeys(str(row["arm"]) for row in rows))
    return sorted(arms, key=lambda arm: arm == "dense")


def _values(rows: Iterable[Row], arm: str, metric: str) -> dict[int, float]:
    return {row["seed"]: row[metric] for row in rows if row["arm"] == arm and row[metric] is not None}


def _summary(values: Sequence[float]) -> dict[str, Any]:
    """None stands for what one seed cannot tell."""
    several = len(values) > 1
    return {
        "n": len(values),
        "mean": fmean(values),
        "sd": stdev(values) if several else None,
        "ci95": list(mean_interval(values)) if several else None,
    }
