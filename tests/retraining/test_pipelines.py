"""Pipelines: which stages each kind of method has, and what conventions count of them, as the documentation says too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from regrow.retraining.conventions import CONVENTIONS, counts
from regrow.retraining.ledger import OWN_TRAINING, STAGES, Spent
from regrow.retraining.pipelines import FREE, PIPELINES, counted_stages, counted_words

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "budgets.md").read_text()

WRITTEN = ("B0", "B1", "B-SFP", "full", "free")
"""Columns of the table in the documentation; the first stands for three."""


@pytest.mark.parametrize("kind", PIPELINES)
class TestEveryKind:
    def test_ends_with_fine_tuning_and_names_every_stage_once_in_order(self, kind: str) -> None:
        stages = PIPELINES[kind].stages
        assert stages == tuple(stage for stage in STAGES if stage in stages)
        assert stages[-1] == "fine-tuning"

    def test_has_one_training_of_the_dense_network_unless_that_is_given(self, kind: str) -> None:
        pipeline = PIPELINES[kind]
        trainings = ("dense training" in pipeline.stages) + pipeline.in_place_of_dense
        assert trainings == (kind != FREE)

    def test_what_stands_in_the_place_of_dense_training_is_a_training_of_the_method(self, kind: str) -> None:
        pipeline = PIPELINES[kind]
        assert not pipeline.in_place_of_dense or pipeline.stages[0] in OWN_TRAINING

    def test_a_convention_counts_the_stages_whose_entries_it_counts(self, kind: str) -> None:
        pipeline = PIPELINES[kind]
        for name in CONVENTIONS:
            entries = [
                Spent(stage=stage, flops=1, in_place_of_dense=pipeline.in_place_of_dense and stage in OWN_TRAINING)
                for stage in pipeline.stages
            ]
            assert counted_stages(kind, name) == tuple(entry.stage for entry in entries if counts(name, entry))

    def test_its_row_in_the_documentation_is_the_computed_one(self, kind: str) -> None:
        row = re.search(rf"^\| `{kind}` \| (.*) \|$", PAGE, re.MULTILINE)
        assert row is not None
        assert row[1].split(" | ") == [counted_words(kind, name) for name in WRITTEN]

    def test_the_three_prices_of_dense_training_count_the_same_stages(self, kind: str) -> None:
        assert counted_stages(kind, "B0") == counted_stages(kind, "B0-cap") == counted_stages(kind, "B0-nominal")


def test_the_documentation_has_a_column_for_every_convention_that_counts_stages() -> None:
    header = (
        "| kind of method | `B0`, `B0-cap`, `B0-nominal` | " + " | ".join(f"`{name}`" for name in WRITTEN[1:]) + " |"
    )
    assert header in PAGE
    counting = {name for name, convention in CONVENTIONS.items() if convention.counts}
    assert counting == {*WRITTEN, "B0-cap", "B0-nominal"}


@pytest.mark.parametrize(
    ("kind", "convention", "expected"),
    [
        ("one-shot", "B0", ("dense training", "scoring")),
        ("one-shot", "full", ("dense training", "scoring", "reconstruction", "fine-tuning")),
        ("sparsity-trained", "B0", ("sparsity training",)),
        ("sparsity-trained-after-dense", "B1", ("dense training", "fine-tuning")),
        ("sparsity-trained-after-dense", "full", ("dense training", "sparsity training", "fine-tuning")),
        ("soft-pruned", "B-SFP", ("soft pruning",)),
        ("soft-pruned-after-dense", "B-SFP", ("dense training", "soft pruning")),
        ("gradual", "B1", ("dense training", "gradual pruning", "fine-tuning")),
        ("iterative", "B1", ("dense training", "rounds", "scoring", "fine-tuning")),
        ("lottery", "full", ("dense training", "rounds", "scoring", "fine-tuning")),
        (FREE, "B0", ("scoring",)),
        ("one-shot", "E", ()),
    ],
)
def test_counted_stages_written_down_by_hand(kind: str, convention: str, expected: tuple[str, ...]) -> None:
    assert counted_stages(kind, convention) == expected


def test_a_convention_that_adds_up_epochs_says_so() -> None:
    assert {counted_words(kind, "SX-A") for kind in PIPELINES} == {"K1 + KM + K2 epochs"}
