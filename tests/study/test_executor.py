"""This machine as an executor: real worker processes doing real stages."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import dense_spec
from regrow.study.executor import Event, ThisMachine, this_machine, visible_gpus
from regrow.study.stage import Stage
from regrow.study.stages import cost_stage
from regrow.study.store import Store
from tests.study.conftest import environment


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    return Store(tmp_path / "store")


@pytest.fixture
def executor(store: Store) -> Iterator[ThisMachine]:
    machine = ThisMachine(store.root, slots=1, threads=1)
    yield machine
    machine.close()


def stage(name: str = "resnet20") -> Stage:
    return cost_stage(dense_spec(NetworkSettings(name=name), classes=10, shape=(3, 32, 32)))


def next_event(executor: ThisMachine, seconds: float = 60) -> Event:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for event in executor.events(timeout=0.2):
            return event
    raise AssertionError("nothing happened")


def worker_pids(executor: ThisMachine) -> list[int]:
    return [worker._process.pid for worker in executor._workers]


def test_a_stage_goes_out_and_its_result_is_in_the_store(executor: ThisMachine, store: Store) -> None:
    executor.submit(stage())
    assert executor.idle == 0
    assert next_event(executor)["event"] == "done"
    assert executor.idle == 1
    result = store.result(stage().key)
    assert result is not None and result["macs"] > 40_000_000


def test_a_worker_is_kept_for_the_next_stage_and_replaced_when_it_was_killed(executor: ThisMachine) -> None:
    executor.submit(stage())
    next_event(executor)
    first = worker_pids(executor)
    executor.submit(stage("resnet32"))
    assert worker_pids(executor) == first
    os.kill(first[0], signal.SIGKILL)
    lost = next_event(executor)
    assert lost["event"] in {"lost", "done"}  # it may have been quicker than the signal
    executor.submit(stage("resnet44"))
    while next_event(executor).get("key") != stage("resnet44").key:
        pass
    assert worker_pids(executor) != first


def test_a_stage_that_another_process_holds_is_busy(executor: ThisMachine, store: Store) -> None:
    with store.lock(stage().key):
        executor.submit(stage())
        assert next_event(executor)["event"] == "busy"


def test_a_failure_says_what_was_wrong(executor: ThisMachine) -> None:
    executor.submit(Stage(kind="cost", settings={"network": {"name": "resnet20"}}))
    event = next_event(executor)
    assert event["event"] == "failed"
    assert "widths" in event["message"]


def test_slots_follow_cores_and_threads_unless_the_study_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regrow.study.executor.available_cores", lambda: 8)
    assert this_machine(tmp_path, device="cpu", threads=2, workers=None).slots == 4
    assert this_machine(tmp_path, device="cpu", threads=16, workers=None).slots == 1
    assert this_machine(tmp_path, device="cpu", threads=2, workers=3).slots == 3


@pytest.mark.parametrize(("listed", "found"), [("0,1", ("0", "1")), ("", ()), ("-1", ())])
def test_gpus_are_those_that_the_environment_shows(
    listed: str, found: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert visible_gpus() == found


def test_one_slot_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    machine: Any = this_machine(tmp_path, device="auto", threads=1, workers=None)
    assert machine.slots == 2
    assert [machine._environment(n)["CUDA_VISIBLE_DEVICES"] for n in (0, 1)] == ["0", "1"]
