"""kill -9 at any moment: what was finished stays, what was not is redone, and the results are those of an uninterrupted run."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.study.conftest import command, environment, write_tiny

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds child processes through /proc")

PATIENCE = 900
"""Seconds for a whole run, on a machine that has other things to do."""

MEASURED = ("_seconds", "_per_second", "_joules")


def without_provenance(value: Any) -> Any:
    """Results without what may differ between two runs."""
    if isinstance(value, dict):
        return {k: without_provenance(v) for k, v in value.items() if k != "provenance" and not k.endswith(MEASURED)}
    return [without_provenance(entry) for entry in value] if isinstance(value, list) else value


def children(pid: int) -> list[int]:
    """Processes whose parent is `pid`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(path.parent.name))
        except (OSError, IndexError):
            continue
    return found


def run(study: Path, out: Path) -> dict[str, Any]:
    """To the end, uninterrupted from here on."""
    done = subprocess.run(
        command("run", str(study), "--out", str(out), "--quiet", "--workers", "2"),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads((out / "tiny" / "results.json").read_text()))


def interrupt(study: Path, out: Path, victim: str, delay: float, *, last: bool) -> bool:
    """Start the study, kill -9 the victim after `delay` seconds; whether there was still something to kill.

    A runner that lost a worker carries on: to the end after the last kill, else until it is killed as well a little later.
    """
    with subprocess.Popen(
        command("run", str(study), "--out", str(out), "--quiet", "--workers", "2"),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        time.sleep(delay)
        workers = children(process.pid)
        alive = process.poll() is None
        for pid in {"runner": [process.pid], "worker": workers[:1], "both": [process.pid, *workers]}[victim]:
            _kill(pid)
        if victim == "worker" and last:
            process.wait(timeout=PATIENCE)
        else:
            if victim == "worker":
                time.sleep(2)
                process.kill()
            process.wait(timeout=10)
            _wait_until_gone(workers)
    return alive


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _wait_until_gone(pids: list[int]) -> None:
    """Workers end when their parent dies."""
    deadline = time.monotonic() + 10
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def check(tmp_path: Path, kills: list[tuple[str, float]], *, epochs: int, seeds: int) -> None:
    study = write_tiny(tmp_path, epochs=epochs, seeds=seeds)
    reference = without_provenance(run(study, tmp_path / "reference"))
    hits = [
        interrupt(study, tmp_path / "killed", victim, delay, last=number == len(kills))
        for number, (victim, delay) in enumerate(kills, start=1)
    ]
    assert sum(hits) >= len(kills) // 2, f"{hits}: the study was over before it could be killed"
    assert without_provenance(run(study, tmp_path / "killed")) == reference


def test_killed_once_each_runner_worker_and_both_equals_uninterrupted(tmp_path: Path) -> None:
    check(tmp_path, [("runner", 5.0), ("both", 6.0), ("worker", 5.0)], epochs=3, seeds=2)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_at_ten_random_moments_equals_uninterrupted(tmp_path: Path) -> None:
    chance = random.Random(int(os.environ.get("REGROW_KILL_SEED", "0")))
    kills = [(chance.choice(["runner", "worker", "both"]), chance.uniform(1, 12)) for _ in range(10)]
    print(kills, file=sys.stderr)  # noqa: T201 - to repeat a failure
    check(tmp_path, kills, epochs=20, seeds=4)
