"""Results: complete, sorted, strict JSON, and measured values under their own kind of key."""

from __future__ import annotations

import json
from typing import Any

import pytest

from regrow.retraining.ledger import training_flops
from regrow.study.expand import expand
from regrow.study.results import read_if_current
from tests.study.conftest import Finished

ARMS = ["dense-longer", "fine-tune", "lr-rewind", "random-pruned", "retrain", "scratch-b", "scratch-e"]


@pytest.fixture
def results(finished: Finished) -> dict[str, Any]:
    return finished.outcome.results


def test_the_file_is_strict_json_and_what_was_returned(finished: Finished, results: dict[str, Any]) -> None:
    text = (finished.outcome.folder / "results.json").read_text()
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name)) == results


def test_one_run_an_arm_and_seed_and_the_dense_network_once_a_seed(results: dict[str, Any]) -> None:
    assert [(run["arm"], run["seed"]) for run in results["runs"] if run["method"]] == [
        (arm, seed) for arm in ARMS for seed in (0, 1, 2)
    ]
    assert [(run["arm"], run["seed"]) for run in results["runs"] if not run["method"]] == [
        ("dense", s) for s in (0, 1, 2)
    ]


def test_the_test_set_counts_in_whole_images(results: dict[str, Any]) -> None:
    for run in results["runs"]:
        images = run["test_accuracy"] / 100 * results["data"][0]["test"]
        assert images == pytest.approx(round(images), abs=1e-9)


def test_budgets_are_kept(results: dict[str, Any]) -> None:
    runs = {(run["arm"], run["seed"]): run for run in results["runs"]}
    pipeline = runs["dense", 0]["training_flops"] + runs["retrain", 0]["training_flops"]
    spent = runs["scratch-b", 0]["training_flops"]
    assert spent <= pipeline < spent + spent / runs["scratch-b", 0]["epochs"]


def test_right_after_pruning_there_are_two_named_numbers_a_seed(results: dict[str, Any]) -> None:
    assert len(results["pruned"]) == 3
    assert {"test_accuracy_stale", "test_accuracy_reestimated"} <= results["pruned"][0].keys()


def test_tuning_is_booked_for_every_arm_and_value(results: dict[str, Any]) -> None:
    assert len(results["tuning"]) == len(ARMS) * 4
    assert sum(row["chosen"] for row in results["tuning"]) == len(ARMS)
    booked = {row["arm"]: row for row in results["ledger"] if row["entry"] == "tuning"}
    epochs = next(run["epochs"] for run in results["runs"] if run["arm"] == "scratch-e")
    small = results["architectures"][0]["macs"]
    assert booked["scratch-e"]["runs"] == 8
    assert booked["dense"]["runs"] == 2
    assert booked["scratch-e"]["flops"] == 8 * training_flops(small, results["data"][0]["train"], epochs)


def test_curves_have_a_row_an_epoch(results: dict[str, Any]) -> None:
    curve = [row["epoch"] for row in results["curves"] if (row["arm"], row["seed"]) == ("scratch-e", 1)]
    assert curve == [1, 2, 3]


def test_the_primary_contrast_alone_gets_a_word(results: dict[str, Any]) -> None:
    assert [(row["a"], row["b"]) for row in results["verdicts"]] == [("retrain", "scratch-b")]
    assert len(results["pairs"]) == 8 * 7 // 2 - 1
    assert not any("word" in row for row in results["pairs"])


def test_nothing_but_provenance_names_this_machine(finished: Finished, results: dict[str, Any]) -> None:
    rest = json.dumps({key: value for key, value in results.items() if key != "provenance"})
    assert str(finished.out) not in rest
    assert results["provenance"]["machine"]["processor"] not in rest


def test_results_are_current_until_the_study_or_its_looks_change(finished: Finished) -> None:
    found = expand(finished.study, finished.store.result)
    folder = finished.outcome.folder
    assert read_if_current(finished.study, found, finished.store, folder) is not None
    other = finished.study.model_copy(update={"margin": 2.0})
    assert read_if_current(other, found, finished.store, folder) is None
