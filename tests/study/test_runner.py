"""The runner: does what is missing, once, and goes on where something failed."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from regrow.config.load import load_study
from regrow.errors import ConfigError, MissingExtraError, ProtocolError
from regrow.study.executor import Event, slots_of
from regrow.study.expand import expand
from regrow.study.expansion import Expansion
from regrow.study.runner import MAX_ATTEMPTS, Job, run_study, stuck
from regrow.study.stage import Stage
from regrow.study.store import Store
from tests.study.conftest import Finished, command, environment, write_tiny


@pytest.fixture(autouse=True)
def _workers_find_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])


class Unlucky:
    """An executor whose every stage ends the same way, without being done."""

    slots = idle = 2

    def __init__(self, event: str) -> None:
        self.event = event
        self.submitted: list[Stage] = []
        self._due: list[Event] = []

    def submit(self, stage: Stage) -> None:
        self.submitted.append(stage)
        self._due.append({"event": self.event, "key": stage.key, "message": "out of luck", "detail": ""})

    def events(self, timeout: float) -> list[Event]:
        del timeout
        due, self._due = self._due, []
        return due

    def close(self) -> None:
        pass


def test_everything_was_done_and_nothing_failed(finished: Finished) -> None:
    found = expand(finished.study, finished.store.result)
    assert finished.outcome.failures == ()
    assert all(finished.store.result(key) is not None for key in found.stages)
    assert not list((finished.out / "store" / "partial").iterdir())


def test_a_stage_that_waits_for_what_nobody_makes_is_a_failure_and_no_silent_end(tmp_path: Path) -> None:
    store, found = Store(tmp_path), Expansion()
    known = Stage(kind="data", settings={"name": "digits"}, label="data digits")
    lost = Stage(kind="cost", settings={}, inputs={"trace": "trace-0"}, label="cost of net")
    later = Stage(kind="evaluate", settings={}, inputs={"data": known.key}, label="test of net")
    found.stages = {stage.key: stage for stage in (known, lost, later)}
    assert stuck(found, store, {}) == {lost.key: "cost of net: waits for its trace, which no stage of this study makes"}
    assert stuck(found, store, {lost.key: "failed"}) == {}


def test_a_finished_study_is_only_read_again(finished: Finished) -> None:
    started = time.monotonic()
    again = run_study(finished.study, finished.out)
    assert again.unchanged
    assert again.results == finished.outcome.results
    assert time.monotonic() - started < 2


def test_progress_counts_up_to_all_stages(finished: Finished) -> None:
    done = [snapshot.done for snapshot in finished.snapshots]
    assert done == sorted(done)
    assert finished.snapshots[-1].done == finished.snapshots[-1].total
    assert any(snapshot.eta_seconds is not None for snapshot in finished.snapshots)
    assert any(running.label.startswith("dense, seed") for s in finished.snapshots for running in s.running)


def test_one_more_seed_trains_that_seed_only_and_is_a_second_look(finished: Finished, tmp_path: Path) -> None:
    larger = load_study(str(write_tiny(tmp_path, seeds=4)), [])
    before = {path.name for path in (finished.out / "store" / "stages").iterdir()}
    outcome = run_study(larger, finished.out, workers=2)
    added = {path.name for path in (finished.out / "store" / "stages").iterdir()} - before
    assert len([name for name in added if name.startswith("train-")]) == 8
    verdict = outcome.results["verdicts"][0]
    assert (verdict["n"], verdict["looks"], verdict["extended"]) == (4, 2, True)
    assert "extended after 1 look" in verdict["sentence"]


@pytest.mark.parametrize(("event", "times"), [("failed", 1), ("lost", MAX_ATTEMPTS)])
def test_a_stage_that_cannot_be_done_is_given_up_and_the_others_are_tried(
    tmp_path: Path, event: str, times: int
) -> None:
    study = load_study(str(write_tiny(tmp_path)), [])
    executor = Unlucky(event)
    job = Job(study, Store(tmp_path / "store"), executor, None)
    job.run()
    assert len(job.failures) == 3  # the data and two costs: all that does not wait for another
    assert len(executor.submitted) == 3 * times


def test_two_processes_on_one_store_share_the_work(tmp_path: Path) -> None:
    study = write_tiny(tmp_path)
    arguments = ["--out", str(tmp_path / "out"), "--quiet", "--workers", "1", "--set", "retrain.tune_lr=false"]
    both = [
        subprocess.Popen(
            command("run", str(study), *arguments, "--set", 'arms=["retrain", "scratch-b"]'),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=200) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    stages = list((tmp_path / "out" / "store" / "stages").iterdir())
    assert all(json.loads((stage / "provenance.json").read_text())["attempts"] == 1 for stage in stages)
    assert len([stage for stage in stages if stage.name.startswith("train-")]) == 3 * 3


def test_missing_data_stop_the_run_before_any_stage(tmp_path: Path) -> None:
    path = write_tiny(tmp_path)
    path.write_text(path.read_text().replace('name = "digits"', 'name = "cifar10-jpeg"\nroot = "nowhere"'))
    with pytest.raises(ConfigError, match="nowhere"):
        run_study(load_study(str(path), []), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_extra_stops_the_run_before_any_stage(tmp_path: Path) -> None:
    study = load_study(str(write_tiny(tmp_path)), ['train.loggers=["mlflow"]'])
    with pytest.raises(MissingExtraError, match=r'pip install "regrow\[mlflow\]"'):
        run_study(study, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_arms_that_coincide_stop_the_run_before_any_training(tmp_path: Path) -> None:
    study = load_study(str(write_tiny(tmp_path)), ['arms=["retrain", "scratch-b", "scratch-b1"]'])
    with pytest.raises(ProtocolError, match="coincide"):
        run_study(study, tmp_path / "out", workers=1)
    assert not list((tmp_path / "out" / "store" / "stages").glob("train-*"))


class Counted(Unlucky):
    """An executor of four slots that notes how many stages it is given at once."""

    slots = 4

    def __init__(self) -> None:
        super().__init__("failed")
        self.at_once: list[list[int]] = []
        self._now: list[int] = []

    @property
    def idle(self) -> int:  # type: ignore[override]
        """Slots that are free now."""
        return self.slots - sum(self._now)

    def submit(self, stage: Stage) -> None:
        self._now.append(slots_of(stage))
        super().submit(stage)

    def events(self, timeout: float) -> list[Event]:
        self.at_once.append(self._now)
        self._now = []
        return super().events(timeout)


def test_a_training_waits_until_all_its_slots_are_free(finished: Finished, tmp_path: Path) -> None:
    study = load_study(str(write_tiny(tmp_path)), ["compute.devices=3"])
    store = Store(tmp_path / "store")
    for kind in ("data", "cost"):
        for folder in (finished.out / "store" / "stages").glob(f"{kind}-*"):
            shutil.copytree(folder, store.root / "stages" / folder.name)
    executor = Counted()
    Job(study, store, executor, None).run()
    taken = [slots for slots in executor.at_once if slots]
    assert taken and all(slots == [3] for slots in taken)


def test_gpus_that_there_are_not_stop_a_run_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    study = load_study(str(write_tiny(tmp_path)), ["compute.devices=2", 'compute.device="cuda"'])
    with pytest.raises(ConfigError, match="got 2, and this machine shows 1"):
        run_study(study, tmp_path / "out")
    assert not (tmp_path / "out").exists()
