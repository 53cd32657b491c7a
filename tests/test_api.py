"""The study from Python: results as values, read back from a folder, and refused where they are none."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from regrow.api import FORMAT, PAGE, TABLE, Results, command_line, open_results, write_report
from regrow.errors import ConfigError

from .report.example import example


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of results as a run leaves it, under the usual `regrow-runs/` of the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "regrow-runs" / "digits"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(example(seeds=3)))
    return folder


@pytest.mark.parametrize("name", ["regrow-runs/digits", "regrow-runs/digits/results.json", "digits"])
def test_results_are_found_by_folder_by_file_and_by_study(name: str, folder: Path) -> None:
    results = open_results(name)
    assert results.folder.resolve() == folder
    assert results.content == example(seeds=3)


def test_verdicts_are_values_that_speak(folder: Path) -> None:
    results = open_results(folder)
    (verdict,) = results.verdicts
    row = results.content["verdicts"][0]
    assert str(verdict) == row["sentence"]
    assert (verdict.a, verdict.b) == ("retrain", "scratch-b")
    assert (verdict.word, verdict.mean, verdict.n) == (row["word"], row["mean"], 3)
    assert verdict.ci95 == tuple(row["ci95"])
    assert verdict.row["margin"] == row["margin"]


def test_a_study_of_too_few_seeds_has_a_verdict_without_a_word() -> None:
    row = {"network": "a", "data": "b", "method": "c", "fraction": None, "a": "d", "b": "e", "n": 2, "word": None}
    (verdict,) = Results({"verdicts": [row]}, Path()).verdicts
    assert (verdict.word, verdict.sentence, verdict.ci95, verdict.mean) == (None, "", None, None)


def test_runs_are_rows_and_the_page_lies_beside_them(folder: Path) -> None:
    results = open_results(folder)
    assert {run["arm"] for run in results.runs} >= {"dense", "retrain", "scratch-b"}
    assert results.page == results.folder / PAGE


def test_a_report_is_a_page_and_a_table(folder: Path) -> None:
    results = open_results(folder)
    write_report(results.content, results.folder)
    assert results.page.read_text().lstrip().startswith("<!doctype html>")
    assert len((folder / TABLE).read_text().splitlines()) == len(results.runs) + 1


def test_a_study_that_has_not_run_is_answered_with_how_to_run_it(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_results("digits", out="elsewhere")
    assert str(caught.value) == (
        "elsewhere/digits/results.json: there are no results yet\n    Run the study first: regrow run digits --out elsewhere"
    )


NO_RESULTS: list[tuple[Any, str]] = [
    ("", "cannot be read as JSON"),
    ("{", "cannot be read as JSON"),
    ("[" * 100_000, "cannot be read as JSON"),
    ("[]", f"is not a file of results in format {FORMAT}"),
    ('{"format": 99}', f"is not a file of results in format {FORMAT}"),
    (json.dumps({"format": FORMAT}), "lacks data, networks, architectures, runs"),
    (json.dumps({**example(seeds=3), "runs": 3}), "lacks runs"),
]


@pytest.mark.parametrize(("content", "rule"), NO_RESULTS)
def test_a_file_that_is_no_result_is_refused(content: str, rule: str, folder: Path) -> None:
    (folder / "results.json").write_text(content)
    with pytest.raises(ConfigError, match="that `regrow run` wrote") as caught:
        open_results(folder)
    assert rule in str(caught.value)


def test_a_file_that_is_no_text_is_refused(folder: Path) -> None:
    (folder / "results.json").write_bytes(b"\xff\xfe\0")
    with pytest.raises(ConfigError, match="cannot be read as JSON"):
        open_results(folder)


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ({}, "regrow run digits"),
        ({"out": "regrow-runs"}, "regrow run digits"),
        ({"out": "my runs", "workers": 2}, "regrow run digits --out 'my runs' --workers 2"),
        ({"set": ["seeds=3", "margin=2.0"]}, "regrow run digits --set seeds=3 --set margin=2.0"),
        ({"trust": True}, "regrow run digits --trust"),
    ],
)
def test_the_command_that_repeats_a_run(arguments: dict[str, Any], command: str) -> None:
    assert command_line("digits", **arguments) == command


def test_any_override_survives_the_shell() -> None:
    change = """arms=["retrain", 'scratch-b', "$HOME"]"""
    assert shlex.split(command_line("digits", set=[change]))[-1] == change
