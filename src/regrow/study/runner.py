"""The runner: does what is missing, writes down what was found. Imports no torch; workers do.

It expands the study, starts the stages whose inputs are there, and expands again when results arrive, until nothing is left.
A stage that fails does not stop the others. Killed at any moment, it goes on from the store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from regrow.config.study import Study
from regrow.config.trust import require_trust
from regrow.data.datasets import root_problem
from regrow.errors import ConfigError, MissingExtraError
from regrow.study.executor import Event, Executor, refuse_too_many, slots_of, this_machine
from regrow.study.expand import expand
from regrow.study.expansion import Expansion
from regrow.study.pace import Pace, architecture
from regrow.study.progress import Running, Snapshot
from regrow.study.results import read_if_current, write_results
from regrow.study.stage import Stage
from regrow.study.store import Store

Observer = Callable[[Snapshot], None]

MAX_ATTEMPTS = 3
"""A stage whose worker died is tried this often before it counts as failed."""

_EXTRAS = {
    "hub": ("datasets",),
    "tensorboard": ("tensorboard",),
    "wandb": ("wandb", "pytorch_lightning"),
    "mlflow": ("mlflow", "pytorch_lightning"),
}
"""Modules that an extra of regrow's brings."""

BUSY_SECONDS = 2.0
"""How soon to look again at a stage that another regrow process is working on."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a study."""

    results: dict[str, Any]
    """The content of results.json."""

    folder: Path
    """Where results.json lies; the page and the table go beside it."""

    failures: tuple[str, ...]
    """One line for each stage that could not be done; empty when all is well."""

    unchanged: bool
    """Nothing was missing and results.json was already there."""


def run_study(
    study: Study, out: Path, *, workers: int | None = None, observer: Observer | None = None, command: str = ""
) -> Outcome:
    """Do what is missing of a study under `out` and write `out/<study>/results.json`.

    Args:
        study: what to do.
        out: folder for everything; the store is `out/store` and is shared by all studies.
        workers: stages at once; by default what the study says, or what the machine has.
        observer: called with a `Snapshot` at least twice a second while work goes on.
        command: the command line to repeat this, for the report.

    Raises `ConfigError` where data are missing or a network cannot be built, `ProtocolError` where the study would compare what
    cannot be compared (all before any training), and `StoreError`.
    """
    _require(study)
    store, folder = Store(out / "store"), out / study.name
    found = expand(study, store.result)
    if all(store.result(key) is not None for key in found.stages):
        current = read_if_current(study, found, store, folder)
        if current is not None:
            return Outcome(results=current, folder=folder, failures=tuple(found.problems), unchanged=True)
        failures: dict[str, str] = {}
    else:
        found, failures = _do_missing(study, store, workers, observer)
    results = write_results(study, found, store, folder, command)
    return Outcome(results=results, folder=folder, failures=(*found.problems, *failures.values()), unchanged=False)


def _require(study: Study) -> None:
    """Raise `ConfigError` where data, optional dependencies or trust are missing: before any stage, not once in each."""
    require_trust(study)
    refuse_too_many(study.compute.device, study.compute.devices)
    for problem in map(root_problem, study.datasets):
        if problem:
            raise ConfigError(problem)
    for extra, modules in _EXTRAS.items():
        wanted = extra in study.train.loggers or any(data.name == extra for data in study.datasets)
        if wanted and not all(find_spec(module) for module in modules):
            raise MissingExtraError(f"the study's {extra}", extra)


def _do_missing(
    study: Study, store: Store, workers: int | None, observer: Observer | None
) -> tuple[Expansion, dict[str, str]]:
    compute = study.compute
    executor = this_machine(
        store.root,
        device=compute.device,
        threads=compute.threads,
        workers=workers or compute.workers,
        devices=compute.devices,
    )
    try:
        job = Job(study, store, executor, observer)
        found = job.run()
        _refuse_untraced(found, job.failures)
        return found, job.failures | stuck(found, store, job.failures)
    finally:
        executor.close()


def _refuse_untraced(found: Expansion, failures: Mapping[str, str]) -> None:
    """A network that cannot be built or traced is a mistake in the study; nothing was done yet."""
    untraced = [message for key, message in failures.items() if found.stages[key].kind == "trace"]
    if untraced:
        raise ConfigError("\n".join(untraced))


class Job:
    """One study being done on one executor."""

    def __init__(self, study: Study, store: Store, executor: Executor, observer: Observer | None) -> None:
        self.study, self.store, self.executor, self.observer = study, store, executor, observer
        self.running: dict[str, Stage] = {}
        self.failures: dict[str, str] = {}
        self._attempts: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self._progress: dict[str, Event] = {}
        self._started = time.monotonic()
        self._pace = Pace()

    def run(self) -> Expansion:
        """Until nothing is missing that could be done."""
        found = expand(self.study, self.store.result)
        while True:
            self._submit(found)
            self._observe(found)
            if not self.running and not self._not_before:
                return found
            ended = [self._handle(event) for event in self.executor.events(timeout=0.5)]
            if any(ended):
                found = expand(self.study, self.store.result)

    def _submit(self, found: Expansion) -> None:
        now = time.monotonic()
        self._not_before = {key: at for key, at in self._not_before.items() if at > now}
        waiting = sorted(self._ready(found), key=lambda stage: (stage.priority, -stage.work))
        idle = self.executor.idle
        for stage in waiting:
            # What does not fit is waited for: shorter stages behind it could keep it out for good.
            if (idle := idle - slots_of(stage)) < 0:
                return
            self.running[stage.key] = stage
            self.executor.submit(stage)

    def _ready(self, found: Expansion) -> list[Stage]:
        """Stages with nothing in their way; an input that failed or diverged stays in the way."""
        taken = (self.running, self.failures, self._not_before)
        return [
            stage
            for key, stage in found.stages.items()
            if not any(key in where for where in taken)
            and self.store.result(key) is None
            and all(usable(self.store.result(source)) for source in stage.inputs.values())
        ]

    def _handle(self, event: Event) -> bool:
        """Take note of one event; whether a stage ended."""
        key = event["key"]
        if event["event"] == "progress":
            self._progress[key] = {**self._progress.get(key, {}), **event}
            if "share" in event:
                self._pace.under_way(self.running[key], event["share"], time.monotonic())
            return False
        stage = self.running.pop(key)
        self._progress.pop(key, None)
        self._pace.ended(stage, self.store.result(key))
        if event["event"] == "busy":
            self._not_before[key] = time.monotonic() + BUSY_SECONDS
        elif event["event"] == "failed":
            self.failures[key] = f"{stage.label}: {event['message']}" + (
                f"\n{event['detail']}" if event["detail"] else ""
            )
        elif event["event"] != "done":
            self._lost(stage)
        return True

    def _lost(self, stage: Stage) -> None:
        """A worker died: try its stage again, a few times."""
        self._attempts[stage.key] = self._attempts.get(stage.key, 0) + 1
        if self._attempts[stage.key] >= MAX_ATTEMPTS:
            self.failures[stage.key] = (
                f"{stage.label}: its worker process died {MAX_ATTEMPTS} times (out of memory?); see {self.store.root / 'logs'}."
            )

    def _observe(self, found: Expansion) -> None:
        if self.observer is None:
            return
        finished = sum(self.store.result(key) is not None for key in found.stages)
        self.observer(
            Snapshot(
                done=finished,
                total=len(found.stages) + 2 * len(found.waiting),
                running=tuple(self._running_row(stage) for stage in self.running.values()),
                elapsed_seconds=time.monotonic() - self._started,
                eta_seconds=self._pace.remaining(self._open_work(found), found.waiting, self._side_by_side()),
                message="",
            )
        )

    def _side_by_side(self) -> int:
        """Trainings that can run at once."""
        return max(1, self.executor.slots // self.study.compute.devices)

    def _running_row(self, stage: Stage) -> Running:
        event = self._progress.get(stage.key, {})
        epochs = int(stage.settings["recipe"]["epochs"]) if stage.kind == "train" else 0
        return Running(label=stage.label, epoch=event.get("epoch", 0), epochs=epochs, loss=event.get("loss"))

    def _open_work(self, found: Expansion) -> list[tuple[str, float]]:
        """Architecture and training FLOPs left of every training that is not finished."""
        left = []
        for key, stage in found.stages.items():
            if stage.kind == "train" and self.store.result(key) is None and key not in self.failures:
                share = self._progress.get(key, {}).get("share", 0.0)
                left.append((architecture(stage), stage.work * (1 - share)))
        return left


def stuck(found: Expansion, store: Store, failures: Mapping[str, str]) -> dict[str, str]:
    """Stages that wait for one that nobody makes, which would be a fault of ours: a study must not end as if it were done."""
    missing = [stage for key, stage in found.stages.items() if key not in failures and store.result(key) is None]
    orphans = [
        (stage, role)
        for stage in missing
        for role, key in stage.inputs.items()
        if key not in found.stages and not usable(store.result(key))
    ]
    return {
        stage.key: f"{stage.label}: waits for its {role}, which no stage of this study makes" for stage, role in orphans
    }


def usable(result: Mapping[str, Any] | None) -> bool:
    """Whether a stage with this result can be the input of another."""
    return result is not None and not result.get("diverged", False)
