"""Means and paired differences, against numbers that were worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from regrow.detection.comparison import arm_means, cases, paired_differences

CASE = {"network": "n", "data": "d", "variant": "", "method": "l1", "fraction": 0.5, "design": "50 %"}
DENSE = {**CASE, "method": "", "fraction": None, "design": ""}


def row(arm: str, seed: int, value: float | None, case: dict[str, Any] = CASE) -> dict[str, Any]:
    return {**case, "arm": arm, "seed": seed, "map": value, "map50": value, "voc_ap50": value}


def pair(rows: list[dict[str, Any]], a: str, b: str, metric: str = "map") -> dict[str, Any]:
    (found,) = (one for one in paired_differences(rows) if (one["a"], one["b"], one["metric"]) == (a, b, metric))
    return found


def test_differences_are_paired_by_seed() -> None:
    rows = [row("a", seed, value) for seed, value in ((0, 10.0), (1, 20.0), (2, 33.0))]
    rows += [row("b", seed, value) for seed, value in ((2, 30.0), (0, 9.0), (1, 18.0))]
    found = pair(rows, "a", "b")
    # Differences 1, 2, 3: mean 2, sd 1; t with 2 degrees of freedom at 97.5 % is 4.303, over sqrt(3): 2.484.
    assert (found["n"], found["seeds"], found["mean"]) == (3, [0, 1, 2], pytest.approx(2.0))
    assert found["sd"] == pytest.approx(1.0)
    assert found["ci95"] == pytest.approx([-0.484, 4.484], abs=5e-4)
    assert {key: found[key] for key in CASE} == CASE


def test_a_seed_that_one_arm_lacks_pairs_nothing() -> None:
    rows = [row("a", 0, 10.0), row("a", 1, 20.0), row("b", 1, 18.0), row("b", 0, None)]
    found = pair(rows, "a", "b")
    assert (found["seeds"], found["mean"], found["ci95"], found["sd"]) == ([1], 2.0, None, None)
    assert paired_differences([row("a", 0, 1.0), row("b", 1, 1.0)]) == []


def test_the_dense_network_belongs_to_every_comparison_and_comes_last() -> None:
    other = {**CASE, "fraction": 0.7, "design": "70 %"}
    rows = [row("dense", 0, 50.0, DENSE), row("a", 0, 40.0), row("a", 0, 30.0, other)]
    found = [
        (one["design"], one["a"], one["b"], one["mean"]) for one in paired_differences(rows) if one["metric"] == "map"
    ]
    assert found == [("50 %", "a", "dense", -10.0), ("70 %", "a", "dense", -20.0)]


def test_comparisons_are_not_mixed() -> None:
    other = {**CASE, "network": "m"}
    rows = [row("a", 0, 1.0), row("b", 0, 2.0, other), row("dense", 0, 3.0, {**DENSE, "network": "m"})]
    assert [len(found) for _, found in cases(rows)] == [2, 1]
    assert [(one["a"], one["b"]) for one in paired_differences(rows) if one["metric"] == "map"] == [("b", "dense")]


def test_the_dense_network_alone_is_a_case() -> None:
    assert [case for case, _ in cases([row("dense", 0, 1.0, DENSE)])] == [DENSE]


def test_means_of_arms_leave_out_what_diverged() -> None:
    rows = [row("a", 0, 1.0), row("a", 1, 3.0), row("a", 2, None), row("b", 0, None)]
    found = [one for one in arm_means(rows) if one["metric"] == "map50"]
    assert [(one["arm"], one["n"], one["mean"], one["sd"]) for one in found] == [("a", 2, 2.0, pytest.approx(2**0.5))]
    assert found[0]["ci95"] == pytest.approx([2 - 12.706, 2 + 12.706], abs=1e-3)
