"""A results dict of the right schema for layout tests. Every number is made up by a formula: it is no study's result."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections.abc import Sequence
from typing import Any, Final

Row = dict[str, Any]

TITLE: Final = "Layout fixture (made-up numbers, no study was run)"
ANSWER: Final = "Nothing was measured here"
TRAIN, TEST = 1157, 540
EPOCHS: Final = {
    "dense": 30,
    "fine-tune": 8,
    "lr-rewind": 15,
    "retrain": 8,
    "scratch-e": 30,
    "scratch-b": 128,
    "dense-longer": 128,
    "random-pruned": 8,
}
LEVEL: Final = {
    "dense": 98.1,
    "fine-tune": 96.9,
    "lr-rewind": 97.5,
    "retrain": 97.7,
    "scratch-e": 96.8,
    "scratch-b": 97.6,
    "dense-longer": 98.2,
    "random-pruned": 97.2,
}
LR: Final = {"dense": 0.1, "fine-tune": 0.01, "lr-rewind": 0.0316, "retrain": 0.1, "scratch-e": 0.1, "scratch-b": 0.1}
GRID: Final = (0.1, 0.0316, 0.01, 0.00316)
DENSE_ARMS: Final = ("dense", "dense-longer")
T95: Final = {2: 12.706, 3: 4.303, 5: 2.776, 8: 2.365}
T90: Final = {2: 6.314, 3: 2.920, 5: 2.132, 8: 1.895}


def example(
    *,
    networks: Sequence[str] = ("vgg11",),
    methods: Sequence[str] = ("l1",),
    fractions: Sequence[float | None] = (0.5,),
    seeds: int = 8,
    epochs: int | None = None,
    arms: Sequence[str] = tuple(EPOCHS),
) -> Row:
    """A whole results dict; `epochs` replaces the length of the longest runs, to weigh a page down."""
    lengths = {arm: min(EPOCHS[arm] if epochs is None else round(EPOCHS[arm] * epochs / 128), 10_000) for arm in arms}
    cases = [(n, m, f) for n, m, f in itertools.product(networks, methods, fractions)]
    runs = [run for network in networks for run in _dense_runs(network, seeds, lengths)]
    runs += [run for case in cases for run in _case_runs(case, seeds, lengths)]
    contrast = ("retrain", "scratch-b")
    pairs = [
        pair for pair in itertools.combinations([a for a in arms if a in LR and a != "dense"], 2) if pair != contrast
    ]
    return {
        "format": 1,
        "regrow": "0.1.0",
        "study": {
            "name": "fixture",
            "title": TITLE,
            "description": "",
            "id": "0" * 64,
            "file": "fixture.toml",
            "settings": _settings(seeds),
        },
        "data": [_data()],
        "networks": [_network(network) for network in networks],
        "architectures": [_architecture(case) for case in cases],
        "runs": runs,
        "pruned": [_pruned(case, seed) for case in cases for seed in range(seeds)],
        "tuning": [row for case in cases for row in _tuning(case, arms)],
        "verdicts": [_verdict(case, runs, *contrast) for case in cases],
        "pairs": [_comparison(case, runs, *pair) | {"primary": False} for case in cases for pair in pairs],
        "ledger": _ledger(runs, seeds),
        "curves": [point for run in runs for point in _curve(run)],
        "problems": [],
        "provenance": _provenance(),
    }


def _where(case: tuple[str, str, float | None]) -> Row:
    network, method, fraction = case
    design = "vgg16-a" if fraction is None else f"{fraction * 100:g} %"
    return {"network": network, "data": "digits", "method": method, "fraction": fraction, "design": design}


def _data() -> Row:
    return {
        "data": "digits",
        "classes": 10,
        "shape": [1, 8, 8],
        "train": TRAIN,
        "validation": 100,
        "test": TEST,
        "split_digest": "ab" * 32,
        "augment": "crop",
    }


WIDTHS: Final = (64, 128, 256, 256, 512, 512, 512, 512)


def _network(network: str) -> Row:
    groups = [{"name": f"conv{i}", "stage": i // 2} for i in range(1, 9)]
    size = {
        "network": network,
        "data": "digits",
        "macs": 19_170_000,
        "params": 9_228_362,
        "peak_activation_bytes": 65_536,
    }
    return size | {"widths": list(WIDTHS), "groups": groups}


def _kept(fraction: float | None) -> float:
    return 0.6 if fraction is None else 1 - fraction


def _architecture(case: tuple[str, str, float | None]) -> Row:
    kept = _kept(case[2])
    return _where(case) | {
        "widths": [math.floor(width * kept) for width in WIDTHS],
        "macs": round(19_170_000 * kept * kept),
        "params": round(9_228_362 * kept * kept),
        "peak_activation_bytes": round(65_536 * kept),
        "scratch_epochs": {"E": 30, "B0": 120, "B0-cap": 60, "B1": 128},
    }


def _run(where: Row, arm: str, seed: int, epochs: int) -> Row:
    fraction, small = where["fraction"], arm not in DENSE_ARMS
    kept = _kept(fraction) if small else 1.0
    named = {key: value for key, value in where.items() if key != "design"}
    noise = random.Random(f"{named}{arm}{seed}").gauss(0, 0.45) + random.Random(f"{where['network']}{seed}").gauss(
        0, 0.3
    )
    accuracy = min(LEVEL[arm] + noise - (6 * (fraction or 0.4) ** 3 if small else 0), 100.0)
    correct = round(accuracy * TEST / 100)
    macs = round(19_170_000 * kept * kept)
    return where | {
        "arm": arm,
        "seed": seed,
        "epochs": epochs,
        "lr": LR.get(arm, 0.1),
        "tuned": arm not in DENSE_ARMS,
        "final_lr": LR[arm] if arm == "fine-tune" else 0.001,
        "schedule": "constant" if arm == "fine-tune" else "step",
        "macs": macs,
        "params": round(9_228_362 * kept * kept),
        "test_accuracy": 100 * correct / TEST,
        "test_loss": 0.2 - 0.001 * correct / TEST,
        "validation_accuracy": accuracy - 0.3,
        "train_accuracy": 99.9,
        "training_flops": 6 * macs * TRAIN * epochs,
        "train_seconds": round(epochs * TRAIN * (0.00008 + 0.00035 * kept), 3),
        "stage": f"{seed:064x}",
    }


def _dense_runs(network: str, seeds: int, lengths: dict[str, int]) -> list[Row]:
    where = {"network": network, "data": "digits", "method": "", "fraction": None, "design": ""}
    return [_run(where, "dense", seed, lengths["dense"]) for seed in range(seeds)]


def _case_runs(case: tuple[str, str, float | None], seeds: int, lengths: dict[str, int]) -> list[Row]:
    return [_run(_where(case), arm, s, n) for arm, n in lengths.items() if arm != "dense" for s in range(seeds)]


def _pruned(case: tuple[str, str, float | None], seed: int) -> Row:
    stale = 10 + 3 * random.Random(f"stale{case}{seed}").random()
    return _where(case) | {"seed": seed, "test_accuracy_stale": stale, "test_accuracy_reestimated": stale * 4.2}


def _tuning(case: tuple[str, str, float | None], arms: Sequence[str]) -> list[Row]:
    rows = []
    for arm, lr in itertools.product([a for a in arms if a not in DENSE_ARMS], GRID):
        best = LR.get(arm, 0.1)
        loss = None if (arm, lr) == ("fine-tune", 0.1) else 0.09 + 0.05 * abs(math.log10(lr / best)) ** 1.5
        chosen = lr == best
        rows.append(
            _where(case)
            | {
                "arm": arm,
                "lr": lr,
                "validation_loss": loss,
                "seeds": 2,
                "chosen": chosen,
                "at_edge": chosen and lr == 0.1,
            }
        )
    return rows


def _accuracies(case: tuple[str, str, float | None], runs: list[Row], arm: str) -> list[float]:
    where = _where(case)
    return [run["test_accuracy"] for run in runs if run["arm"] == arm and all(run[k] == where[k] for k in where)]


def _comparison(case: tuple[str, str, float | None], runs: list[Row], a: str, b: str) -> Row:
    differences = [x - y for x, y in zip(_accuracies(case, runs, a), _accuracies(case, runs, b), strict=True)]
    n = len(differences)
    mean, sd = statistics.mean(differences), statistics.stdev(differences) if n > 1 else 0.0
    wide, narrow = T95.get(n, 2.5) * sd / math.sqrt(n), T90.get(n, 2.0) * sd / math.sqrt(n)
    return _where(case) | {
        "a": a,
        "b": b,
        "primary": True,
        "n": n,
        "convention": "B1",
        "mean": mean,
        "sd": sd,
        "ci95": [mean - wide, mean + wide] if n > 1 else None,
        "ci90": [mean - narrow, mean + narrow] if n > 1 else None,
        "p_superiority": 0.41,
        "p_equivalence": 0.0021,
        "p_superiority_holm": 0.82,
        "p_equivalence_holm": 0.0042,
        "margin": 1.0,
        "margin_images": 5.4,
        "correlation": 0.31,
        "welch95": [mean - 1.2 * wide, mean + 1.2 * wide] if n > 1 else None,
        "floor_sd": 0.12,
        "seeds_needed": [9, 14] if mean + wide > 1 else None,
        "looks": 1,
        "extended": False,
        "tuned": True,
        "notes": [],
    }


def _verdict(case: tuple[str, str, float | None], runs: list[Row], a: str, b: str) -> Row:
    numbers = _comparison(case, runs, a, b)
    low, high = numbers["ci90"] or (-math.inf, math.inf)
    word = "equivalent" if low > -1 and high < 1 else "undecided"
    sentence = (
        f"{ANSWER}: for {case[0]} {case[1]}, {a} and {b} are {word}, that is, within the margin. "
        f"Difference {numbers['mean']:+.2f} points of test accuracy ({a} − {b}), n = {numbers['n']} paired seeds; margin 1 point, "
        "that is 5.4 of 540 test images; budget convention B1."
    )
    return numbers | {"word": word, "sentence": sentence}


def _ledger(runs: list[Row], seeds: int) -> list[Row]:
    totals: dict[tuple[Any, ...], list[Row]] = {}
    for run in runs:
        key = tuple(run[k] for k in ("network", "data", "method", "fraction", "design", "arm"))
        totals.setdefault(key, []).append(run)
    rows = []
    for key, members in totals.items():
        where = dict(zip(("network", "data", "method", "fraction", "design", "arm"), key, strict=True))
        flops, seconds = sum(r["training_flops"] for r in members), sum(r["train_seconds"] for r in members)
        entry = "dense training" if where["arm"] == "dense" else "training"
        rows.append(where | {"entry": entry, "flops": flops, "total_seconds": seconds, "runs": seeds})
        evaluation = 2 * members[0]["macs"] * TEST * seeds
        rows.append(where | {"entry": "evaluation", "flops": evaluation, "total_seconds": 0.02 * seeds, "runs": seeds})
        if where["arm"] not in DENSE_ARMS:
            rows.append(where | {"entry": "tuning", "flops": flops, "total_seconds": seconds, "runs": 2 * len(GRID)})
    return rows


def _curve(run: Row) -> list[Row]:
    keys = ("network", "data", "method", "fraction", "design", "arm", "seed")
    where, wobble = {k: run[k] for k in keys}, random.Random(f"{run['stage']}{run['arm']}{run['fraction']}")
    points = []
    for epoch in range(1, run["epochs"] + 1):
        share = epoch / run["epochs"]
        start = 0.9 if run["arm"] in ("fine-tune", "lr-rewind", "retrain", "random-pruned") else 2.3
        loss = start * math.exp(-5 * share) + 0.01 + 0.02 * wobble.random() * (1 - share)
        accuracy = run["validation_accuracy"] - 25 * start * math.exp(-6 * share) - 2 * wobble.random() * (1 - share)
        lr = run["lr"] if share <= 0.5 else run["lr"] / 10 if share <= 0.75 else run["final_lr"]
        validation = {"validation_loss": loss + 0.06, "validation_accuracy": accuracy}
        points.append(where | {"epoch": epoch, "train_loss": loss, "lr": lr} | validation)
    return points


def _settings(seeds: int) -> Row:
    return {
        "seeds": seeds,
        "arms": ["fine-tune", "lr-rewind", "retrain", "scratch-e", "scratch-b"],
        "controls": ["dense-longer", "random-pruned"],
        "contrast": ["retrain", "scratch-b"],
        "margin": 1.0,
        "data": {"name": "digits", "validation": 100, "test": None, "split_seed": 0, "augment": "crop"},
        "network": {"name": "vgg11", "width": 1.0},
        "dense": {"checkpoint": None},
        "train": {
            "epochs": 30,
            "lr": 0.1,
            "final_lr": 0.001,
            "schedule": "step",
            "batch": 128,
            "momentum": 0.9,
            "weight_decay": 0.0001,
        },
        "prune": {"method": "l1", "fraction": 0.5, "skip": []},
        "retrain": {
            "epochs": 8,
            "rewind": 0.5,
            "convention": "B1",
            "tune_lr": True,
            "lrs": list(GRID),
            "tune_seeds": 2,
        },
        "compute": {"device": "cpu", "threads": 1, "precision": "fp32", "channels_last": False, "compile": False},
    }


def _provenance() -> Row:
    return {
        "machine": {"cpu": "Fixture CPU @ 2.00GHz", "cores": 4, "memory_gib": 15.6, "gpu": None, "system": "Linux"},
        "versions": {"python": "3.11.7", "regrow": "0.1.0", "torch": "2.15.0", "numpy": "2.4.0"},
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "command": "regrow run fixture.toml --set retrain.epochs=8",
        "started": "2026-01-01T12:00:00+00:00",
        "finished": "2026-01-01T12:01:07+00:00",
        "store": "./regrow-runs/store",
        "attempts": 1,
    }
