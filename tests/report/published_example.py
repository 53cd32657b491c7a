"""Results that a published table knows, at the published lengths or shorter ones; made up like all of `example`."""

from __future__ import annotations

import json
from typing import Any

from tests.report.example import example

LENGTHS = {"dense": 160, "fine-tune": 40, "scratch-e": 160, "scratch-b": 243}
ACCURACY = {"dense": 93.6, "fine-tune": 93.0, "scratch-e": 93.5, "scratch-b": 93.9}


def beside(
    table: str = "table1",
    *,
    network: str = "vgg16",
    data: str = "cifar10-jpeg",
    method: str = "l1",
    fraction: float | None = None,
    design: str | None = None,
    share: float = 1.0,
    seeds: int = 5,
    arms: tuple[str, ...] = tuple(LENGTHS),
) -> dict[str, Any]:
    """A results dict; `share` is that of the published epochs. Every seed's accuracy is its arm's mean and 0.1 points a seed."""
    every = ("retrain", *LENGTHS)
    plain = example(networks=(network,), methods=(method,), fractions=(fraction,), seeds=seeds, arms=every)
    text = json.dumps(plain).replace('"digits"', json.dumps(data))
    if design is not None:
        text = text.replace('"vgg16-a"' if fraction is None else f'"{100 * fraction:g} %"', json.dumps(design))
    results: dict[str, Any] = json.loads(text)
    results["study"]["settings"] |= {"published": table, "prune": [{"method": method, "floor": 0.1}]}
    results["runs"] = [run for run in results["runs"] if run["arm"] in arms]
    for run in results["runs"]:
        run["epochs"] = round(share * LENGTHS.get(run["arm"], 160))
        run["test_accuracy"] = ACCURACY.get(run["arm"], 93.0) + 0.1 * (run["seed"] - (seeds - 1) / 2)
    results["verdicts"] = []
    results["pairs"] = [pair for pair in results["pairs"] if {pair["a"], pair["b"]} <= {*arms}]
    for pair in results["pairs"]:
        mean = ACCURACY.get(pair["a"], 93.0) - ACCURACY.get(pair["b"], 93.0)
        pair |= {"mean": mean, "ci95": [mean - 0.25, mean + 0.25] if seeds > 1 else None}
    return results
