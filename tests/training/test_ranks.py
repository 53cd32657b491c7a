"""Ranks: real processes that end together, whatever happens to one of them. No torch in here: they only talk."""

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

from regrow.training.ranks import RankFailedError, RankLostError, meeting, run_ranks, this_rank

SOURCE = str(Path(__file__).parents[2] / "src")

PROGRAM = """
import json, os, sys, time
from pathlib import Path
from regrow.errors import PruningError
from regrow.training.ranks import meeting, serve, this_rank

def work(request, tell):
    asked, rank = json.loads(request), this_rank()
    Path(asked["folder"], f"pid-{rank}").write_text(str(os.getpid()))
    os.write(1, b"a network prints what it likes\\n")
"""
"""The beginning of what a rank does; each test says how it goes on."""


def start(tmp_path: Path, body: str, devices: int = 2, told: list[Any] | None = None) -> Any:
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    return run_ranks(
        [sys.executable, "-c", PROGRAM + lines + "serve(work)\n"],
        devices=devices,
        request=json.dumps({"folder": str(tmp_path)}),
        tell=(told if told is not None else []).append,
        environment={"PYTHONPATH": SOURCE, "FLAVOUR": "plain"},
    )


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def nobody_is_left(tmp_path: Path) -> bool:
    return not any(lives(int(path.read_text())) for path in tmp_path.glob("pid-*"))


def test_every_rank_gets_the_request_and_the_result_is_that_of_the_first(tmp_path: Path) -> None:
    told: list[Any] = []
    body = """
tell({"from": rank})
Path(asked["folder"], f"seen-{rank}").write_text(f"{meeting()} {os.environ['FLAVOUR']}")
return [rank, "result"]
"""
    assert start(tmp_path, body, 3, told) == [0, "result"]
    assert told == [{"from": 0}]
    seen = {(tmp_path / f"seen-{rank}").read_text() for rank in range(3)}
    assert len(seen) == 1 and seen.pop().endswith("meeting plain")


def test_a_process_by_itself_is_rank_0_whatever_another_launcher_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert (this_rank(), meeting()) == (0, None)


def test_what_other_launchers_left_does_not_reach_a_rank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NODE_RANK", "WORLD_SIZE", "MASTER_PORT"):
        monkeypatch.setenv(name, "7")
    assert start(tmp_path, "return sorted({'NODE_RANK', 'WORLD_SIZE', 'MASTER_PORT'} & set(os.environ))") == []


def test_a_mistake_of_a_person_has_its_message_and_one_of_ours_its_traceback_too(tmp_path: Path) -> None:
    with pytest.raises(RankFailedError, match=r"^no such layer$") as found:
        start(tmp_path, "if rank == 1: raise PruningError('no such layer')\ntime.sleep(60)")
    assert found.value.detail == ""
    with pytest.raises(RankFailedError, match=r"^ValueError: nine$") as found:
        start(tmp_path, "if rank == 1: raise ValueError('nine')\ntime.sleep(60)")
    assert "in work" in found.value.detail
    assert nobody_is_left(tmp_path)


def test_the_error_that_caused_the_others_is_the_one_that_is_told(tmp_path: Path) -> None:
    body = """
flag = Path(asked["folder"], "flag")
if rank == 1:
    try:
        raise ValueError("the cause")
    finally:
        flag.touch()
while not flag.exists():
    time.sleep(0.01)
time.sleep(0.2)
raise RuntimeError("connection closed by peer")
"""
    with pytest.raises(RankFailedError, match="the cause"):
        start(tmp_path, body)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
class TestKilled:
    def test_a_killed_rank_is_lost_and_no_other_is_left(self, tmp_path: Path) -> None:
        with pytest.raises(RankLostError, match=r"device 2 of 3 ended without a word"):
            start(tmp_path, "if rank == 1: os.kill(os.getpid(), 9)\ntime.sleep(60)", 3)
        assert nobody_is_left(tmp_path)

    def test_it_is_lost_too_when_another_rank_notices_first(self, tmp_path: Path) -> None:
        body = """
if rank == 1:
    time.sleep(0.5)
    os.kill(os.getpid(), 9)
raise RuntimeError("connection closed by peer")
"""
        with pytest.raises(RankLostError, match="device 2 of 2"):
            start(tmp_path, body)

    def test_ranks_end_with_the_process_that_started_them(self, tmp_path: Path) -> None:
        parent = (
            "from pathlib import Path\n"
            "from tests.training.test_ranks import start\n"
            f"start(Path({str(tmp_path)!r}), 'time.sleep(60)')\n"
        )
        root = str(Path(__file__).parents[2])
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([SOURCE, root])}
        with subprocess.Popen([sys.executable, "-c", parent], env=environment) as process:
            deadline = time.monotonic() + 60
            while len(list(tmp_path.glob("pid-*"))) < 2 and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
        assert len(list(tmp_path.glob("pid-*"))) == 2
        deadline = time.monotonic() + 20
        while not nobody_is_left(tmp_path):
            assert time.monotonic() < deadline, "a rank outlived the process that started it"
            time.sleep(0.05)
