"""The commands about studies: what they print, and one small real study from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import regrow
from regrow.config.catalog import KINDS
from regrow.config.packaged import STUDIES
from tests.commands.shell import STUDY, Done, called, regrow_command


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

    def test_without_a_kind_all_studies_and_all_kinds_are_listed(self) -> None:
        first, second = called("list").out.split("\n\n")
        names = [line.split()[0] for line in first.splitlines()[1:] if not line.startswith(" ")]
        assert names == list(STUDIES)
        assert [line.split()[0] for line in second.splitlines()[1:] if not line.startswith(" ")] == list(KINDS)
        both = json.loads(called("list", "--json").out)
        assert [row["name"] for row in both["studies"]] == names
        assert [row["name"] for row in both["kinds"]] == list(KINDS)

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

    def test_too_few_seeds_for_a_verdict_are_told(self, tmp_path: Path) -> None:
        (tmp_path / "tiny.toml").write_text(STUDY)
        done = called("check", str(tmp_path / "tiny.toml"), "--set", "seeds=2")
        assert (done.code, done.out.splitlines()[-1]) == (0, "No verdict will come of it: that needs at least 3 seeds.")

    def test_a_fault_in_a_profile_is_found_without_taking_it(self, tmp_path: Path) -> None:
        path = tmp_path / "tiny.toml"
        path.write_text(STUDY + "\n[profile.quick]\nseds = 1\n")
        done = called("check", str(path))
        assert done.code == 2
        assert done.err.startswith(f"{path} [profile.quick]: seds: there is no such key; found 1")

    def test_prunings_that_are_kept_to_some_networks_are_not_multiplied_in_silence(self) -> None:
        assert "(some prunings for some networks or data sets only)" in called("check", "table1").out

    def test_code_of_ones_own_is_asked_for_and_not_run(self, tmp_path: Path) -> None:
        (tmp_path / "nets.py").write_text("raise RuntimeError('imported')")
        path = tmp_path / "tiny.toml"
        path.write_text(STUDY.replace('"vgg11"', '"nets:build"').replace("width = 0.0625", ""))
        done = called("check", str(path))
        assert (done.code, done.out) == (2, "")
        assert "network.name" in done.err and "--trust" in done.err
        assert called("check", str(path), "--trust").code == 0

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
