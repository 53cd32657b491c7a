"""Wording: a sentence that can be quoted alone."""

from __future__ import annotations

import pytest

from regrow.evaluation.verdict import judge
from regrow.evaluation.wording import mirrored, notes, sentence
from tests.evaluation.contrasts import GAPS, contrast
from tests.evaluation.samples import constant_gap


def said(word: str, **changes: object) -> str:
    (verdict,) = judge([contrast(GAPS[word], **changes)], margin=1.0)
    return verdict.sentence


def test_the_whole_sentence() -> None:
    assert said("better by more than the margin") == (
        "Pruning was worth it: for vgg11 on digits (l1, 50 %), retrain is better than scratch-b by more than the margin. "
        "Difference +3.00 points of test accuracy (retrain − scratch-b), 95 % interval +2.82 to +3.18, 90 % interval "
        "+2.87 to +3.13, n = 5 paired seeds; margin 1 point, that is 10 of 1,000 test images; budget convention B1."
    )


@pytest.mark.parametrize("word", GAPS)
def test_every_sentence_carries_what_it_needs_to_be_quoted(word: str) -> None:
    text = said(word)
    for part in (
        "retrain",
        "scratch-b",
        "95 % interval",
        "n = 5 paired seeds",
        "1 point,",
        "10 of 1,000 test images",
        "B1",
    ):
        assert part in text


ANSWERS = {
    "better by more than the margin": "Pruning was worth it",
    "better": "Pruning was worth it",
    "better but within the margin": "Pruning gained less than the margin",
    "equivalent": "Pruning was not worth it",
    "undecided": "Not decided whether pruning was worth it",
    "worse but within the margin": "Pruning was not worth it",
    "worse": "Pruning was not worth it",
    "worse by more than the margin": "Pruning was not worth it",
}


@pytest.mark.parametrize(("word", "answer"), ANSWERS.items())
def test_inherited_against_fresh_weights_answers_whether_pruning_was_worth_it(word: str, answer: str) -> None:
    assert said(word).startswith(f"{answer}: for vgg11")


@pytest.mark.parametrize(("word", "answer"), ANSWERS.items())
def test_the_answer_does_not_depend_on_the_order_of_the_arms(word: str, answer: str) -> None:
    assert said(mirrored(word), a="scratch-b", b="retrain").startswith(f"{answer}: for vgg11")


@pytest.mark.parametrize(("word", "answer"), ANSWERS.items())
def test_rewound_against_fresh_weights_answers_whether_rewinding_was_worth_it(word: str, answer: str) -> None:
    about = answer.replace("Pruning", "Rewinding").replace("pruning", "rewinding")
    assert said(word, a="ticket").startswith(f"{about}: for vgg11")
    assert said(mirrored(word), a="scratch-e", b="late-ticket").startswith(f"{about}: for vgg11")


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("scratch-e", "scratch-b"),
        ("retrain", "fine-tune"),
        ("retrain", "ticket"),
        ("ticket", "ticket-shuffled"),
        ("random-pruned", "scratch-b"),
        ("retrain", "dense"),
    ],
)
def test_other_contrasts_do_not_claim_to_answer_it(a: str, b: str) -> None:
    assert said("better", a=a, b=b).startswith(f"For vgg11 on digits (l1, 50 %), {a} is better than {b};")


def test_what_weakens_the_claim_is_said() -> None:
    text = said("worse", tuned=False, one_dense=True, looks=3)
    assert "; learning rates untuned; for this dense network; extended after 2 looks." in text
    plain = said("worse")
    assert not any(part in plain for part in ("untuned", "for this dense network", "extended", "Holm"))


def test_undecided_explains_itself() -> None:
    text = said("undecided")
    assert "the seeds show neither a difference between retrain and scratch-b nor that they are equivalent" in text
    assert "further paired seeds would decide it with a chance of 80 %" in text


def test_a_family_is_said_to_be_corrected() -> None:
    fractions = [contrast(GAPS["better"], fraction=f, design=f"{100 * f:g} %") for f in (0.3, 0.5)]
    assert all(
        "the word is corrected for 2 contrasts (Holm)" in found.sentence for found in judge(fractions, margin=1.0)
    )


def test_too_few_seeds_are_said_to_be_too_few() -> None:
    (verdict,) = judge([contrast([3, 4])], margin=1.0)
    assert verdict.sentence == (
        "No verdict for vgg11 on digits (l1, 50 %): retrain and scratch-b share 2 paired seeds, and a verdict needs at least 3."
    )


def test_a_missing_interval_is_called_none() -> None:
    found = contrast([30, 31, 32], looks=2)
    assert "95 % interval none (too few seeds)" in sentence(found, found.difference(1.0), "undecided")


class TestNotes:
    def test_the_floor_is_noted_where_it_counts(self) -> None:
        a, b = constant_gap(4, 2)
        lucky = contrast([0], correct_a=dict(enumerate(a)), correct_b=dict(enumerate(b)))
        (first, *_) = notes(lucky.difference(1.0))
        assert first.startswith(
            "The seeds agree better (standard deviation 0.00 points) than 500 test images can resolve (0.69"
        )
        assert not any("resolve" in note for note in notes(contrast(GAPS["better"]).difference(1.0)))

    def test_another_test_set_is_not_promised_the_same(self) -> None:
        (note,) = notes(contrast(GAPS["better"]).difference(1.0))
        assert note.startswith(
            "The interval is about this test set. Another one of 1,000 images would move the difference by about "
        )

    @pytest.mark.parametrize(
        ("gaps", "end"), [(GAPS["better"], "which are wider."), ([3, 4, 5], "no always-valid interval.")]
    )
    def test_an_extended_study_says_what_its_intervals_are(self, gaps: list[int], end: str) -> None:
        first, *_ = notes(contrast(gaps, looks=2).difference(1.0))
        assert first.startswith("The study grew after its verdict had been seen")
        assert first.endswith(end)

    def test_an_undecided_verdict_says_what_a_new_study_would_need(self) -> None:
        (verdict,) = judge([contrast(GAPS["undecided"])], margin=1.0)
        assert any(
            "A new study on other seeds, their number declared beforehand, would need" in note for note in verdict.notes
        )
