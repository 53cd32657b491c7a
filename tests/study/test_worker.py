"""A worker: does a stage once, under its lock, and counts how often it was begun."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import dense_spec
from regrow.study.stage import Stage
from regrow.study.stages import cost_stage
from regrow.study.store import Store
from regrow.study.worker import answer, execute
from tests.study.conftest import environment


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def stage() -> Stage:
    return cost_stage(dense_spec(NetworkSettings(name="resnet20"), classes=10, shape=(3, 32, 32)))


def quiet(event: dict[str, Any]) -> None:
    del event


def test_a_stage_is_done_once(store: Store, stage: Stage) -> None:
    assert execute(stage, store, quiet) == "done"
    written = (store.folder(stage.key) / "result.json").stat().st_mtime_ns
    assert execute(stage, Store(store.root), quiet) == "done"
    assert (store.folder(stage.key) / "result.json").stat().st_mtime_ns == written


def test_attempts_that_came_to_nothing_are_counted(store: Store, stage: Stage) -> None:
    (store.partial(stage.key) / "attempts").write_text("2")
    execute(stage, store, quiet)
    assert store.provenance(stage.key)["attempts"] == 3


def test_a_mistake_of_a_person_has_no_traceback_and_a_mistake_of_ours_has_one(store: Store, stage: Stage) -> None:
    said: list[dict[str, Any]] = []
    answer(Stage(kind="cost", settings={"network": {}}).to_json(), store, said.append)
    answer(Stage(kind="cost", settings={}).to_json(), store, said.append)
    assert [event["event"] for event in said] == ["failed", "failed"]
    assert said[0]["detail"] == ""
    assert "KeyError" in said[1]["detail"]


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux, looks into /proc")
def test_a_worker_dies_with_its_parent_even_when_that_is_killed(tmp_path: Path) -> None:
    parent = (
        "import subprocess, sys, time\n"
        f"w = subprocess.Popen([sys.executable, '-m', 'regrow.study.worker', {str(tmp_path / 'store')!r}],"
        " stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "print(w.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while _lives(worker):
        assert time.monotonic() < deadline, "the worker outlived its parent"
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_a_network_prints_does_not_disturb_the_events(store: Store, stage: Stage, tmp_path: Path) -> None:
    code = "import os; os.write(1, b'hello from user code'); from regrow.study.worker import main; main(__import__('sys').argv[1])"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(store.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(stage.to_json()) + "\n")
        process.stdin.flush()
        line = process.stdout.readline().removeprefix("hello from user code")
        process.stdin.close()
        process.wait(timeout=20)
    assert json.loads(line) == {"event": "done", "key": stage.key}


def test_a_worker_whose_training_lost_a_process_ends_as_if_it_had_been_killed(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from regrow.study import worker\n"
        "from regrow.training.ranks import RankLostError\n"
        "def lose(*_):\n"
        "    raise RankLostError('the process of device 2 of 2 ended without a word')\n"
        "worker.execute = lose\n"
        "worker.main(sys.argv[1])\n"
    )
    request = json.dumps(Stage(kind="cost", settings={}).to_json()) + "\n"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "store")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        process.stdin.write(request)
        process.stdin.flush()
        assert process.wait(timeout=60) == 1
        assert process.stdout.read() == ""  # no event: the executor sees it end and the stage is begun again
        assert "ended without a word" in process.stderr.read()
