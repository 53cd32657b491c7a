"""Expansion: a pure function of the study and of what is finished; what is added changes nothing that was there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from regrow.config.load import load_study
from regrow.config.study import Study
from regrow.study.expand import expand
from regrow.study.expansion import Expansion, Lookup
from tests.study.conftest import BEST, Pretend, write_tiny


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return load_study(str(write_tiny(tmp_path)), ["retrain.max_lrs=8"])


def costs_of(study: Study) -> Lookup:
    """Nothing is known but what networks cost."""
    pretend = Pretend(study)
    pretend.stages.update(expand(study, pretend).stages)
    return lambda key: pretend(key) if key.startswith("cost") else None


def chosen(found: Expansion) -> dict[str, float]:
    return {tried.arm: tried.lr for tried in found.tried if tried.chosen}


def test_before_anything_is_known_only_data_and_costs_are(study: Study) -> None:
    found = expand(study, {}.get)
    assert Counter(stage.kind for stage in found.stages.values()) == {"data": 1, "cost": 2}


def test_every_arm_gets_the_lr_with_the_lowest_validation_loss(study: Study) -> None:
    assert set(chosen(Pretend(study).finish(study)).values()) == {BEST}


def test_the_grid_grows_for_every_arm_while_a_best_is_at_its_upper_edge(study: Study) -> None:
    found = Pretend(study, best=0.35).finish(study)
    assert set(chosen(found).values()) == {0.316228}
    grids = {arm: sorted({t.lr for t in found.tried if t.arm == arm}) for arm in study.arms}
    assert len({tuple(grid) for grid in grids.values()}) == 1
    assert max(grids["retrain"]) == 1.0
    assert not any(tried.at_edge for tried in found.tried)


def test_the_grid_never_goes_below_the_final_lr_and_says_that_its_best_is_at_the_edge(study: Study) -> None:
    found = Pretend(study, best=0.0).finish(study)
    assert set(chosen(found).values()) == {0.001}
    assert all(tried.at_edge for tried in found.tried if tried.chosen)


def test_a_diverged_lr_is_never_chosen(study: Study) -> None:
    found = Pretend(study, best=0.35, diverges_from=0.2).finish(study)
    assert set(chosen(found).values()) == {0.1}


def test_divergence_at_every_lr_is_a_problem_and_ends_the_arm(study: Study) -> None:
    found = Pretend(study, diverges_from=0.0).finish(study)
    assert len(found.problems) >= len(study.arms)
    assert "diverged at every learning rate" in "".join(found.problems)
    assert {run.arm for run in found.runs} == {"dense"}


def test_tuning_seeds_are_never_reported(study: Study) -> None:
    found = Pretend(study).finish(study)
    tuning = {stage.settings["stream"]["seed"] for tried in found.tried for stage in tried.stages}
    assert tuning == {10_000, 10_001}
    assert {run.seed for run in found.runs} == {0, 1, 2}


def test_untuned_arms_take_the_dense_lr_and_fine_tune_the_final_one(tmp_path: Path) -> None:
    study = load_study(str(write_tiny(tmp_path)), ["retrain.tune_lr=false"])
    found = Pretend(study).finish(study)
    rates = {run.arm: run.lr for run in found.runs}
    assert rates.pop("fine-tune") == 0.001
    assert set(rates.values()) == {0.1}
    assert not found.tried


@pytest.mark.parametrize(
    "more",
    [
        ["seeds=5"],
        ["prune.fraction=[0.5, 0.3]"],
        ['prune.method=["l1", "l2"]'],
        ['contrast=["fine-tune", "scratch-e"]'],
    ],
)
def test_adding_seeds_fractions_or_methods_redoes_nothing(tmp_path: Path, study: Study, more: list[str]) -> None:
    larger = load_study(str(write_tiny(tmp_path)), ["retrain.max_lrs=8", *more])
    before, after = Pretend(study).finish(study), Pretend(larger).finish(larger)
    assert before.stages.keys() <= after.stages.keys()


def test_adding_an_arm_redoes_nothing(tmp_path: Path, study: Study) -> None:
    fewer = load_study(str(write_tiny(tmp_path)), ["retrain.max_lrs=8", 'arms=["retrain", "scratch-b"]'])
    assert Pretend(fewer).finish(fewer).stages.keys() <= Pretend(study).finish(study).stages.keys()


def test_methods_with_the_same_widths_share_their_scratch_arms(tmp_path: Path) -> None:
    study = load_study(str(write_tiny(tmp_path)), ['prune.method=["l1", "random"]'])
    runs = Pretend(study).finish(study).runs
    trains = {(run.comparison.method, run.arm, run.seed): run.train.key for run in runs}
    for arm, shared in {"scratch-b": True, "scratch-e": True, "dense": True, "retrain": False}.items():
        assert (trains["l1", arm, 0] == trains["random", arm, 0]) is shared


def test_random_pruned_is_the_random_methods_retrain(tmp_path: Path) -> None:
    study = load_study(str(write_tiny(tmp_path)), ['prune.method=["l1", "random"]'])
    runs = {(r.comparison.method, r.arm, r.seed): r.train.key for r in Pretend(study).finish(study).runs}
    assert runs["l1", "random-pruned", 0] == runs["random", "retrain", 0]


def test_paired_seeds_share_dense_network_and_stream(study: Study) -> None:
    runs = {(run.arm, run.seed): run.train for run in Pretend(study).finish(study).runs}
    for seed in (0, 1, 2):
        streams = {arm: runs[arm, seed].settings["stream"] for arm in (*study.arms, "dense")}
        assert {stream["seed"] for stream in streams.values()} == {seed}
        assert streams["scratch-b"]["epoch"] == streams["dense"]["epoch"] == 0
        assert streams["retrain"]["epoch"] == streams["fine-tune"]["epoch"] == study.train.epochs
    assert runs["retrain", 0].inputs["pruned"] == runs["fine-tune", 0].inputs["pruned"]


def test_scratch_weights_do_not_depend_on_the_dense_networks_seed_and_are_shared_by_e_and_b(study: Study) -> None:
    runs = {(run.arm, run.seed): run.train for run in Pretend(study).finish(study).runs}
    starts = [runs[arm, 0].settings["start"] for arm in ("scratch-e", "scratch-b", "dense", "dense-longer")]
    assert starts[0] == starts[1] != starts[2] == starts[3]


def test_a_plan_sees_every_stage_before_anything_was_trained(study: Study) -> None:
    found = expand(study, costs_of(study), assume=True)
    assert {run.arm for run in found.runs} == {*study.arms, "dense"}
    assert len(found.runs) == 3 * 8


def test_waiting_trainings_are_counted_while_tuning_goes_on(study: Study) -> None:
    found = expand(study, costs_of(study))
    assert len(found.waiting) == len(study.arms) * 3
