"""Variants and declared contrasts, as values."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from regrow.config.families import Between, Side, Variant


def test_columns_that_no_side_names_must_agree() -> None:
    asked = Between(name="q", first=Side(arm="ticket"), second=Side(arm="scratch-e"))
    assert asked.matched == ("network", "data", "variant", "method", "fraction", "design")
    assert asked.chosen == frozenset()


def test_naming_a_method_frees_the_design_that_is_told_in_its_words() -> None:
    asked = Between(name="q", first=Side(arm="scratch-e", method="l1"), second=Side(arm="scratch-e", method="slimming"))
    assert asked.matched == ("network", "data", "variant", "fraction")


def test_best_frees_its_columns_and_lets_a_side_choose_over_them() -> None:
    asked = Between(name="q", first=Side(arm="a"), second=Side(arm="b"), best=("variant", "fraction"))
    assert asked.matched == ("network", "data", "method")
    assert asked.chosen == {"variant", "fraction", "design"}


def test_a_side_names_only_what_it_says() -> None:
    assert Side(arm="dense", variant="lr 0.1", fraction=0.5).named == {"variant": "lr 0.1", "fraction": 0.5}


def test_two_equal_sides_are_refused() -> None:
    with pytest.raises(ValidationError, match="say the same"):
        Between(name="q", first=Side(arm="a"), second=Side(arm="a"))


def test_best_over_a_column_that_a_side_names_is_refused() -> None:
    with pytest.raises(ValidationError, match="found variant in best and in a side"):
        Between(name="q", first=Side(arm="a", variant="x"), second=Side(arm="b"), best=("variant",))


def test_a_name_with_control_characters_is_refused() -> None:
    with pytest.raises(ValidationError):
        Variant(name="a\nb")
