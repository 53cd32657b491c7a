"""The command line: what goes to stdout and what to stderr, exit codes, and one small real study from end to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

import regrow
from regrow.cli import app
from regrow.config.catalog import KINDS

STUDY = """
seeds = 3
arms  = ["retrain", "scratch-b"]

[data]
name = "digits"

[network]
name  = "vgg11"
width = 0.0625

[train]
epochs = 2
batch  = 256

[prune]
method = "l1"

[retrain]
epochs  = 1
tune_lr = false

[compute]
device        = "cpu"
precision     = "fp32"
channels_last = false
"""
"""Learns nothing, in seconds."""


class Done(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str


def regrow_command(*arguments: str, folder: Path) -> Done:
    """Run `regrow` in a folder, as a person does."""
    command = [sys.executable, "-m", "regrow", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment())
    return Done(done.returncode, done.stdout, done.stderr)


def called(*arguments: str) -> Done:
    """The same without a process of its own, for commands that are over at once."""
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "100"}, catch_exceptions=False)
    return Done(done.exit_code, done.stdout, done.stderr)


def environment() -> dict[str, str]:
    source = str(Path(regrow.__file__).parents[1])
    return os.environ | {"PYTHONPATH": source, "COLUMNS": "100", "OMP_NUM_THREADS": "1"}


class TestList:
    @pytest.mark.parametrize("kind", KINDS)
    def test_every_kind_is_listed_for_people_and_for_programs(self, kind: str) -> None:
        shown = called("list", kind)
        rows = json.loads(called("list", kind, "--json").out)
        assert (shown.code, shown.err) == (0, "")
        assert all(row["summary"] for row in rows)
        starts = [line.split()[0] for line in shown.out.splitlines() if not line.startswith(" ")]
        assert starts == [row["name"] for row in rows]

    def test_long_summaries_are_wrapped_under_each_other(self) -> None:
        lines = called("list", "data").out.splitlines()
        assert max(len(line) for line in lines) <= 100
        assert any(line.startswith(" " * 10) for line in lines)

    def test_an_unknown_kind_is_wrong_input(self) -> None:
        done = called("list", "network")
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("no kind of list is called 'network'. Did you mean 'networks'?")


class TestCheck:
    def test_a_study_without_faults_is_told_in_two_lines(self, tmp_path: Path) -> None:
        (tmp_path / "tiny.toml").write_text(STUDY)
        assert called("check", str(tmp_path / "tiny.toml")) == Done(
            0,
            "tiny is a study without faults: 1 data set x 1 network x 1 pruning x 2 arms x 3 seeds.\n"
            "It will compare retrain with scratch-b, margin 1 point.\n",
            "",
        )

    def test_a_study_with_faults_is_wrong_input_and_has_no_traceback(self) -> None:
        done = called("check", "digits", "--set", "prune.fraction=30", "--set", "seeds=0")
        assert (done.code, done.out) == (2, "")
        assert [line.partition(": must")[0] for line in done.err.splitlines()] == [
            "--set: seeds",
            "--set: prune.fraction",
            "    Did you mean 0.3?",
        ]

    def test_faults_are_told_to_programs_too(self) -> None:
        done = called("check", "digits", "--set", "prune.fraction=30", "--json")
        answer = json.loads(done.out)
        assert (done.code, answer["ok"]) == (2, False)
        assert [(fault["where"], fault["key"], fault["hint"]) for fault in answer["faults"]] == [
            ("--set", "prune.fraction", "Did you mean 0.3?")
        ]

    def test_a_study_without_faults_shows_programs_every_setting(self) -> None:
        answer = json.loads(called("check", "digits", "--json").out)
        assert answer["ok"]
        assert answer["settings"]["contrast"] == ["retrain", "scratch-b"]

    def test_unfairness_is_wrong_input_too(self) -> None:
        done = called("check", "digits", "--set", "dense.checkpoint=x", "--set", "dense.trained_on=all", "--json")
        assert done.code == 2
        assert "the test set must be new" in json.loads(done.out)["faults"][0]["rule"]


class TestUsage:
    def test_the_version_is_printed(self) -> None:
        assert called("--version") == Done(0, f"regrow {regrow.__version__}\n", "")

    @pytest.mark.parametrize(
        "arguments", [["prune"], ["list"], ["list", "arms", "--yaml"], ["run", "digits", "--workers", "0"]]
    )
    def test_a_wrong_command_is_wrong_input(self, arguments: list[str]) -> None:
        done = called(*arguments)
        assert (done.code, done.out) == (2, "")
        assert "Traceback" not in done.err

    def test_help_names_the_five_commands(self) -> None:
        done = called("--help")
        assert done.code == 0
        assert all(f"\n  {name} " in done.out for name in ("list", "check", "plan", "run", "report"))

    def test_a_closed_pipe_is_no_traceback(self) -> None:
        command = f"{sys.executable} -m regrow list networks --json | head -c 1"
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, env=environment())
        assert (done.stdout, done.stderr) == ("[", "")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """A small real study, run once."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.toml").write_text(STUDY)
    return folder, regrow_command("run", "tiny.toml", "--workers", "1", folder=folder)


class TestRun:
    def test_a_study_runs_to_its_verdict(self, finished: tuple[Path, Done]) -> None:
        folder, done = finished
        assert done.code == 0, done.err
        assert "3 paired seeds" in done.out.replace("\n", " ")
        assert "Report: regrow-runs/tiny/report.html" in done.err
        assert {path.name for path in (folder / "regrow-runs" / "tiny").iterdir()} == {
            "report.html",
            "results.csv",
            "results.json",
        }

    def test_the_command_to_repeat_it_is_recorded(self, finished: tuple[Path, Done]) -> None:
        results = json.loads((finished[0] / "regrow-runs" / "tiny" / "results.json").read_text())
        assert results["provenance"]["command"] == "regrow run tiny.toml --workers 1"

    def test_again_changes_nothing_and_gives_only_json_on_stdout(self, finished: tuple[Path, Done]) -> None:
        folder, _ = finished
        files = sorted((folder / "regrow-runs" / "tiny").iterdir())
        before = [path.read_bytes() for path in files]
        done = regrow_command("run", "tiny.toml", "--workers", "1", "--quiet", "--json", folder=folder)
        assert done.code == 0
        assert json.loads(done.out) == json.loads(before[-1])
        assert [path.read_bytes() for path in files] == before

    def test_plan_knows_that_it_is_done(self, finished: tuple[Path, Done]) -> None:
        plan = json.loads(regrow_command("plan", "tiny.toml", "--no-measure", "--json", folder=finished[0]).out)
        assert all(row["done"] == row["count"] for row in plan["stages"])

    def test_plan_is_told_to_people(self, finished: tuple[Path, Done]) -> None:
        done = regrow_command("plan", "tiny.toml", "--no-measure", folder=finished[0])
        assert (done.code, done.err) == (0, "")
        assert "scratch-b" in done.out

    @pytest.mark.parametrize("name", ["tiny.toml", "regrow-runs/tiny"])
    def test_report_tells_it_once_more(self, name: str, finished: tuple[Path, Done]) -> None:
        folder, done = finished
        page = folder / "regrow-runs" / "tiny" / "report.html"
        page.unlink()
        again = regrow_command("report", name, folder=folder)
        assert (again.code, again.out) == (0, done.out)
        assert page.exists()

    def test_the_same_from_python(self, finished: tuple[Path, Done], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(finished[0])
        results = regrow.run("tiny.toml", workers=1, quiet=True)
        (verdict,) = results.verdicts
        assert str(verdict) == results.content["verdicts"][0]["sentence"]
        assert len(results.runs) == 9  # three seeds of the dense network and of two arms
        assert results.page.exists()
        assert results.failures == ()

    def test_a_whole_study_can_be_given_from_python(
        self, finished: tuple[Path, Done], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(finished[0])
        study = regrow.load_study("tiny.toml")
        assert regrow.run(study, quiet=True).content["runs"] == regrow.run("tiny.toml", quiet=True).content["runs"]

    def test_a_missing_folder_of_data_is_a_fault_before_anything_is_spent(self, tmp_path: Path) -> None:
        done = regrow_command(
            "run", "digits", "--set", "data.name=cifar10-jpeg", "--set", "data.root=nowhere", folder=tmp_path
        )
        assert done.code in (1, 2)
        assert "Traceback" not in done.err
        assert "nowhere" in done.err

    def test_a_study_that_has_not_run_has_no_report(self, tmp_path: Path) -> None:
        done = regrow_command("report", "digits", folder=tmp_path)
        assert (done.code, done.out) == (2, "")
        assert done.err.endswith("Run the study first: regrow run digits\n")


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
