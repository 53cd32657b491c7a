"""Families across comparisons: which there are, in what they differ, what is saved, and whether the gap changes with data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from regrow.data.datasets import facts
from regrow.data.settings import DataSettings
from regrow.report.recipes import across, data_name, data_sizes, varied
from tests.report.example import example
from tests.report.recipes_example import by_hand, lengths, over_recipes, over_shares
from tests.report.recipes_studies import over_lengths, over_real_shares

Row = dict[str, Any]


def test_a_study_of_one_recipe_and_one_data_size_has_no_family() -> None:
    assert across(example(fractions=(0.3, 0.5), seeds=2)) == []
    assert across({}) == []


def test_comparisons_that_differ_in_the_recipe_alone_are_a_family() -> None:
    made = over_recipes(lengths((4, 40, 8)), arms=("fine-tune", "scratch-b", "scratch-e"))
    (family,) = across(made)
    assert family.names == ("4 epochs", "8 epochs", "40 epochs")
    assert (family.kind, family.axis.title, family.axis.values) == ("recipes", "retrain.epochs", (4, 8, 40))
    assert not family.axis.log
    assert family.title == "Recipes: vgg11 on digits, l1, 50 % of channels removed"
    assert family.arm_names == ("dense", "fine-tune", "scratch-e", "scratch-b")
    assert family.contrast == "fine-tune − scratch-b"


def test_other_methods_and_fractions_are_families_of_their_own() -> None:
    made = over_recipes(lengths())
    for name in ("runs", "verdicts", "architectures"):
        made[name] += [row | {"fraction": 0.8, "design": "80 %"} for row in made[name] if row["method"]]
    assert [family.cases[0].design for family in across(made)] == ["50 %", "80 %"]


def test_an_axis_of_more_than_a_decade_is_logarithmic() -> None:
    (short,), (long,) = (across(over_recipes(lengths(epochs))) for epochs in ((4, 40), (4, 41)))
    assert (short.axis.log, long.axis.log) == (False, True)


def test_recipes_that_differ_in_two_keys_or_in_words_stand_by_name_in_the_order_of_the_file() -> None:
    two = {"slow": {"train": {"lr": 0.01}, "retrain": {"epochs": 4}}, "fast": {"train": {"lr": 0.1}}}
    words = {"stepped": {"train": {"schedule": "step"}}, "cosine": {"train": {"schedule": "cosine"}}}
    for variants in (two, words):
        (family,) = across(over_recipes(variants))
        assert (family.names, family.axis.title, family.axis.values) == (tuple(variants), "recipe", ())
        assert family.savings == ()


@pytest.mark.parametrize(
    ("recipes", "expected"),
    [
        ([{"train": {"lr": 0.1}}, {"train": {"lr": 0.01}}], ("train.lr", [0.1, 0.01])),
        ([{"train": {"lr": 0.1, "batch": 64}}, {"train": {"batch": 64}}], ("train.lr", [0.1, 0.5])),
        ([{"train": {"nesterov": True}}, {"train": {"nesterov": False}}], ("", [])),
        ([{"retrain": {"epochs": 4}}, {"retrain": {"epochs": 4}}, {}], ("", [])),
        ([{"retrain": {"epochs": 4}}, {"retrain": {"epochs": None}}], ("", [])),
    ],
)
def test_the_axis_is_the_one_number_that_differs(recipes: list[Row], expected: Any) -> None:
    assert varied(recipes, {"train": {"lr": 0.5}, "retrain": {"epochs": 8}}) == expected


def test_savings_are_of_inheriting_arms_against_fresh_ones_and_of_no_control() -> None:
    arms = ("fine-tune", "retrain", "scratch-e", "scratch-b", "dense-longer", "random-pruned")
    (family,) = across(over_recipes(lengths(), arms=arms))
    pairs = [(saved.inheriting, saved.fresh) for saved in family.savings]
    assert pairs == [(one, other) for one in ("fine-tune", "retrain") for other in ("scratch-e", "scratch-b")]


def test_savings_by_hand() -> None:
    # 85 % is reached halfway between 10 and 40 epochs in log, after 20; scratch-b spent 80
    (family,) = across(by_hand([85.0, 85.0, 85.0]))
    (saved,) = family.savings
    assert {unit: one.ratio for unit, one in saved.units.items()} == {
        "training_flops": pytest.approx(4.0),
        "epochs": pytest.approx(4.0),
        "train_seconds": pytest.approx(4.0),
    }


def test_lengths_of_the_dense_network_are_no_lengths_of_a_retraining() -> None:
    (family,) = across(over_recipes({"short": {"train": {"epochs": 10}}, "long": {"train": {"epochs": 40}}}))
    assert (family.axis.title, family.savings) == ("train.epochs", ())


def test_comparisons_that_differ_in_the_share_of_images_are_a_family_in_rising_order() -> None:
    (family,) = across(over_shares({1: [0.0, 1.0], 0.1: [2.0, 3.0], 0.3: [1.0, 1.0]}))
    assert family.names == ("digits 10 %", "digits 30 %", "digits")
    assert (family.kind, family.axis.values, family.axis.log) == ("data", (0.1, 0.3, 1.0), True)
    assert family.title == "Data sizes: vgg11, l1, 50 % of channels removed"


def test_data_sets_that_differ_in_more_than_their_share_are_no_data_sizes() -> None:
    tables = [
        {"name": "digits"},
        {"name": "digits", "share": 0.5, "augment": "none"},
        {"name": "cifar10", "share": 0.1},
    ]
    assert data_sizes({"data": tables}) == []
    assert data_sizes({"data": tables[0]}) == []
    assert data_sizes({"data": [*tables, {"name": "digits", "label": "tiny", "share": 0.1}]}) == [
        {"digits": 1.0, "tiny": 0.1}
    ]


@pytest.mark.parametrize(
    "table",
    [
        {"name": "digits"},
        {"name": "digits", "share": 0.25},
        {"name": "cifar10", "label": "mine", "share": 0.5},
        {"name": "hub", "hub": "some/one", "examples": 100, "classes": 2, "shape": [3, 8, 8], "test": 20, "share": 0.5},
        {"name": "folder", "root": "pictures", "examples": 100, "classes": 2, "shape": [3, 8, 8], "test": 20},
        {"name": "cifar10-jpeg", "root": "pictures"},
    ],
)
def test_data_sets_are_called_what_a_run_calls_them(table: Row) -> None:
    settings = DataSettings.model_validate({**table, "root": Path(table["root"])} if "root" in table else table)
    assert data_name(table) == facts(settings).label


def test_the_change_of_the_gap_is_paired_by_seed() -> None:
    small, large = [3.0, 5.0, 4.0], [1.0, 1.5, 1.0]
    (family,) = across(over_shares({0.1: small, 1: large}))
    change = family.change
    assert change is not None
    expected = stats.ttest_rel(small, large).confidence_interval(0.95)
    assert (change.gaps, change.mean, change.n) == (pytest.approx((4.0, 3.5 / 3)), pytest.approx(8.5 / 3), 3)
    assert change.interval == pytest.approx((expected.low, expected.high))
    assert change.word == "changes"


@pytest.mark.parametrize(
    ("small", "large", "word"),
    [
        ([3.0, 3.1, 3.2], [1.0, 1.1, 1.2], "changes"),
        ([1.0, 3.1, 3.2], [3.0, 3.1, 1.2], "cannot tell"),
        ([1.0, 1.1, 1.2], [1.0, 1.1, 1.2], "no change seen"),
        ([3.0, 3.0], [1.0, 1.0], "cannot tell"),
        ([3.0], [1.0], "cannot tell"),
    ],
)
def test_a_change_needs_three_seeds_and_none_an_interval_within_the_margin(
    small: list[float], large: list[float], word: str
) -> None:
    (family,) = across(over_shares({0.1: small, 1: large}))
    assert family.change is not None
    assert family.change.word == word


def test_without_both_arms_of_the_contrast_there_is_no_change() -> None:
    made = over_shares({0.1: [1.0, 2.0], 1: [1.0, 2.0]})
    made["runs"] = [run for run in made["runs"] if run["arm"] != "scratch-b"]
    (family,) = across(made)
    assert family.change is None


def test_a_real_study_over_lengths_has_the_savings_of_its_own_runs() -> None:
    made = over_lengths()
    (family,) = across(made)
    assert (family.names, family.axis.title, family.axis.values) == (("short", "long"), "retrain.epochs", (1, 2))
    (saved,) = family.savings
    assert set(saved.units) == {"training_flops", "epochs", "train_seconds"}
    accuracy = {(run["arm"], run["variant"], run["seed"]): run["test_accuracy"] for run in made["runs"]}
    reached = []
    for seed in (0, 1):
        goal = accuracy["scratch-e", "long", seed]
        assert goal == accuracy["scratch-e", "short", seed]  # one training that both recipes share
        reached.append(max(accuracy["fine-tune", name, seed] for name in ("short", "long")) >= goal)
    for one in saved.units.values():
        assert (one.n, one.reached, one.goal_epochs, one.longest) == (2, sum(reached), 2, 2)
        assert (one.ratio is None) == (not all(reached))


def test_a_real_study_over_shares_has_the_change_of_its_own_gaps_and_does_not_judge_two_seeds() -> None:
    made = over_real_shares()
    (family,) = across(made)
    assert (family.names, family.axis.values) == (("digits 25 %", "digits"), (0.25, 1.0))
    accuracy = {(run["arm"], run["data"], run["seed"]): run["test_accuracy"] for run in made["runs"]}
    gaps = [
        [accuracy["fine-tune", data, seed] - accuracy["scratch-e", data, seed] for seed in (0, 1)]
        for data in family.names
    ]
    change = family.change
    assert change is not None
    assert change.gaps == pytest.approx((sum(gaps[0]) / 2, sum(gaps[1]) / 2))
    assert (change.mean, change.n, change.word) == (pytest.approx((sum(gaps[0]) - sum(gaps[1])) / 2), 2, "cannot tell")
