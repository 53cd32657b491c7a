"""The stages of analyses: added beside what a study does, and no part of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from regrow.config.load import load_study
from regrow.study.analysis_stages import LOSS_IMAGES
from regrow.study.expand import expand
from regrow.study.expansion import Analysed, Expansion
from regrow.study.plan import describe
from tests.study.conftest import Pretend, write_tiny

ALL = 'analyses=["losses", "barrier", "weights"]'
MASKED = ('prune.method="magnitude"', 'arms=["retrain", "scratch-b"]')


def planned(folder: Path, *overrides: str) -> Expansion:
    study = load_study(str(write_tiny(folder)), ["retrain.tune_lr=false", *overrides])
    return Pretend(study).finish(study)


def asked(found: Expansion) -> list[tuple[str, str, str | None, int]]:
    return [(one.analysis, one.arm, one.second, one.seed) for one in found.analysed]


def test_every_network_and_the_contrast_are_analysed_for_every_seed(tmp_path: Path) -> None:
    found = planned(tmp_path, ALL, 'arms=["retrain", "scratch-b"]')
    arms = ("dense", "retrain", "scratch-b")
    assert set(asked(found)) == {
        (name, arm, None, seed) for name in ("losses", "weights") for arm in arms for seed in range(3)
    } | {("barrier", "retrain", "scratch-b", seed) for seed in range(3)}
    assert all(found.stages[one.stage.key] == one.stage for one in found.analysed)


@pytest.mark.parametrize("more", [(), MASKED])
def test_asking_for_analyses_adds_stages_and_changes_none(tmp_path: Path, more: tuple[str, ...]) -> None:
    without, with_them = planned(tmp_path, *more), planned(tmp_path, ALL, *more)
    added = [stage for key, stage in with_them.stages.items() if key not in without.stages]
    assert without.stages.keys() < with_them.stages.keys()
    assert {stage.kind for stage in added} == {"analysis"}
    assert not asked(without)
    read = {key for stage in with_them.stages.values() if stage.kind != "analysis" for key in stage.inputs.values()}
    assert not read & {stage.key for stage in added}


def test_they_read_the_weights_of_the_runs_that_the_report_shows(tmp_path: Path) -> None:
    found = planned(tmp_path, ALL)
    runs = {(run.arm, run.seed): run.train.key for run in found.runs}
    for one in found.analysed:
        first = one.stage.inputs.get("weights") or one.stage.inputs["first"]
        assert first == runs[one.arm, one.seed]
        assert one.second is None or one.stage.inputs["second"] == runs[one.second, one.seed]


def test_weights_under_a_mask_are_read_with_it(tmp_path: Path) -> None:
    stages = {one.arm: one.stage for one in planned(tmp_path, ALL, *MASKED).analysed if one.analysis == "weights"}
    assert {arm: "mask" in stage.inputs for arm, stage in stages.items()} == {
        "dense": False,
        "retrain": True,
        "scratch-b": True,
    }


def of_losses(found: Expansion) -> Analysed:
    return next(one for one in found.analysed if one.analysis == "losses")


def test_a_key_depends_on_settings_and_inputs(tmp_path: Path) -> None:
    one = of_losses(planned(tmp_path, ALL))
    assert one.stage.settings["images"] == LOSS_IMAGES
    assert one.stage.settings["compute"]["precision"] == "fp32"
    assert of_losses(planned(tmp_path, 'analyses=["losses"]')).stage.key == one.stage.key
    assert of_losses(planned(tmp_path, ALL, "train.epochs=4")).stage.key != one.stage.key


def test_what_diverged_is_not_analysed(tmp_path: Path) -> None:
    study = load_study(str(write_tiny(tmp_path)), ["retrain.tune_lr=false", ALL])
    found = Pretend(study, diverges_from=0.05).finish(study)
    assert {one.arm for one in found.analysed} == {"fine-tune"}
    assert found.problems


def test_a_plan_counts_them(tmp_path: Path) -> None:
    study = load_study(str(write_tiny(tmp_path)), ["retrain.tune_lr=false", ALL, 'arms=["retrain", "scratch-b"]'])
    stages = {row["kind"]: row["count"] for row in describe(study, tmp_path / "out", measure=False)["stages"]}
    assert stages["analysis"] == 3 * (2 * 3 + 1)
    assert expand(study, lambda _: None).analysed == []
