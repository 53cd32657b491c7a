"""Lengths: epochs and schedules of arms, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from regrow.config.load import load_study
from regrow.config.study import Study
from regrow.errors import ProtocolError
from regrow.study.comparison import comparisons
from regrow.study.lengths import ArmPlan, budget_epochs, final_lr, late_step, own_epochs, retrain_epochs, round_epochs
from regrow.study.route import ledger
from tests.study.conftest import arms_of, carved, ground_of, masked, write_tiny


def study(tmp_path: Path, *overrides: str) -> Study:
    return load_study(str(write_tiny(tmp_path)), overrides)


def plans(tmp_path: Path, *overrides: str) -> dict[str, ArmPlan]:
    return {plan.name: plan for plan in arms_of(study(tmp_path, *overrides))}


def test_lengths_follow_from_k1_k2_and_the_budget(tmp_path: Path) -> None:
    # K1 = 160, K2 = 40, B1: 160 * 300 / 200 + 40 = 280; the tail of 160 epochs from 50 % on is 80
    found = plans(tmp_path, "train.epochs=160", "retrain.epochs=40")
    assert {name: plan.epochs for name, plan in found.items()} == {
        "fine-tune": 40,
        "lr-rewind": 80,
        "retrain": 40,
        "scratch-e": 160,
        "scratch-b": 280,
        "dense-longer": 280,
        "random-pruned": 40,
    }


def test_schedules_stretch_with_the_arm_and_the_tail_is_that_of_the_dense_run(tmp_path: Path) -> None:
    found = plans(tmp_path, "train.epochs=160", "retrain.epochs=40")
    assert (found["scratch-b"].schedule_epochs, found["scratch-b"].schedule_start) == (280, 0)
    assert (found["lr-rewind"].schedule_epochs, found["lr-rewind"].schedule_start) == (160, 80)
    assert found["fine-tune"].schedule == "constant"


def test_all_arms_but_fine_tune_end_at_the_same_final_lr(tmp_path: Path) -> None:
    made = study(tmp_path)
    ends = {name: plan.recipe(made, 0.0316).final_lr for name, plan in plans(tmp_path).items()}
    assert ends.pop("fine-tune") == 0.0316
    assert set(ends.values()) == {final_lr(made)} == {0.001}


def test_k2_is_a_quarter_of_k1_unless_said(tmp_path: Path) -> None:
    path = write_tiny(tmp_path)
    path.write_text(path.read_text().replace("epochs = 1\n", ""))
    assert retrain_epochs(load_study(str(path), ["train.epochs=160"])) == 40


def test_arms_that_coincide_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="scratch-b and scratch-b1 coincide"):
        plans(tmp_path, 'arms=["retrain", "scratch-b", "scratch-b1"]')


def test_a_constant_schedule_makes_fine_tune_and_retrain_one_arm(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="fine-tune and retrain coincide"):
        plans(tmp_path, 'train.schedule="constant"')


def test_every_convention_is_priced_for_the_report(tmp_path: Path) -> None:
    made = study(tmp_path, "train.epochs=160", "retrain.epochs=40")
    ground, small = ground_of(made, 1000), carved(made, 200)
    epochs = budget_epochs(made, next(comparisons(made)), small, ledger(ground, small))
    assert epochs == {
        "E": 160,
        "B0": 800,
        "B0-cap": 320,
        "B0-nominal": 800,
        "B1": 840,
        "B-SFP": 800,
        "full": 840,
        "free": 40,
        "SX-A": 200,
    }


def test_masks_are_priced_by_what_they_execute_and_by_what_is_left(tmp_path: Path) -> None:
    made = study(tmp_path, 'prune.method="magnitude"', "train.epochs=160", "retrain.epochs=40")
    ground, small = ground_of(made, 1000), masked(made, 1000, nominal=100)
    epochs = budget_epochs(made, next(comparisons(made)), small, ledger(ground, small))
    assert [epochs[name] for name in ("B0", "B0-cap", "B0-nominal")] == [160, 320, 1600]


def test_rounds_of_a_lottery_are_all_paid_for(tmp_path: Path) -> None:
    rounds = ['prune={method="magnitude", per_round=0.2, rounds=5}', "train.epochs=160", "retrain.epochs=40"]
    made = study(tmp_path, *rounds)
    ground, small = ground_of(made, 1000), masked(made, 1000, nominal=328)
    # dense training, four trainings between five prunings, fine-tuning: all of them at full size
    assert budget_epochs(made, next(comparisons(made)), small, ledger(ground, small))["full"] == 160 + 4 * 160 + 40


def test_sparsity_training_stands_in_the_place_of_dense_training(tmp_path: Path) -> None:
    made = study(tmp_path, 'prune.method="slimming"', "train.epochs=160", "retrain.epochs=40")
    small = carved(made, 500)
    assert [(one.stage, one.in_place_of_dense) for one in ledger(ground_of(made, 1000), small)] == [
        ("sparsity training", True),
        ("fine-tuning", False),
    ]


def test_the_late_step_is_a_share_of_all_steps(tmp_path: Path) -> None:
    # 4 epochs of ceil(1000 / 128) = 8 steps; a twentieth of 32 is 1.6
    made = study(tmp_path, "train.epochs=4", "train.batch=128")
    assert (
        late_step(made, 1000),
        late_step(study(tmp_path, "train.epochs=4", "retrain.late=0.5", "train.batch=128"), 1000),
    ) == (1, 16)


def test_a_late_ticket_reads_the_rest_of_the_dense_schedule(tmp_path: Path) -> None:
    made = plans(tmp_path, "train.epochs=160", "retrain.late=0.25", 'arms=["retrain", "late-ticket", "scratch-b"]')
    assert (made["late-ticket"].epochs, made["late-ticket"].schedule_start) == (120, 40)


def test_own_trainings_are_as_long_as_what_they_replace_or_follow(tmp_path: Path) -> None:
    found = {}
    for method in ("slimming", "gradual"):
        made = study(tmp_path, f'prune.method="{method}"', "train.epochs=160", "retrain.epochs=40")
        found[method] = own_epochs(made, next(comparisons(made)).wanted)
    assert found == {"slimming": 160, "gradual": 40}


def test_rounds_are_as_long_as_dense_training_or_as_fine_tuning(tmp_path: Path) -> None:
    found = []
    for between in ("rewind", "fine-tune"):
        rounds = f'prune={{method="magnitude", rounds=2, between="{between}"}}'
        made = study(tmp_path, rounds, "train.epochs=160", "retrain.epochs=40")
        found.append(round_epochs(made, next(comparisons(made)).wanted))
    assert found == [160, 40]
