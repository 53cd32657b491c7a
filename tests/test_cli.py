"""The command line as a whole: usage, exit codes, pipes and Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import regrow
from tests.commands.shell import STUDY, Done, called, environment


class TestUsage:
    def test_the_version_is_printed(self) -> None:
        assert called("--version") == Done(0, f"regrow {regrow.__version__}\n", "")

    @pytest.mark.parametrize(
        "arguments", [["prune"], ["check"], ["list", "arms", "--yaml"], ["run", "digits", "--workers", "0"]]
    )
    def test_a_wrong_command_is_wrong_input(self, arguments: list[str]) -> None:
        done = called(*arguments)
        assert (done.code, done.out) == (2, "")
        assert "Traceback" not in done.err

    def test_help_names_every_command(self) -> None:
        done = called("--help")
        assert done.code == 0
        assert all(f"\n  {name} " in done.out for name in ("list", "check", "plan", "run", "report", "latency"))

    def test_a_closed_pipe_is_no_traceback(self) -> None:
        command = f"{sys.executable} -m regrow list networks --json | head -c 1"
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, env=environment())
        assert (done.stdout, done.stderr) == ("[", "")


def test_ctrl_c_ends_with_one_line_that_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(STUDY.replace("epochs = 2", "epochs = 5000"))
    command = [sys.executable, "-m", "regrow", "run", "tiny.toml", "--workers", "1", "--quiet"]
    process: subprocess.Popen[Any] = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=listen_to_ctrl_c,
    )
    wait_for(tmp_path / "regrow-runs" / "store")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.strip() == "Stopped. What is finished is kept; go on with: regrow run tiny.toml --workers 1"


def listen_to_ctrl_c() -> None:
    """Tests that run in the background of a shell inherit deaf ears."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(path: Path) -> None:
    """Until a path is there and a second more, so that work has begun."""
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
