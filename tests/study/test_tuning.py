"""Tuning: one grid for every arm, on seeds of its own, whatever the architecture's shape turns out to be."""

from __future__ import annotations

from pathlib import Path

from regrow.config.load import load_study
from tests.study.conftest import BEST, Pretend, write_tiny


def test_arms_of_an_automatic_method_are_tuned_on_the_tuning_seeds_own_widths(tmp_path: Path) -> None:
    study = load_study(
        str(write_tiny(tmp_path)), ["retrain.max_lrs=4", 'prune.method="slimming"', 'arms=["retrain", "scratch-b"]']
    )
    found = Pretend(study).finish(study)
    assert {tried.lr for tried in found.tried if tried.chosen} == {BEST}
    for tried in found.tried:
        for stage in tried.stages:
            assert stage.settings["stream"]["seed"] >= 10_000


def test_a_tuning_seed_whose_sparsity_training_diverged_is_told(tmp_path: Path) -> None:
    study = load_study(str(write_tiny(tmp_path)), ['prune.method="slimming"', 'arms=["retrain", "scratch-b"]'])
    found = Pretend(study, diverges_from=0.0, missing="prune").finish(study)
    assert any("seed 10000" in problem for problem in found.problems)
