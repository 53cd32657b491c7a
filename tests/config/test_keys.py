"""Wrong keys are answered with the right one."""

from __future__ import annotations

import pytest

from regrow.config.keys import SYNONYMS, dotted, meant, model_of, sections
from regrow.config.study import Study
from regrow.pruning.settings import PruneSettings

MEANT = [
    ("prune", "fracton", "prune.fraction"),
    ("prune", "Fraction", "prune.fraction"),
    ("prune", "ratio", "prune.fraction"),
    ("train", "batch-size", "train.batch"),
    ("train", "weightdecay", "train.weight_decay"),
    ("train", "fraction", "prune.fraction"),
    ("", "lr", "train.lr"),
    ("", "arm", "arms"),
    ("", "model", "network"),
    ("", "epochs", "dense.epochs, train.epochs or retrain.epochs"),
]


@pytest.mark.parametrize(("section", "key", "right"), MEANT)
def test_a_wrong_key_is_answered_with_the_right_one(section: str, key: str, right: str) -> None:
    assert meant(section, key) == f"Did you mean {right}?"


def test_a_key_like_no_other_is_answered_with_all_keys_of_its_table() -> None:
    assert meant("variant", "prune") == "Keys of [variant]: name, retrain, train."  # a table, no slip of a key
    assert meant("network", "zzz") == "Keys of [network]: name, options, width."
    assert meant("", "zzz").startswith("Keys of the top of the file: analyses, arms, between, compute, contrast, ")


def test_every_synonym_stands_for_a_key_that_exists_and_is_none_itself() -> None:
    known = {dotted(section, key) for section, keys in sections().items() for key in keys}
    assert set(SYNONYMS.values()) <= known
    assert not set(SYNONYMS) & known


def test_tables_are_known_single_and_in_arrays() -> None:
    assert model_of(Study.model_fields["prune"].annotation) is PruneSettings
    assert model_of(Study.model_fields["margin"].annotation) is None
    assert sections()["network"] == ("name", "width", "options")


def test_odd_keys_are_quoted_and_safe_to_print() -> None:
    assert dotted("train", "lr") == "train.lr"
    assert dotted("prune #2", "fraction") == "prune #2.fraction"
    assert dotted("train", "a.b\x1b") == 'train."a.b\\u001b"'
