"""Results taken apart into cases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from regrow.report.cases import (
    Row,
    arm_order,
    arm_summaries,
    by,
    cases,
    families,
    inherits,
    interval,
    is_control,
    is_dense,
    mean,
    means_of,
)
from tests.report.example import example


def run(arm: str, seed: int, accuracy: float | None = 90.0, **more: Any) -> dict[str, Any]:
    return {"arm": arm, "seed": seed, "test_accuracy": accuracy, **more}


def test_every_fraction_is_a_case_of_its_family_in_rising_order() -> None:
    (family,) = families(example(fractions=(0.8, 0.3, None), seeds=2))
    assert [case.fraction for case in family.cases] == [None, 0.3, 0.8]
    assert family.title == "vgg11 on digits, l1 pruning"


def test_networks_and_methods_are_families_of_their_own() -> None:
    found = families(example(networks=("vgg11", "resnet20"), methods=("l1", "random"), seeds=2))
    assert [(family.network, family.method) for family in found] == [
        ("resnet20", "l1"),
        ("resnet20", "random"),
        ("vgg11", "l1"),
        ("vgg11", "random"),
    ]


def test_a_case_holds_its_own_rows_and_the_dense_network_that_belongs_to_no_method() -> None:
    first, second = cases(example(fractions=(0.5, 0.8), seeds=3))
    assert first.dense is not None
    assert second.dense is not None
    assert first.dense.runs == second.dense.runs
    assert {row["fraction"] for row in first.pairs} == {0.5}
    assert {row["fraction"] for row in second.ledger} == {0.8, None}
    assert len(first.pruned) == 3


def test_arms_stand_in_table_order_with_controls_last() -> None:
    (case,) = cases(example(seeds=2))
    assert [arm.arm for arm in case.arms] == [
        "dense",
        "fine-tune",
        "lr-rewind",
        "retrain",
        "scratch-e",
        "scratch-b",
        "dense-longer",
        "random-pruned",
    ]
    assert [arm.arm for arm in case.controls] == ["dense-longer", "random-pruned"]
    assert [arm.arm for arm in case.ranked][:1] == ["fine-tune"]


def test_an_unknown_arm_is_shown_last_and_is_no_control() -> None:
    assert sorted(["someone-elses", "dense-longer", "scratch-b", "dense"], key=arm_order) == [
        "dense",
        "scratch-b",
        "someone-elses",
        "dense-longer",
    ]
    assert not is_control("someone-elses")
    assert not inherits("someone-elses")
    assert arm_summaries([run("someone-elses", 0)])[0].summary == ""


def test_arms_know_whether_they_inherit_and_whether_they_are_dense() -> None:
    assert [inherits(arm) for arm in ("dense", "retrain", "scratch-b", "random-pruned")] == [False, True, False, True]
    assert [is_dense(arm) for arm in ("dense", "dense-longer", "retrain")] == [True, True, False]


def test_runs_are_sorted_by_seed_and_averaged() -> None:
    (arm,) = arm_summaries([run("retrain", 1, 92.0, lr=0.1), run("retrain", 0, 90.0, lr=0.1)])
    assert [r["seed"] for r in arm.runs] == [0, 1]
    assert (arm.n, arm.accuracy, arm.only("lr")) == (2, 91.0, 0.1)


def test_the_interval_of_two_runs_is_students() -> None:
    # mean 91, sd sqrt(2), standard error 1, t(0.975, 1) = 12.7062
    assert interval([90.0, 92.0]) == pytest.approx((91 - 12.7062, 91 + 12.7062), abs=1e-3)


def test_one_run_has_a_mean_and_no_interval() -> None:
    (arm,) = arm_summaries([run("retrain", 0)])
    assert (arm.accuracy, arm.interval) == (90.0, None)


def test_an_unknown_number_gives_no_mean_and_no_interval() -> None:
    (arm,) = arm_summaries([run("retrain", 0, None), run("retrain", 1, None)])
    assert (arm.accuracy, arm.interval, arm.mean("train_seconds")) == (None, None, None)
    assert mean([]) is None


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"design": "50 %"}, "50 % of channels removed"),
        ({"design": "50 % of macs"}, "50 % of macs removed"),
        ({"design": "50 % of macs global"}, "50 % of macs global removed"),
        ({"design": "50 % global"}, "50 % of channels removed (global)"),
        ({"design": "50 %", "kept_weights": 7}, "50 % of weights removed"),
        ({"design": "50 % 2:4", "kept_weights": 7}, "50 % of weights removed (2:4)"),
        ({"design": "50 %", "removed": ["stage2.3"]}, "50 % of blocks removed"),
    ],
)
def test_what_was_removed_is_said_by_its_kind(row: dict[str, Any], said: str) -> None:
    (case,) = cases(example(seeds=1))
    assert replace(case, architecture={**case.architecture, **row}).removed == said


def test_arms_with_weights_of_the_dense_run_owe_it_rewound_or_not() -> None:
    assert inherits("retrain") and inherits("ticket") and inherits("late-ticket")
    assert not inherits("scratch-e-scaled") and not inherits("dense") and not inherits("of another version")


def test_a_design_names_what_was_removed_where_there_is_no_fraction() -> None:
    first, second = cases(example(fractions=(None, 0.25), seeds=2))
    assert (first.design, first.removed) == ("vgg16-a", "pruned to vgg16-a")
    assert (second.design, second.removed) == ("25 %", "25 % of channels removed")


def test_a_study_with_nothing_but_an_architecture_is_a_case_without_arms() -> None:
    results = example(seeds=2)
    (case,) = cases({"architectures": results["architectures"]})
    assert (case.arms, case.verdict, case.dense, case.dense_network) == ((), None, None, {})


def test_recipes_stand_in_the_order_of_the_study_file() -> None:
    results = example(seeds=2)
    names = ("3 epochs", "12 epochs", "6 epochs")
    results["study"]["settings"]["variant"] = [{"name": name} for name in names]
    for table in ("architectures", "runs", "verdicts"):
        results[table] = [row | {"variant": name} for row in results[table] for name in names]
    assert [case.variant for case in cases(results)] == list(names)


def test_nothing_gives_no_cases() -> None:
    assert families({}) == ()


def test_rows_are_grouped_in_order_of_first_appearance() -> None:
    assert list(by([{"k": 2}, {"k": 1}, {"k": 2}], lambda row: row["k"]).items()) == [
        (2, [{"k": 2}, {"k": 2}]),
        (1, [{"k": 1}]),
    ]


def test_an_architecture_of_many_seeds_is_told_by_its_means() -> None:
    one: Row = {
        "macs": 100,
        "params": 7,
        "widths": [4, 6],
        "scratch_epochs": {"B1": 10, "free": None},
        "seed": 0,
        "notes": [],
    }
    other = {**one, "macs": 300, "widths": [8, 6], "scratch_epochs": {"B1": 14, "free": None}, "seed": 1}
    assert means_of([one, other]) == {
        **one,
        "macs": 200,
        "widths": [6, 6],
        "scratch_epochs": {"B1": 12, "free": None},
        "seed": None,
    }
    assert means_of([one]) == one
    assert means_of([]) == {}


@pytest.mark.parametrize(
    ("design", "more", "said"),
    [
        ("vgg16-a", {}, "pruned to vgg16-a"),
        ("3 rounds of 20 %", {"kept_weights": 512}, "weights removed, 3 rounds of 20 %"),
        ("zeros", {"removed": ["stage1.block2"]}, "blocks removed, zeros"),
    ],
)
def test_what_was_removed_is_told_where_no_fraction_says_it(design: str, more: Row, said: str) -> None:
    case = next(cases(example(fractions=(None,), seeds=2)))
    assert replace(case, architecture={**case.architecture, "design": design, **more}).removed == said
