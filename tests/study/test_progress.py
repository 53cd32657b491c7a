"""The snapshot is a plain value that any display can read."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from regrow.study.progress import Running, Snapshot

SNAPSHOT = Snapshot(
    done=1,
    total=2,
    running=(Running(label="dense, seed 0", epoch=3, epochs=30, loss=0.5),),
    elapsed_seconds=1.0,
    eta_seconds=None,
    message="",
)


def test_equal_states_are_equal_values() -> None:
    assert dataclasses.replace(SNAPSHOT) == SNAPSHOT
    assert dataclasses.replace(SNAPSHOT, done=2) != SNAPSHOT


def test_a_snapshot_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SNAPSHOT.done = 2  # type: ignore[misc]


def test_it_imports_without_torch() -> None:
    code = "import sys, regrow.study.progress; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
