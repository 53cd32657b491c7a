"""Results: everything a finished study found, as one JSON value. Imports no torch.

Rows are sorted by their key columns. Every measured duration has a key that ends in `_seconds`; machine, folders, dates,
command and attempts stand under `provenance`. Nothing else differs between two runs of a study.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from regrow.config.study import Study
from regrow.files import digest, pretty_json, write_atomic
from regrow.retraining.conventions import CONVENTIONS
from regrow.retraining.ledger import FORWARD_FLOPS_PER_MAC, examples_before, training_flops
from regrow.study.comparison import NO_METHOD, Comparison, network_name
from regrow.study.expansion import Analysed, Case, Expansion, Run
from regrow.study.lengths import dense_epochs
from regrow.study.looks import look_number, questions
from regrow.study.machine import commit, machine, versions
from regrow.study.stage import Stage
from regrow.study.stages import cost_stage, data_stage, traces
from regrow.study.store import Store

FORMAT = 1
FILE = "results.json"

KEYS = ("network", "data", "variant", "method", "fraction", "design")
"""The columns that say which comparison a row belongs to."""

PRUNING = ("scales", "errors", "kept", "total", "layers", "kernels", "stage_shares", "prune_seconds")
"""What a row about one pruning takes from the stage's result; None where the stage, or the version that ran it, says nothing of it."""

Row = dict[str, Any]


def read_if_current(study: Study, found: Expansion, store: Store, folder: Path) -> Row | None:
    """results.json, where it was made of exactly these stages and no look at its verdict came in between."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        results: Row = json.loads(path.read_text())
    except ValueError:
        return None
    return results if results.get("identity") == identity(study, found, store) else None


def write_results(study: Study, found: Expansion, store: Store, folder: Path, command: str) -> Row:
    """Collect, write `folder/results.json` in one rename, and remember that the verdict was looked at."""
    from regrow.study.verdicts import verdict_rows  # loads scipy

    rows = Collector(study, found, store)
    verdicts, pairs, between = verdict_rows(study, found, store)
    if any(row["word"] for row in verdicts):
        for name, look in questions(study, traces(store.result)).items():
            store.record_look(name, look)
    results: Row = {
        "format": FORMAT,
        "regrow": versions()["regrow"],
        "identity": identity(study, found, store),
        "study": {
            "name": study.name,
            "title": study.title,
            "description": study.description,
            "id": study.id,
            "file": study.file,
            "settings": study.settings(),
        },
        "data": rows.data(),
        "networks": rows.networks(),
        "architectures": rows.architectures(),
        "runs": rows.runs(),
        "pruned": rows.pruned(),
        "prunings": rows.prunings(),
        "tuning": rows.tuning(),
        "verdicts": verdicts,
        "pairs": pairs,
        "between": between,
        "ledger": rows.ledger(),
        "curves": rows.curves(),
        "analyses": rows.analyses(),
        "problems": sorted(found.problems),
        "provenance": rows.provenance(command),
    }
    write_atomic(folder / FILE, pretty_json(results))
    return results


def identity(study: Study, found: Expansion, store: Store) -> str:
    """Hash of the study, its stages and every look at its verdict: equal identity, equal results."""
    looks = {name: look_number(store, name, look) for name, look in questions(study, traces(store.result)).items()}
    return digest({"study": study.settings(), "stages": sorted(found.stages), "looks": looks})


class Collector:
    """Turns stages into rows."""

    def __init__(self, study: Study, found: Expansion, store: Store) -> None:
        self.study, self.found, self.store = study, found, store
        self.recipes = study.varied()
        self.finished = [run for run in found.runs if store.result(run.evaluate.key) is not None]
        self.comparisons = found.comparisons

    def data(self) -> list[Row]:
        """One row a data set."""
        rows = {}
        for comparison in self.comparisons:
            result = self.store.result(data_stage(comparison.data).key) or {}
            rows[comparison.facts.label] = {
                "data": comparison.facts.label,
                "classes": comparison.facts.classes,
                "shape": list(comparison.facts.shape),
                "train": comparison.facts.train,
                "validation": comparison.facts.validation,
                "test": result.get("test", comparison.facts.test),
                "split_digest": result.get("split_digest"),
                "augment": comparison.facts.augment,
            }
        return _sorted(rows.values(), "data")

    def networks(self) -> list[Row]:
        """One row a dense network and data set."""
        rows = {}
        for comparison in self.comparisons:
            name = network_name(comparison.dense)
            rows[name, comparison.facts.label] = {
                "network": name,
                "data": comparison.facts.label,
                "widths": list(comparison.dense.widths),
                "groups": [{"name": group.name, "stage": group.stage} for group in comparison.prunable.groups],
                "origin": comparison.dense.origin,
                "notes": list(comparison.prunable.notes),
                "compute": self._compute(comparison),
                **self._dense_cost(comparison),
            }
        return _sorted(rows.values(), "network", "data")

    def _compute(self, comparison: Comparison) -> Row | None:
        """The arithmetic of the trainings of one dense network and what was pruned from it; None where nothing was trained."""
        trained = (run for run in self.found.runs if run.train.kind == "train")
        same = (
            run
            for run in trained
            if run.comparison.dense == comparison.dense and run.comparison.facts == comparison.facts
        )
        return next((dict(run.train.settings["compute"]) for run in same), None)

    def architectures(self) -> list[Row]:
        """One row a comparison, and a seed where each has its own: what is left, and the length of scratch training by convention."""
        return _sorted([self._architecture(case) for case in self.found.cases], *KEYS, "seed")

    def _architecture(self, case: Case) -> Row:
        shape = case.shape
        counted = self.store.result(cost_stage(shape.spec).key) or {}
        return {
            **case.comparison.columns,
            "design": case.comparison.design,
            "seed": case.seed,
            "widths": list(shape.spec.widths),
            "removed": list(shape.spec.removed),
            "macs": shape.macs,
            "params": shape.params,
            "nominal_macs": shape.nominal_macs,
            "nominal_params": shape.nominal_params,
            "kept_weights": shape.kept,
            "replaces_dense": case.comparison.wanted.replaces_dense,
            "guide": case.comparison.wanted.guide_source,
            "peak_activation_bytes": counted.get("peak_activation_bytes"),
            "notes": [*counted.get("notes", []), *self._pruning_notes(case)],
            "scratch_epochs": dict(case.epochs),
            "formulas": {name: convention.formula for name, convention in CONVENTIONS.items()},
        }

    def _pruning_notes(self, case: Case) -> list[str]:
        return (self.store.result(case.pruned.key) or {}).get("notes", []) if case.pruned is not None else []

    def runs(self) -> list[Row]:
        """One row a training and seed; the dense network stands once for each network and data set."""
        rows = {}
        for run in self.finished:
            row = self._run(run)
            rows[tuple(str(row[name]) for name in (*KEYS, "arm", "seed"))] = row
        return _sorted(rows.values(), *KEYS, "arm", "seed")

    def _run(self, run: Run) -> Row:
        trained = self.store.result(run.train.key) or {}
        tested = self.store.result(run.evaluate.key) or {}
        recipe = run.train.settings.get("recipe", {})
        imported = run.train.kind == "import"
        study = self.recipes[run.comparison.variant]
        epochs = dense_epochs(study) if imported else recipe["epochs"]
        free = imported and study.dense.price == "free"
        return {
            **_columns(run),
            "arm": run.arm,
            "seed": run.seed,
            "epochs": epochs,
            "lr": run.lr,
            "tuned": study.retrain.tune_lr and run.arm != "dense",
            "final_lr": recipe.get("final_lr"),
            "schedule": recipe.get("schedule"),
            "macs": run.shape.macs,
            "params": run.shape.params,
            "nominal_macs": run.shape.nominal_macs,
            "test_accuracy": 100 * tested["correct"] / tested["examples"],
            "test_loss": tested["loss"],
            "validation_accuracy": trained.get("validation_accuracy"),
            "train_accuracy": trained.get("train_accuracy"),
            "training_flops": 0 if free else _flops(run, epochs, study.train.batch),
            "train_seconds": trained.get("train_seconds"),
            "stage": run.train.key,
        }

    def pruned(self) -> list[Row]:
        """Test accuracy around pruning, percent: before, and right after with stale and with re-estimated norm statistics."""
        rows: dict[str, Row] = {}
        for one in self.found.measured:
            result = self.store.result(one.stage.key)
            if result is not None:
                row = rows.setdefault(
                    f"{one.comparison.columns} {one.seed}", {**one.comparison.columns, "seed": one.seed}
                )
                row[f"test_accuracy_{one.when}"] = 100 * result["correct"] / result["examples"]
        return _sorted(rows.values(), *KEYS, "seed")

    def prunings(self) -> list[Row]:
        """One row a comparison and seed: what the method found, e.g. how its scores are distributed and how well it could fit."""
        rows = []
        for comparison, seed, stage in self.found.prunings:
            result = self.store.result(stage.key)
            if result is not None:
                found = {key: result.get(key) for key in PRUNING}
                rows.append({**comparison.columns, "seed": seed, **found})
        return _sorted(rows, *KEYS, "seed")

    def tuning(self) -> list[Row]:
        """One row an arm and learning rate."""
        rows = [
            {
                **tried.comparison.columns,
                "arm": tried.arm,
                "lr": tried.lr,
                "validation_loss": None if math.isinf(tried.loss) else tried.loss,
                "seeds": len(tried.stages),
                "chosen": tried.chosen,
                "at_edge": tried.at_edge,
            }
            for tried in self.found.tried
        ]
        return _sorted(rows, *KEYS, "arm", "lr")

    def ledger(self) -> list[Row]:
        """Training FLOPs and seconds by comparison, arm and what they were for, summed over seeds."""
        spent: dict[str, Row] = {}
        for run in self._once():
            row = self._run(run)
            entry = "dense training" if run.arm == "dense" else "training"
            seconds = row["train_seconds"] or 0.0
            self._book(spent, _columns(run) | {"arm": run.arm}, entry, row["training_flops"], seconds)
            tested = self.store.result(run.evaluate.key) or {}
            flops = FORWARD_FLOPS_PER_MAC * row["macs"] * tested["examples"]
            self._book(spent, _columns(run) | {"arm": run.arm}, "evaluation", flops, tested["evaluation_seconds"])
        for comparison, _, stage in self.found.trainings:
            if stage.kind == "train":
                columns = comparison.columns | {"arm": "method"}
                seconds = (self.store.result(stage.key) or {}).get("train_seconds", 0.0)
                self._book(spent, columns, "pruning", int(stage.work), seconds)
        for tried in self.found.tried:
            columns = tried.comparison.columns | {"arm": tried.arm}
            for stage in tried.stages:
                self._book_tuning(spent, columns, stage)
        for columns, stage in self._tuning_inherited():
            self._book_tuning(spent, columns, stage)
        return _sorted(spent.values(), *KEYS, "arm", "entry")

    def _once(self) -> list[Run]:
        """Every run, the dense network's once and not for each method that prunes it."""
        runs = {(str(_columns(run)), run.arm, run.seed): run for run in self.finished}
        return list(runs.values())

    def _tuning_inherited(self) -> list[tuple[Row, Stage]]:
        """The trainings that only the tuning seeds' arms inherit from, each once, with the columns that they belong to."""
        reported = {run.train.key for run in self.found.runs} | {stage.key for _, _, stage in self.found.trainings}
        inherited: dict[str, tuple[Row, Stage]] = {}
        for tried in self.found.tried:
            for stage in self._trained_before(tried.stages):
                start = stage.settings["start"]
                dense = start["weights"] == "fresh" and start["role"] == "dense" and "method" not in stage.settings
                columns = tried.comparison.columns | (NO_METHOD | {"arm": "dense"} if dense else {"arm": "method"})
                if stage.key not in reported:
                    inherited.setdefault(stage.key, (columns, stage))
        return list(inherited.values())

    def _trained_before(self, stages: Iterable[Stage]) -> Iterable[Stage]:
        """The trainings that stages rest on, however far back."""
        for stage in stages:
            for key in stage.inputs.values():
                before = self.found.stages.get(key)
                if before is not None and before.kind in ("train", "prune"):
                    yield from [before] if before.kind == "train" else []
                    yield from self._trained_before([before])

    def _book_tuning(self, spent: dict[str, Row], columns: Mapping[str, Any], stage: Stage) -> None:
        result = self.store.result(stage.key) or {}
        self._book(spent, columns, "tuning", int(stage.work), result.get("train_seconds", 0.0))

    @staticmethod
    def _book(spent: dict[str, Row], columns: Mapping[str, Any], entry: str, flops: int, seconds: float) -> None:
        empty = {**columns, "entry": entry, "flops": 0, "total_seconds": 0.0, "runs": 0}
        row = spent.setdefault(f"{columns} {entry}", empty)
        row["flops"] += flops
        row["total_seconds"] += seconds
        row["runs"] += 1

    def curves(self) -> list[Row]:
        """One row a run and epoch."""
        rows: dict[str, Row] = {}
        for run in self.finished:
            for epoch in (self.store.result(run.train.key) or {}).get("history", ()):
                key = {**_columns(run), "arm": run.arm, "seed": run.seed, "epoch": epoch["epoch"]}
                rows[str(key)] = {**key, **epoch}
        return _sorted(rows.values(), *KEYS, "arm", "seed", "epoch")

    def analyses(self) -> list[Row]:
        """One row an analysis, seed and network, or pair of networks; the dense network's stand once for each data set."""
        rows: dict[str, Row] = {}
        for one in self.found.analysed:
            found = self.store.result(one.stage.key)
            if found is not None:
                about = {"analysis": one.analysis, "arm": one.arm, "second": one.second, "seed": one.seed}
                key = {**_columns(one), **about}
                rows[str(key)] = {**key, "found": dict(found)}
        return _sorted(rows.values(), *KEYS, "analysis", "arm", "seed")

    def provenance(self, command: str) -> Row:
        """Where, when and how; the only part, besides seconds, that may differ between two runs."""
        stages = [self.store.provenance(key) for key in self.found.stages if self.store.result(key) is not None]
        return {
            "command": command,
            "commit": commit(),
            "machine": machine(),
            "versions": versions(),
            "store": str(self.store.root),
            "started": min((stage["started"] for stage in stages), default=None),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "attempts": sum(stage["attempts"] for stage in stages),
            "stages": len(stages),
            "machines": sorted({stage["machine"]["processor"] for stage in stages}),
            "commits": sorted({str(stage["commit"]) for stage in stages}),
            "work_seconds": sum(stage["stage_seconds"] for stage in stages),
        }

    def _dense_cost(self, comparison: Comparison) -> Row:
        counted = self.store.result(cost_stage(comparison.dense).key) or {}
        return {name: value for name, value in counted.items() if name != "notes"}


def _flops(run: Run, epochs: int, batch: int) -> int:
    """FLOPs of a training; a late ticket leaves the first steps of its first epoch out."""
    examples = run.comparison.facts.train
    skipped = examples_before(run.train.settings.get("first_step", 0), examples, batch)
    return training_flops(run.shape.macs, examples, epochs, skipped)


def _columns(run: Run | Analysed) -> Row:
    """A run's or an analysis's key columns; the dense network belongs to no method."""
    columns: Row = dict(run.comparison.columns)
    return columns | NO_METHOD if run.arm == "dense" else columns


def _sorted(rows: Iterable[Row], *keys: str) -> list[Row]:
    """Rows in the order of their key columns; None comes first."""

    def order(row: Row) -> list[tuple[bool, Any]]:
        return [(row[key] is not None, row[key] if row[key] is not None else 0) for key in keys]

    return sorted(rows, key=order)
