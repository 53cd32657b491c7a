"""Our numbers beside the published ones: which rows are laid side by side, and what is said of the two."""

from __future__ import annotations

import json
from typing import Any

import pytest

from regrow.report.published import comparison_rows, settings_of, table_of
from tests.report.example import example
from tests.report.published_example import beside


def row_of(results: dict[str, Any]) -> dict[str, Any]:
    (row,) = comparison_rows(results)
    return row


def arm(row: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in row["arms"] if one["arm"] == name)


def pair(row: dict[str, Any], a: str, b: str) -> dict[str, Any]:
    return next(one for one in row["differences"] if (one["a"], one["b"]) == (a, b))


class TestMatching:
    def test_a_design_is_laid_beside_its_published_row(self) -> None:
        row = row_of(beside())
        assert (row["table"], row["published_data"], row["unit"]) == ("table1", "cifar10", "accuracy")
        assert [one["arm"] for one in row["arms"]] == ["dense", "fine-tune", "scratch-e", "scratch-b"]
        pairs = [(one["a"], one["b"]) for one in row["differences"]]
        assert pairs == [("fine-tune", "scratch-b"), ("fine-tune", "scratch-e"), ("scratch-b", "scratch-e")]
        theirs = arm(row, "fine-tune")["theirs"]
        assert (theirs["mean"], theirs["std"], theirs["n"], theirs["mark"]) == (93.41, 0.12, 5, "recalled")

    def test_our_side_is_mean_deviation_and_number_of_seeds(self) -> None:
        ours = arm(row_of(beside(seeds=3)), "fine-tune")["ours"]
        # 92.9, 93.0, 93.1
        assert (ours["mean"], ours["std"], ours["n"]) == (pytest.approx(93.0), pytest.approx(0.1), 3)

    def test_a_fraction_is_matched_through_number_and_words(self) -> None:
        table4 = {"network": "vgg19", "method": "slimming", "fraction": 0.7}
        assert arm(row_of(beside("table4", **table4)), "scratch-b")["theirs"]["mean"] == 93.81
        assert row_of(beside("table4", **table4, design="70 % from scratch strength 0.0001"))["design"] != "70 %"
        for other in ("70 % of macs", "70 % group", "70 % in 5 rounds"):
            assert comparison_rows(beside("table4", **table4, design=other)) == []

    @pytest.mark.parametrize(
        "other",
        [
            {"network": "vgg11"},
            {"method": "l2"},
            {"fraction": 0.5},
            {"design": "resnet56-a"},
            {"table": "table4"},
            {"table": "table9"},
        ],
    )
    def test_nothing_is_laid_beside_what_the_table_does_not_know(self, other: dict[str, Any]) -> None:
        assert comparison_rows(beside(**other)) == []

    def test_a_study_that_names_no_table_has_nothing(self) -> None:
        assert comparison_rows(example(networks=("vgg16",), fractions=(None,))) == []
        assert comparison_rows({}) == []
        assert table_of({"study": {"settings": {"published": ["table1"]}}}) == ""

    def test_of_two_published_data_sets_the_one_like_ours_is_taken(self) -> None:
        table4 = {"network": "preresnet164", "method": "slimming", "fraction": 0.6}
        assert row_of(beside("table4", **table4, data="cifar100"))["published_data"] == "cifar100"
        assert row_of(beside("table4", **table4, data="cifar10-jpeg"))["published_data"] == "cifar10"
        assert row_of(beside("table4", **table4, data="digits"))["published_data"] == "cifar10"

    def test_tickets_are_laid_beside_those_of_the_same_learning_rate_only(self) -> None:
        results = beside("table8", network="resnet56", design="resnet56-a")
        assert arm(row_of(results), "ticket")["theirs"]["mean"] == 92.72
        results["study"]["settings"]["train"]["lr"] = 0.01
        assert comparison_rows(results) == []

    def test_a_narrow_network_and_one_with_options_are_still_that_network(self) -> None:
        assert row_of(beside(network="vgg16 x0.125 norm_scale=1"))["network"] == "vgg16 x0.125 norm_scale=1"

    def test_scratch_b_is_the_arm_with_the_published_budget(self) -> None:
        results = beside()
        text = json.dumps(results["runs"]).replace('"scratch-b"', '"scratch-b0"')
        results["runs"] += [run for run in json.loads(text) if run["arm"] == "scratch-b0"]
        assert arm(row_of(results), "scratch-b")["ours"]["arm"] == "scratch-b0"
        assert arm(row_of(beside()), "scratch-b")["ours"]["arm"] == "scratch-b"

    def test_an_arm_that_we_did_not_run_stands_alone(self) -> None:
        row = row_of(beside(arms=("dense", "fine-tune", "scratch-e")))
        assert arm(row, "scratch-b")["ours"] is None
        assert [(one["a"], one["b"]) for one in row["differences"]] == [("fine-tune", "scratch-e")]

    def test_changes_are_laid_beside_ours_against_our_own_dense_network(self) -> None:
        results = beside("table2", network="torchvision:resnet50", method="thinet", fraction=0.5, data="photos")
        row = row_of(results)
        assert row["unit"] == "change"
        assert arm(row, "fine-tune")["theirs"]["mean"] == -4.13
        assert arm(row, "fine-tune")["ours"]["mean"] == pytest.approx(93.0 - 93.6)
        assert pair(row, "fine-tune", "scratch-b")["theirs"]["mean"] == pytest.approx(-4.13 + 2.23)

    def test_a_network_that_was_only_pruned_is_laid_beside_ours_right_after_pruning(self) -> None:
        results = beside("table5", network="torchvision:resnet50", method="sss", design="resnet26", data="photos")
        for row in results["pruned"]:
            row["test_accuracy_stale"] = 70.0
        assert arm(row_of(results), "pruned")["ours"] == {
            "arm": "pruned",
            "mean": 70.0,
            "std": 0.0,
            "n": 5,
            "epochs": None,
        }


class TestWords:
    def test_both_intervals_on_one_side_of_0_at_full_size_agree(self) -> None:
        found = pair(row_of(beside()), "fine-tune", "scratch-b")
        assert (found["word"], found["reasons"]) == ("agrees", [])
        assert found["theirs"]["mean"] == pytest.approx(-0.37)
        assert found["ours"]["mean"] == pytest.approx(-0.9)
        assert found["distance"]["mean"] == pytest.approx(-0.53)
        low, high = found["distance"]["ci95"]
        assert low < -0.53 < high

    def test_on_opposite_sides_they_disagree(self) -> None:
        results = beside()
        for row in results["pairs"]:
            if (row["a"], row["b"]) == ("fine-tune", "scratch-b"):
                row |= {"mean": 0.9, "ci95": [0.65, 1.15]}
        assert pair(row_of(results), "fine-tune", "scratch-b")["word"] == "disagrees"

    def test_our_difference_is_found_whichever_way_round_it_was_taken(self) -> None:
        results = beside()
        for row in results["pairs"]:
            if (row["a"], row["b"]) == ("fine-tune", "scratch-b"):
                row |= {"a": "scratch-b", "b": "fine-tune", "mean": 0.9, "ci95": [0.6, 1.2]}
        found = pair(row_of(results), "fine-tune", "scratch-b")["ours"]
        assert (found["mean"], found["ci95"]) == (pytest.approx(-0.9), pytest.approx([-1.2, -0.6]))

    def test_the_primary_contrast_is_found_among_the_verdicts(self) -> None:
        results = beside()
        results["verdicts"] = [row for row in results["pairs"] if (row["a"], row["b"]) == ("fine-tune", "scratch-b")]
        results["pairs"] = []
        assert pair(row_of(results), "fine-tune", "scratch-b")["word"] == "agrees"

    @pytest.mark.parametrize(
        ("changed", "reasons"),
        [
            ({"network": "vgg16 x0.25"}, ["reduced width (0.25)"]),
            ({"data": "digits"}, ["another data set (digits)"]),
            ({"data": "cifar10"}, []),
            ({"share": 0.5}, []),
            (
                {"share": 0.49},
                ["reduced epochs (dense 78 of 160, scratch-b 119 of 243)"],
            ),
            (
                {"share": 0.4},
                ["reduced epochs (dense 64 of 160, fine-tune 16 of 40, scratch-b 97 of 243)"],
            ),
            ({"seeds": 1}, ["our numbers have no interval (n = 1)"]),
        ],
    )
    def test_a_smaller_or_other_study_cannot_tell(self, changed: dict[str, Any], reasons: list[str]) -> None:
        found = pair(row_of(beside(**changed)), "fine-tune", "scratch-b")
        assert found["reasons"] == reasons
        assert found["word"] == ("cannot tell" if reasons else "agrees")

    def test_single_published_runs_cannot_tell(self) -> None:
        results = beside("table6", network="torchvision:vgg16_bn", method="magnitude", fraction=0.3, data="imagenet")
        found = pair(row_of(results), "fine-tune", "scratch-b")
        assert found["reasons"][0] == "the published numbers have no interval (n = 1)"
        assert found["theirs"] == {"mean": pytest.approx(-0.34), "ci95": None, "n": 1, "mark": "read"}

    def test_numbers_that_are_hardly_recalled_cannot_tell(self) -> None:
        results = beside("aggressive", network="preresnet164", method="slimming", fraction=0.8)
        found = pair(row_of(results), "fine-tune", "scratch-b")
        assert found["reasons"] == ["the published numbers are recalled with little certainty"]

    def test_the_marks_of_both_arms_count(self) -> None:
        assert pair(row_of(beside()), "fine-tune", "scratch-b")["theirs"]["mark"] == "recalled"


def test_every_row_can_be_written_as_json_and_read_again() -> None:
    row = row_of(beside())
    assert json.loads(json.dumps(row, allow_nan=False)) == row


def test_a_recipe_has_the_settings_that_it_changes() -> None:
    results = beside()
    results["study"]["settings"]["variant"] = [{"name": "small batch", "train": {"batch": 64}, "retrain": {}}]
    plain, changed = settings_of(results), settings_of(results, "small batch")
    assert (plain["train"]["batch"], changed["train"]["batch"]) == (128, 64)
    assert changed["train"]["lr"] == plain["train"]["lr"]
    assert changed["retrain"] == plain["retrain"]


def test_remarks_come_with_the_network() -> None:
    assert "cuts the gradient" in row_of(beside(network="resnet56", design="resnet56-b"))["remarks"][0]
    assert row_of(beside())["remarks"] == []
