"""Declared contrasts between comparisons: which runs they set against each other, in a study that was really run."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from regrow.config.families import Between, Side
from regrow.config.load import load_study
from regrow.study.expand import expand
from regrow.study.matching import RunOf, matched, side_label
from regrow.study.runner import run_study
from regrow.study.store import Store

STUDY = """
seeds = 3
arms = ["ticket", "scratch-e"]
contrast = ["ticket", "scratch-e"]
[data]
name = "digits"
[network]
name = "vgg11"
width = 0.0625
[train]
epochs = 2
batch = 128
[[variant]]
name = "lr 0.1"
[[variant]]
name = "lr 0.02"
train = { lr = 0.02 }
[prune]
method = ["l1", "random"]
fraction = [0.3, 0.5]
[retrain]
tune_lr = false
[compute]
device = "cpu"
precision = "fp32"
channels_last = true
[[between]]
name = "own best rate"
first = { arm = "ticket", method = "l1" }
second = { arm = "scratch-e", method = "l1" }
best = ["variant"]
[[between]]
name = "choice"
first = { arm = "ticket", method = "l1" }
second = { arm = "ticket", method = "random" }
[[between]]
name = "dense"
first = { arm = "dense", variant = "lr 0.1" }
second = { arm = "dense", variant = "lr 0.02" }
[[between]]
name = "vague"
first = { arm = "ticket", method = "l1", variant = "lr 0.1" }
second = { arm = "dense" }
"""

Rows = list[Mapping[str, Any]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    folder = tmp_path_factory.mktemp("between")
    (folder / "s.toml").write_text(STUDY)
    run_study(load_study(folder / "s.toml"), folder / "out", workers=1)
    found: Mapping[str, Any] = json.loads((folder / "out" / "s" / "results.json").read_text())
    return found


def accuracies(results: Mapping[str, Any], side: Mapping[str, Any], column: str = "test_accuracy") -> dict[int, float]:
    keys = ("network", "data", "variant", "method", "fraction", "arm")
    return {run["seed"]: run[column] for run in results["runs"] if all(run[key] == side[key] for key in keys)}


def rows(results: Mapping[str, Any], name: str) -> Rows:
    return [row for row in results["between"] if row["between"] == name]


def test_every_recipe_trains_its_own_dense_network_and_arms(results: Mapping[str, Any]) -> None:
    rates = {(run["variant"], run["arm"]): run["lr"] for run in results["runs"]}
    assert {key: rate for key, rate in rates.items() if key[1] != "scratch-e"} == {
        ("lr 0.1", "dense"): 0.1,
        ("lr 0.02", "dense"): 0.02,
        ("lr 0.1", "ticket"): 0.1,
        ("lr 0.02", "ticket"): 0.02,
    }
    assert len(results["verdicts"]) == 8


def test_a_difference_between_comparisons_is_paired_by_seed(results: Mapping[str, Any]) -> None:
    found = rows(results, "choice")
    assert [(row["variant"], row["fraction"]) for row in found] == [
        ("lr 0.1", 0.3), ("lr 0.1", 0.5), ("lr 0.02", 0.3), ("lr 0.02", 0.5)
    ]  # fmt: skip
    for row in found:
        one, two = (accuracies(results, row[side]) for side in ("first", "second"))
        assert row["mean"] == pytest.approx(statistics.mean(one[seed] - two[seed] for seed in (0, 1, 2)))
        assert (row["a"], row["b"]) == ("ticket (l1)", "ticket (random)")


def test_each_side_takes_the_recipe_of_its_own_best_validation_accuracy(results: Mapping[str, Any]) -> None:
    found = rows(results, "own best rate")
    assert [row["fraction"] for row in found] == [0.3, 0.5]
    for row in found:
        for side in ("first", "second"):
            tried = {
                name: statistics.mean(
                    accuracies(results, {**row[side], "variant": name}, "validation_accuracy").values()
                )
                for name in ("lr 0.1", "lr 0.02")
            }
            assert tried[row[side]["variant"]] == max(tried.values())


def test_two_dense_networks_are_compared_once_whatever_prunes_them(results: Mapping[str, Any]) -> None:
    (row,) = rows(results, "dense")
    assert (row["a"], row["b"]) == ("dense (lr 0.1)", "dense (lr 0.02)")
    assert (row["fraction"], row["design"]) == (None, None)
    assert [row["first"][key] for key in ("method", "fraction", "design")] == ["", None, ""]
    one, two = (accuracies(results, row[side]) for side in ("first", "second"))
    assert row["mean"] == pytest.approx(statistics.mean(one[seed] - two[seed] for seed in (0, 1, 2)))
    assert "l1" not in row["sentence"] and "30 %" not in row["sentence"]
    assert not any("'dense'" in problem for problem in results["problems"])


def test_a_side_that_means_several_comparisons_is_a_problem_and_no_number(results: Mapping[str, Any]) -> None:
    assert not rows(results, "vague")
    assert any("'vague'" in problem and "more than one comparison" in problem for problem in results["problems"])


def test_ties_go_to_the_first_and_what_is_not_finished_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(STUDY)
    found = expand(load_study(tmp_path / "s.toml"), Store(tmp_path / "store").result).comparisons
    asked = Between(name="q", first=Side(arm="ticket"), second=Side(arm="dense"), best=("variant",))
    runs: list[RunOf] = [(one, arm) for one in found for arm in ("ticket", "dense")]
    same = matched(asked, found, runs, dict.fromkeys(runs, 50.0))
    assert [one.first and one.first[0].variant for one in same] == ["lr 0.1"] * 4
    late = matched(asked, found, runs[8:], {})
    assert {one.first[0].variant for one in late if one.first} == {"lr 0.02"}
    assert side_label(asked, runs[-1]) == "dense (lr 0.02)"
