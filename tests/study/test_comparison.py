"""Comparisons and arms: lengths, schedules, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from regrow.config.load import load_study
from regrow.config.study import Study
from regrow.errors import ProtocolError
from regrow.study.comparison import (
    ArmPlan,
    Comparison,
    budget_epochs,
    comparisons,
    final_lr,
    plan_arms,
    retrain_epochs,
)
from tests.study.conftest import write_tiny

DENSE_MACS, SMALL_MACS = 300, 200


def study(tmp_path: Path, *overrides: str) -> Study:
    return load_study(str(write_tiny(tmp_path)), overrides)


def plans(tmp_path: Path, *overrides: str) -> dict[str, ArmPlan]:
    made = study(tmp_path, *overrides)
    found = plan_arms(made, next(comparisons(made)), DENSE_MACS, SMALL_MACS)
    return {plan.name: plan for plan in found}


def test_a_study_is_networks_by_data_by_methods_by_fractions(tmp_path: Path) -> None:
    made = study(tmp_path, "prune.fraction=[0.3, 0.5]", 'prune.method=["l1", "random"]')
    assert [(c.method, c.fraction) for c in comparisons(made)] == [
        ("l1", 0.3),
        ("l1", 0.5),
        ("random", 0.3),
        ("random", 0.5),
    ]


def test_a_named_design_has_no_fraction(tmp_path: Path) -> None:
    path = write_tiny(tmp_path)
    path.write_text(path.read_text().replace("fraction = 0.5", 'widths = "vgg16-a"').replace("vgg11", "vgg16"))
    found: Comparison = next(comparisons(load_study(str(path), ["network.width=1"])))
    assert (found.fraction, found.design) == (None, "vgg16-a")
    assert found.pruned.widths[0] == 32


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
    epochs = budget_epochs(made, next(comparisons(made)), 1000, 200)
    assert epochs == {"E": 160, "B0": 800, "B0-cap": 320, "B1": 840}
