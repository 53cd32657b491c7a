"""This machine as an executor: real worker processes doing real stages."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regrow.errors import ConfigError
from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import dense_spec
from regrow.study.executor import (
    Event,
    ThisMachine,
    refuse_too_many,
    request,
    slots_of,
    this_machine,
    visible_gpus,
)
from regrow.study.stage import Stage
from regrow.study.stages import cost_stage
from regrow.study.store import Store
from regrow.training.compute import Compute
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


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into /proc")
def test_one_slot_a_gpu(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    machine: Any = this_machine(store.root, device="auto", threads=1, workers=None)
    assert machine.slots == 2
    for _ in range(2):
        machine.submit(stage())
    assert [worker.gpus for worker in machine._workers] == [("0",), ("1",)]
    assert [_visible(worker) for worker in machine._workers] == ["0", "1"]
    machine.close()


def _visible(worker: Any) -> str:
    """CUDA_VISIBLE_DEVICES of a running worker."""
    variables = Path(f"/proc/{worker._process.pid}/environ").read_bytes().decode().split("\0")
    return next(value for name, _, value in (one.partition("=") for one in variables) if name == "CUDA_VISIBLE_DEVICES")


def training(devices: int) -> Stage:
    """A training that is asked for and never done: the worker is killed before it can begin."""
    return Stage(kind="train", settings={"compute": Compute(devices=devices).to_json()})


def test_a_training_takes_a_slot_for_each_of_its_devices_and_all_else_takes_one() -> None:
    assert [slots_of(training(devices)) for devices in (1, 2, 8)] == [1, 2, 8]
    assert slots_of(stage()) == 1
    wish = Stage(kind="trial", settings={"compute": {"device": "auto", "devices": 4}})
    assert slots_of(wish) == 1


def test_a_training_over_two_gpus_has_them_to_itself_while_others_are_idle(store: Store) -> None:
    machine = ThisMachine(store.root, slots=4, threads=1, gpus=("4", "5", "6", "7"))
    machine.submit(training(2))
    assert machine.idle == 2
    machine.submit(stage())
    machine.submit(stage("resnet32"))
    assert machine.idle == 0
    assert [worker.busy_gpus for worker in machine._workers] == [("4", "5"), ("6",), ("7",)]
    machine.close()
    assert machine.idle == 4


def test_a_worker_on_a_gpu_that_a_training_over_two_uses_is_passed_over(store: Store) -> None:
    machine = ThisMachine(store.root, slots=3, threads=1, gpus=("0", "1", "2"))
    machine.submit(stage())
    machine.submit(training(2))
    (first, second) = machine._workers
    assert (first.busy_gpus, second.busy_gpus) == (("0",), ("1", "2"))
    first.key = None  # as when its stage has ended
    machine.submit(stage("resnet32"))
    assert machine._workers == [first, second] and first.busy_gpus == ("0",)
    second.key = None
    machine.submit(stage("resnet44"))
    assert [worker.busy_gpus for worker in machine._workers] == [("0",), ("1",)]
    machine.close()


def test_there_are_slots_for_one_training_at_least_and_for_as_many_as_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regrow.study.executor.available_cores", lambda: 4)
    assert this_machine(tmp_path, device="cpu", threads=1, workers=None, devices=2).slots == 4
    assert this_machine(tmp_path, device="cpu", threads=1, workers=None, devices=8).slots == 8
    assert this_machine(tmp_path, device="cpu", threads=1, workers=3, devices=2).slots == 6
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    assert this_machine(tmp_path, device="auto", threads=1, workers=None, devices=2).slots == 4


def test_more_gpus_than_there_are_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    refuse_too_many("cuda", 2)
    refuse_too_many("cpu", 8)
    with pytest.raises(ConfigError, match="got 4, and this machine shows 2"):
        refuse_too_many("auto", 4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    refuse_too_many("auto", 4)  # then it is the CPU that is shared


def test_the_gpus_of_a_training_over_several_travel_with_it_and_are_no_part_of_its_key() -> None:
    sent = request(training(2), ("3", "5"))
    assert sent["local"] == {"gpus": "3,5"}
    assert Stage.from_json(sent).key == training(2).key
    assert request(training(1)) == training(1).to_json()
