"""The walk through comparisons whose shape is found: by seed, under masks, from rewound states."""

from __future__ import annotations

from pathlib import Path

from regrow.config.load import load_study
from regrow.config.study import Study
from regrow.study.expand import expand
from regrow.study.expansion import Expansion, Run
from tests.study.conftest import Pretend, write_tiny


def load(tmp_path: Path, *overrides: str) -> Study:
    return load_study(str(write_tiny(tmp_path)), ["retrain.max_lrs=4", *overrides])


def finished(study: Study) -> Expansion:
    return Pretend(study).finish(study)


def runs(found: Expansion) -> dict[tuple[str, int], Run]:
    return {(run.arm, run.seed): run for run in found.runs}


def test_every_seed_of_an_automatic_method_has_its_own_widths(tmp_path: Path) -> None:
    found = finished(load(tmp_path, 'prune.method="slimming"', 'arms=["retrain", "scratch-b"]', "seeds=6"))
    assert [case.seed for case in found.cases] == [0, 1, 2, 3, 4, 5]
    widths = {seed: runs(found)["scratch-b", seed].shape.spec.widths for seed in range(6)}
    assert len(set(widths.values())) == 2
    assert all(case.shape.spec.widths == widths[case.seed] for case in found.cases if case.seed is not None)


def test_named_widths_are_one_case_for_all_seeds(tmp_path: Path) -> None:
    assert [case.seed for case in finished(load(tmp_path)).cases] == [None]


def test_arms_wait_until_the_method_has_found_its_widths(tmp_path: Path) -> None:
    study = load(tmp_path, 'prune.method="slimming"', 'arms=["retrain", "scratch-b"]')
    found = Pretend(study, missing="prune").finish(study)
    assert {run.arm for run in found.runs} == {"dense"}
    assert not found.cases
    assert len(found.waiting) == 2 * (3 + 3)


def test_the_dense_baseline_is_trained_even_where_no_arm_comes_from_it(tmp_path: Path) -> None:
    found = finished(load(tmp_path, 'prune.method="slimming"', 'arms=["retrain", "scratch-b"]'))
    run = runs(found)
    assert run["dense", 0].train.key not in run["retrain", 0].train.inputs.values()
    sparse = next(stage for _, seed, stage in found.trainings if seed == 0)
    assert sparse.settings["method"] == {"name": "slimming"}


def test_a_target_is_found_before_any_training(tmp_path: Path) -> None:
    study = load(tmp_path, 'prune.of="macs"')
    assert {stage.kind for stage in expand(study, Pretend(study)).stages.values()} == {"data", "cost"}
    pretend = Pretend(study)
    pretend.stages.update(expand(study, pretend).stages)
    assert "target" in {stage.kind for stage in expand(study, pretend).stages.values()}


def test_arms_under_a_mask_train_the_dense_network(tmp_path: Path) -> None:
    study = load(tmp_path, 'prune.method="magnitude"', 'arms=["retrain", "scratch-e", "scratch-b", "ticket-random"]')
    run = runs(finished(study))
    assert all(run[arm, 0].shape.spec == run["dense", 0].shape.spec for arm in study.arms)
    assert {run[arm, 0].shape.nominal_macs for arm in study.arms} == {60}
    assert run["scratch-b", 0].train.settings["recipe"]["epochs"] == 2 * study.train.epochs


def test_tickets_begin_with_the_dense_networks_first_weights_and_read_its_examples(tmp_path: Path) -> None:
    study = load(tmp_path, 'prune.method="magnitude"', 'arms=["retrain", "ticket", "scratch-b"]')
    run = runs(finished(study))
    ticket, dense = run["ticket", 1].train.settings, run["dense", 1].train.settings
    assert ticket["start"] == {**dense["start"], "weights": "rewound", "step": 0}
    assert ticket["stream"] == dense["stream"]


def test_a_late_ticket_needs_the_dense_runs_state(tmp_path: Path) -> None:
    study = load(tmp_path, "retrain.late=0.5", "train.epochs=4", 'arms=["retrain", "late-ticket", "scratch-b"]')
    found = finished(study)
    late = runs(found)["late-ticket", 0].train
    state = found.stages[late.inputs["state"]]
    assert state.settings["until"] == late.settings["start"]["step"]
    assert late.settings["stream"]["epoch"] == late.settings["recipe"]["schedule_start"] == 2


def test_what_is_around_pruning_is_measured(tmp_path: Path) -> None:
    found = finished(load(tmp_path))
    assert {(one.seed, one.when) for one in found.measured} == {
        (seed, when) for seed in range(3) for when in ("before", "stale", "reestimated")
    }


def test_a_sparsity_training_that_diverged_is_a_problem(tmp_path: Path) -> None:
    study = load(tmp_path, 'prune.method="slimming"', 'arms=["retrain", "scratch-b"]')
    found = Pretend(study, diverges_from=0.0, missing="prune").finish(study)
    assert any("slimming training" in problem for problem in found.problems)


def test_a_plan_supposes_what_is_not_found_yet(tmp_path: Path) -> None:
    study = load(tmp_path, 'prune.method="slimming"', 'arms=["retrain", "scratch-b"]')
    pretend = Pretend(study, missing="prune")
    pretend.stages.update(expand(study, pretend).stages)
    found = expand(study, pretend, assume=True)
    assert {run.arm for run in found.runs} == {"dense", "retrain", "scratch-b"}
    assert all(case.shape.macs == 75 for case in found.cases)


def test_arms_that_coincide_for_the_widths_of_one_seed_are_a_problem_of_that_seed(tmp_path: Path) -> None:
    arms = 'arms=["retrain", "scratch-b", "scratch-b1"]'
    found = finished(load(tmp_path, 'prune.method="slimming"', arms, "retrain.tune_lr=false"))
    assert {run.arm for run in found.runs} == {"dense"}
    assert [problem.partition(":")[0] for problem in found.problems] == ["seed 0", "seed 1", "seed 2"]
    assert all("scratch-b and scratch-b1 coincide" in problem for problem in found.problems)
