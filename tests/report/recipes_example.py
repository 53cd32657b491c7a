"""Made-up results over recipes and over data sizes, from the layout fixture: what a savings table should say is known by hand."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from tests.report.example import example

Row = dict[str, Any]


def over_recipes(
    variants: Mapping[str, Row], *, seeds: int = 3, arms: tuple[str, ...] = ("fine-tune", "scratch-b")
) -> Row:
    """One comparison under every variant: name to what it changes, {"retrain": {"epochs": 8}}."""
    made = _only(example(seeds=seeds), arms)
    for name in ("runs", "verdicts", "pairs", "architectures"):
        made[name] = [copy.deepcopy(row) | {"variant": variant} for variant in variants for row in made[name]]
    made["study"]["settings"] |= {
        "variant": [{"name": name, "train": {}, "retrain": {}, **changed} for name, changed in variants.items()],
        "contrast": list(arms[:2]),
    }
    made["curves"], made["tuning"], made["ledger"], made["pruned"] = [], [], [], []
    made["verdicts"] = [row | {"a": arms[0], "b": arms[1]} for row in made["verdicts"]]
    return made


def lengths(epochs: tuple[int, ...] = (10, 40)) -> dict[str, Row]:
    """Recipes that differ in the length of retraining."""
    return {f"{number} epochs": {"retrain": {"epochs": number}} for number in epochs}


def set_runs(results: Row, arm: str, variant: str, accuracies: list[float], epochs: int) -> None:
    """Give an arm's runs, seed by seed, these accuracies, and FLOPs and seconds in proportion to epochs."""
    for run in results["runs"]:
        if run["arm"] == arm and run["variant"] == variant:
            run["test_accuracy"] = accuracies[run["seed"]]
            run |= {"epochs": epochs, "training_flops": 1000 * epochs, "train_seconds": epochs / 2}


def by_hand(fresh: list[float]) -> Row:
    """fine-tune has 80 % after 10 epochs and 90 % after 40; scratch-b has `fresh`, seed by seed, after 80, whatever the recipe."""
    made = over_recipes(lengths(), seeds=len(fresh))
    for epochs, accuracy in ((10, 80.0), (40, 90.0)):
        set_runs(made, "fine-tune", f"{epochs} epochs", [accuracy] * len(fresh), epochs)
        set_runs(made, "scratch-b", f"{epochs} epochs", fresh, 80)
    return made


def over_shares(gaps: Mapping[float, list[float]], margin: float = 1.0) -> Row:
    """fine-tune minus scratch-b by share of the images, seed by seed; 540 test images."""
    seeds = len(next(iter(gaps.values())))
    plain = _only(example(seeds=seeds), ("fine-tune", "scratch-b"))
    made = copy.deepcopy(plain) | {"curves": [], "tuning": [], "ledger": [], "pruned": []}
    for name in ("runs", "verdicts", "pairs", "architectures", "networks", "data"):
        made[name] = [copy.deepcopy(row) | {"data": label_of(share)} for share in gaps for row in plain[name]]
    for run in made["runs"]:
        share = next(share for share in gaps if label_of(share) == run["data"])
        if run["arm"] != "dense":
            run["test_accuracy"] = 80.0 + (gaps[share][run["seed"]] if run["arm"] == "fine-tune" else 0.0)
    made["verdicts"] = [row | {"a": "fine-tune", "b": "scratch-b"} for row in made["verdicts"]]
    tables = [{"name": "digits", "label": None, "validation": 100} | ({} if s == 1 else {"share": s}) for s in gaps]
    made["study"]["settings"] |= {"data": tables, "contrast": ["fine-tune", "scratch-b"], "margin": margin}
    return made


def _only(made: Row, arms: tuple[str, ...]) -> Row:
    return made | {"runs": [run for run in made["runs"] if run["arm"] in ("dense", *arms)]}


def label_of(share: float) -> str:
    return "digits" if share == 1 else f"digits {100 * share:g} %"
