"""Stages of pruning: what they depend on, and what they wait for."""

from __future__ import annotations

from pathlib import Path

from regrow.config.load import load_study
from regrow.config.study import Study
from regrow.study.comparison import comparisons
from regrow.study.pruning_stages import (
    Pruning,
    arm_stage,
    own_training_stage,
    prune_stage,
    random_stage,
    round_stage,
    state_stage,
    target_stage,
)
from regrow.study.stage import Stage
from regrow.study.stages import dense_stage
from tests.study.conftest import arms_of, ground_of, masked, write_tiny


def load(tmp_path: Path, *overrides: str) -> Study:
    return load_study(str(write_tiny(tmp_path)), overrides)


def pruned(study: Study, seed: int = 0) -> Stage:
    ground = ground_of(study)
    small = ground.comparison.pruned
    widths = None if small is None else small.widths
    return prune_stage(ground, Pruning(source=dense_stage(ground, 0), seed=seed, read=2, widths=widths))


def test_l1_pruning_does_not_depend_on_the_seed_and_random_pruning_does(tmp_path: Path) -> None:
    found = {
        method: len({pruned(load(tmp_path, f'prune.method="{method}"'), seed).key for seed in (0, 1)})
        for method in ("l1", "random")
    }
    assert found == {"l1": 1, "random": 2}


def test_inheritors_wait_for_the_carved_network_and_scratch_arms_for_nothing(tmp_path: Path) -> None:
    study = load(tmp_path)
    for plan in arms_of(study):
        stage = arm_stage(ground_of(study), plan, 0, 0.1, pruned(study), read=2)
        assert ("pruned" in stage.inputs) == (plan.arm.weights == "carved")


def test_arms_under_a_mask_wait_for_the_mask_but_a_dense_control_does_not(tmp_path: Path) -> None:
    study = load(tmp_path, 'prune.method="magnitude"')
    for plan in arms_of(study, masked(study)):
        stage = arm_stage(ground_of(study), plan, 0, 0.1, pruned(study), read=2)
        assert ("pruned" in stage.inputs) == ("mask" in stage.settings) == (plan.arm.network == "pruned")


def test_only_a_method_that_looks_at_examples_reads_data(tmp_path: Path) -> None:
    found = {method: "data" in pruned(load(tmp_path, f'prune.method="{method}"')).inputs for method in ("l1", "taylor")}
    assert found == {"l1": False, "taylor": True}


def test_a_sparsity_training_begins_as_the_dense_one_or_where_it_ended(tmp_path: Path) -> None:
    found = []
    for start in ("scratch", "dense"):
        study = load(tmp_path, f'prune={{method="slimming", start="{start}"}}')
        ground = ground_of(study)
        dense = dense_stage(ground, 0)
        stage = own_training_stage(ground, 0, dense, None)
        found.append(
            (
                stage.settings["start"]["weights"],
                stage.inputs.get("pruned") == dense.key,
                stage.settings["stream"]["epoch"],
            )
        )
    assert found == [("fresh", False, 0), ("carved", True, study.train.epochs)]


def test_soft_pruning_is_told_the_widths(tmp_path: Path) -> None:
    study = load(tmp_path, 'prune.method="soft"')
    ground = ground_of(study)
    assert own_training_stage(ground, 0, dense_stage(ground, 0), (1, 2)).settings["method"]["widths"] == [1, 2]


def test_controls_by_chance_know_the_widths_or_the_mask(tmp_path: Path) -> None:
    study = load(tmp_path, 'prune.method="magnitude"')
    ground = ground_of(study)
    pruning = Pruning(source=dense_stage(ground, 0), seed=0, read=2)
    chosen = prune_stage(ground, pruning)
    inside, anywhere = (random_stage(ground, pruning, masked(study), chosen, anywhere=one) for one in (False, True))
    assert inside.inputs["like"] == chosen.key
    assert (inside.settings["method"], anywhere.settings["method"]) == ("shuffled mask", "random mask")


def test_a_round_is_rewound_or_goes_on(tmp_path: Path) -> None:
    study = load(tmp_path, 'prune={method="magnitude", rounds=2}')
    ground = ground_of(study)
    back, on = (round_stage(ground, 0, pruned(study), 1, read=9, step=step) for step in (0, None))
    assert (back.settings["start"]["weights"], back.settings["stream"]["epoch"]) == ("rewound", 0)
    assert (on.settings["start"]["weights"], on.settings["stream"]["epoch"]) == ("carved", 9)


def test_a_state_is_the_dense_run_stopped_on_the_way(tmp_path: Path) -> None:
    ground = ground_of(load(tmp_path))
    state, dense = state_stage(ground, 0, 5), dense_stage(ground, 0)
    assert {**state.settings, "until": None} == {**dense.settings, "until": None}
    assert state.settings["until"] == 5
    assert 0 < state.work < dense.work


def test_a_target_depends_on_the_share_and_on_the_processor_only_for_latency(tmp_path: Path) -> None:
    kinds = {}
    for of in ("macs", "latency"):
        comparison = next(comparisons(load(tmp_path, f'prune={{method="l1", of="{of}", fraction=0.5}}')))
        kinds[of] = "processor" in target_stage(comparison).settings
    assert kinds == {"macs": False, "latency": True}
