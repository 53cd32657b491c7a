"""What the report says in words."""

from __future__ import annotations

from typing import Any

import pytest

from regrow.report.cases import Case, cases, families
from regrow.report.sentences import (
    answer,
    compared,
    contenders,
    controls,
    formula,
    gain_of_longer_training,
    headline,
    limits,
    not_converged,
    same_bits,
    time_against_macs,
    whole_cost,
)
from tests.report.example import TRAIN, example


def case_of(results: dict[str, Any]) -> Case:
    (case,) = cases(results)
    return case


def with_runs(results: dict[str, Any], **changed: dict[str, float]) -> dict[str, Any]:
    """The same results with columns of whole arms replaced, e.g. dense={"train_seconds": 8.0}."""
    runs = [run | changed.get(run["arm"].replace("-", "_"), {}) for run in results["runs"]]
    return results | {"runs": runs}


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("equivalent", "retrain and scratch-b: equivalent"),
        ("undecided", "retrain and scratch-b: undecided"),
        ("better but within the margin", "retrain against scratch-b: better but within the margin"),
        ("worse", "retrain against scratch-b: worse"),
        (None, "retrain and scratch-b: no verdict"),
    ],
)
def test_the_headline_names_both_arms_and_the_word(word: str | None, text: str) -> None:
    assert headline({"a": "retrain", "b": "scratch-b", "word": word}) == text


def test_a_ticket_is_told_against_every_control_that_was_run() -> None:
    arms = ("dense", "retrain", "scratch-e", "scratch-b")
    results = example(seeds=2, arms=arms)
    levels = {"ticket": 97.0, "ticket-shuffled": 96.5, "scratch-e": 96.0}
    results["runs"] = [run | {"test_accuracy": levels.get(run["arm"], 97.5)} for run in results["runs"]] + [
        run | {"arm": arm, "test_accuracy": levels[arm]}
        for run in results["runs"]
        for arm in ("ticket", "ticket-shuffled")
        if run["arm"] == "retrain"
    ]
    shuffled, fresh = controls(case_of(results))
    assert shuffled.startswith("ticket-shuffled against ticket: with as many channels in each layer, chosen by chance,")
    assert shuffled.endswith("reaches 96.50 % instead of 97.00 % (+0.50 points for the ticket).")
    assert fresh.startswith("scratch-e against ticket: with fresh values for the same channels the same training")
    assert fresh.endswith("(+1.00 points for the ticket).")


def test_the_answer_is_what_stands_before_the_colon() -> None:
    sentence = "Pruning was not worth it: for vgg11 x0.25 l1 50 %, retrain and scratch-b are equivalent. Difference +0.1 points; n = 8."
    verdict = {"a": "retrain", "b": "scratch-b", "word": "equivalent", "sentence": sentence}
    assert answer(verdict) == (
        "Pruning was not worth it",
        "For vgg11 x0.25 l1 50 %, retrain and scratch-b are equivalent.",
    )


def test_a_sentence_without_an_answer_is_kept_whole_under_the_word() -> None:
    verdict = {"a": "retrain", "b": "scratch-b", "word": None, "sentence": "No verdict for vgg11: 2 paired seeds."}
    assert answer(verdict) == ("retrain and scratch-b: no verdict", "No verdict for vgg11: 2 paired seeds.")


def test_what_was_compared_carries_margin_in_points_and_images_n_and_convention() -> None:
    said = " ".join(compared(case_of(example())))
    assert "4.793 M of 19.17 M MACs (4.00 times fewer)" in said
    assert "8 paired seeds" in said
    assert "540 test images" in said
    assert "within 1 point (5.4 of 540 test images)" in said
    assert "convention B1: equal compute, fine-tuning counted" in said


def test_the_two_arms_are_described_with_their_length_and_learning_rate() -> None:
    (name, what), (other, _) = contenders(case_of(example()))
    assert (name, other) == ("retrain", "scratch-b")
    assert what.endswith("(8 epochs, peak learning rate 0.1, chosen on validation examples)")


def test_without_a_verdict_the_architecture_is_still_described() -> None:
    case = case_of(example() | {"verdicts": []})
    assert compared(case)[0].startswith("Every arm trains the same pruned architecture: vgg11 on digits")
    assert contenders(case) == []


def test_the_formula_is_that_of_the_convention() -> None:
    assert formula({"convention": "B1"}).startswith("B1: scratch epochs = floor(K1 × F1 / F2 + K2).")
    assert formula({"convention": "none"}) == formula(None) == ""


def test_only_letters_of_the_formula_are_explained() -> None:
    assert "KM" not in formula({"convention": "B1"})
    assert "N2: MACs of the weights that are left" in formula({"convention": "B0-cap"})
    assert "KM: epochs of what the method trains" in formula({"convention": "full"})


def test_a_mask_is_told_by_its_weights_and_never_as_a_speed_up() -> None:
    results = example()
    masked = {"macs": 19_170_000, "nominal_macs": 958_500, "kept_weights": 461_418}
    results["architectures"] = [row | masked for row in results["architectures"]]
    said = compared(case_of(results))[0]
    assert "50 % of weights removed by l1, as a mask that keeps 461.4 k weights" in said
    assert "executes 19.17 M MACs, as the dense one does, of which 958.5 k (nominal) belong to kept weights" in said
    assert "fewer" not in said


def test_equal_macs_that_were_not_equal_seconds_are_said_with_both_ratios() -> None:
    # 4 times fewer MACs (0.5 squared); dense 2 ms an example, pruned 1 ms.
    small = dict.fromkeys(("fine_tune", "lr_rewind", "retrain", "scratch_e", "scratch_b", "random_pruned"))
    results = example(seeds=2)
    results["runs"] = [
        run | {"train_seconds": run["epochs"] * TRAIN * (0.001 if run["arm"].replace("-", "_") in small else 0.002)}
        for run in results["runs"]
    ]
    said = time_against_macs(case_of(results))
    assert said[0] == (
        "Equal MACs were not equal seconds: an example costs the dense network 4.00 times the MACs of the pruned one, "
        "and 2.00 times its measured training seconds."
    )


def test_seconds_that_follow_the_macs_are_called_close() -> None:
    results = example(seeds=2)
    results["runs"] = [run | {"train_seconds": run["epochs"] * run["macs"] * 1e-9} for run in results["runs"]]
    assert time_against_macs(case_of(results))[0].startswith("Equal MACs were close to equal seconds")


def test_unknown_seconds_are_not_spoken_of() -> None:
    results = example(seeds=2)
    results["runs"] = [run | {"train_seconds": None} for run in results["runs"]]
    assert time_against_macs(case_of(results)) == []


def test_an_arm_that_inherits_owes_the_dense_run_and_scoring_too() -> None:
    results = with_runs(
        example(seeds=2),
        dense={"training_flops": 1000, "train_seconds": 10.0},
        retrain={"training_flops": 30, "train_seconds": 2.0},
        scratch_b={"training_flops": 1030, "train_seconds": 20.0},
    )
    where = {"network": "vgg11", "data": "digits", "method": "l1", "fraction": 0.5, "design": "50 %", "arm": "retrain"}
    results["ledger"] = [where | {"entry": "scoring", "flops": 8, "total_seconds": 0.1, "runs": 2}]
    case = case_of(results)
    assert whole_cost(case, "retrain") == (1034.0, 12.05)
    assert whole_cost(case, "scratch-b") == (1030.0, 20.0)
    assert whole_cost(case, "someone-elses") is None
    assert "retrain with its dense run spent 1.034 k training FLOPs in 12.1 s" in time_against_macs(case)[1]


def test_an_arm_that_inherits_owes_every_training_of_the_method() -> None:
    results = with_runs(
        example(seeds=2),
        dense={"training_flops": 1000, "train_seconds": 10.0},
        retrain={"training_flops": 30, "train_seconds": 2.0},
        scratch_b={"training_flops": 1030, "train_seconds": 20.0},
    )
    where = {"network": "vgg11", "data": "digits", "method": "l1", "fraction": 0.5, "design": "50 %", "arm": ""}
    # Two seeds with four rounds each of 500 FLOPs and 5 seconds: 2,000 FLOPs and 20 seconds for one network.
    results["ledger"] = [where | {"entry": "pruning", "flops": 4000, "total_seconds": 40.0, "runs": 8}]
    case = case_of(results)
    assert whole_cost(case, "retrain") == (1000 + 2000 + 30, 10 + 20 + 2)
    assert "retrain with its dense run and the trainings of pruning spent" in time_against_macs(case)[1]
    architectures = [row | {"replaces_dense": True} for row in results["architectures"]]
    replaced = case_of(results | {"architectures": architectures})
    assert whole_cost(replaced, "retrain") == (2000 + 30, 20 + 2)
    assert "retrain with the training that was pruned spent" in time_against_macs(replaced)[1]


@pytest.mark.parametrize(("gain", "converged"), [(0.9, True), (1.1, False)])
def test_a_gain_of_dense_longer_beyond_the_margin_means_not_converged(gain: float, converged: bool) -> None:
    case = case_of(
        with_runs(example(seeds=2), dense={"test_accuracy": 90.0}, dense_longer={"test_accuracy": 90.0 + gain})
    )
    assert gain_of_longer_training(case) == pytest.approx(gain)
    assert not_converged(case) is not converged
    assert ("had not converged" in controls(case)[0]) is not converged


def test_random_pruned_prices_the_choice_of_channels() -> None:
    case = case_of(with_runs(example(seeds=2), retrain={"test_accuracy": 95.0}, random_pruned={"test_accuracy": 94.5}))
    assert "(+0.50 points for the choice)" in controls(case)[1]


def test_a_control_with_another_learning_rate_is_not_told_as_the_same_training() -> None:
    same = with_runs(example(seeds=2), retrain={"lr": 0.1}, random_pruned={"lr": 0.1})
    assert "chosen by chance the same training reaches" in controls(case_of(same))[1]
    tuned = with_runs(same, random_pruned={"lr": 0.0316})
    assert (
        "chosen by chance the training at its own best rate (0.0316 instead of 0.1) reaches"
        in controls(case_of(tuned))[1]
    )


def test_a_mask_has_no_macs_to_compare_with_seconds() -> None:
    results = example(seeds=2)
    assert time_against_macs(case_of(results))
    macs = results["networks"][0]["macs"]
    results = with_runs(results, **{arm: {"macs": macs} for arm in ("retrain", "scratch_e", "scratch_b")})
    results["architectures"] = [row | {"macs": macs, "kept_weights": 461_418} for row in results["architectures"]]
    assert time_against_macs(case_of(results)) == []


def test_a_published_table_that_matches_nothing_is_among_the_limits() -> None:
    results = example()
    assert not any("published" in sentence for sentence in limits(results, families(results)))
    results["study"]["settings"]["published"] = "table5"
    said = limits(results, families(results))
    assert any(sentence.startswith("The published numbers of table5 are of other networks") for sentence in said)


def test_the_profile_of_a_study_is_among_its_limits() -> None:
    results = example()
    assert not any("profile" in sentence for sentence in limits(results, families(results)))
    results["study"]["title"] = "Table 1 [quick profile]"
    assert any(sentence.startswith("This is the quick profile") for sentence in limits(results, families(results)))


def test_bits_repeat_with_the_arithmetic_that_is_named_and_was_chosen_by_timing() -> None:
    results = example()
    results["networks"] = [row | {"compute": None} for row in results["networks"]]
    assert same_bits(results).endswith(
        "same arithmetic: the same bits."
    )  # results of an earlier version, or nothing trained
    compute = {"device": "cpu", "threads": 1, "precision": "bf16", "channels_last": True, "compile": False}
    results["networks"] = [row | {"compute": compute} for row in results["networks"]]
    results["study"]["settings"]["compute"] = {"device": "cpu", "precision": "auto"}
    assert "The arithmetic here: cpu, 1 thread, bf16, channels_last = true (chosen by timing" in same_bits(results)
    results["study"]["settings"]["compute"] = {
        "device": "cpu",
        "precision": "bf16",
        "channels_last": True,
        "compile": False,
    }
    assert same_bits(results).endswith("bf16, channels_last = true.")


def test_a_study_without_controls_says_what_cannot_be_told() -> None:
    results = example(arms=("dense", "retrain", "scratch-b"))
    said = limits(results, families(results))
    assert controls(case_of(results)) == []
    assert any(sentence.startswith("Without the control dense-longer") for sentence in said)


@pytest.mark.parametrize(
    ("changed", "start"),
    [
        ({"word": "undecided"}, "Undecided is not the same as equivalent"),
        ({"word": "equivalent"}, "Equivalent means within the declared margin"),
        ({"tuned": False}, "Learning rates were not tuned"),
        ({"extended": True, "looks": 3}, "The study was extended after 2 looks"),
    ],
)
def test_what_weakens_a_verdict_is_among_the_limits(changed: dict[str, Any], start: str) -> None:
    results = example()
    calm = {"word": "better", "tuned": True, "extended": False}
    before = results | {"verdicts": [verdict | calm for verdict in results["verdicts"]]}
    after = results | {"verdicts": [verdict | calm | changed for verdict in results["verdicts"]]}
    assert not any(sentence.startswith(start) for sentence in limits(before, families(before)))
    assert any(sentence.startswith(start) for sentence in limits(after, families(after)))


def test_a_given_dense_network_and_a_rate_at_the_edge_are_among_the_limits() -> None:
    results = example()
    results["study"]["settings"]["dense"]["checkpoint"] = "dense.safetensors"
    said = " ".join(limits(results, families(results)))
    assert "All seeds share one given dense network" in said
    assert "The best learning rate of random-pruned, retrain, scratch-b and scratch-e lay at the edge" in said
