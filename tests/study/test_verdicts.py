"""Verdicts of a study that was really run: the numbers are those of its runs."""

from __future__ import annotations

import statistics

import pytest

from regrow.study.expand import expand
from regrow.study.verdicts import verdict_rows
from tests.study.conftest import Finished


def test_the_difference_is_the_mean_of_the_seeds_differences(finished: Finished) -> None:
    results = finished.outcome.results
    accuracy = {(run["arm"], run["seed"]): run["test_accuracy"] for run in results["runs"]}
    for row in [*results["verdicts"], *results["pairs"]]:
        differences = [accuracy[row["a"], seed] - accuracy[row["b"], seed] for seed in (0, 1, 2)]
        assert row["mean"] == pytest.approx(statistics.mean(differences), abs=1e-9)
        assert row["sd"] == pytest.approx(statistics.stdev(differences), abs=1e-9)


def test_each_pair_is_under_the_convention_that_made_it_comparable(finished: Finished) -> None:
    rows = {(row["a"], row["b"]): row for row in finished.outcome.results["pairs"]}
    assert finished.outcome.results["verdicts"][0]["convention"] == "B1"
    assert rows["retrain", "scratch-e"]["convention"] == "E"
    assert rows["fine-tune", "retrain"]["convention"] == "none"


def test_a_seed_that_one_arm_lacks_leaves_its_pairs_and_withholds_the_verdict(finished: Finished) -> None:
    found = expand(finished.study, finished.store.result)
    found.runs = [run for run in found.runs if (run.arm, run.seed) != ("scratch-b", 1)]
    verdicts, pairs, _ = verdict_rows(finished.study, found, finished.store)
    assert verdicts[0]["n"] == 2 and verdicts[0]["word"] is None
    assert "of the declared seeds, 1 could not be trained" in verdicts[0]["sentence"]
    assert {row["n"] for row in pairs if "scratch-b" not in (row["a"], row["b"])} == {3}
