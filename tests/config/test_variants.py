"""Variants in a study file: each is checked as the tables that it changes are, and told at its own key."""

from __future__ import annotations

from typing import Any

import pytest

from regrow.config.load import build
from regrow.config.study import Study

from .cases import tables


def faults(**changes: Any) -> dict[str, str]:
    _, found = build(tables(**changes))
    return {one.key: one.rule for one in found}


def study(**changes: Any) -> Study:
    whole, found = build(tables(**changes))
    assert not found
    return whole


def test_every_recipe_is_the_study_with_the_variants_values() -> None:
    variants = [{"name": "slow", "train": {"lr": 0.01}}, {"name": "long", "retrain": {"epochs": 7}}]
    recipes = study(variant=variants, train={"epochs": 20, "lr": 0.1}).varied()
    assert {name: (one.train.lr, one.retrain.epochs) for name, one in recipes.items()} == {
        "slow": (0.01, None),
        "long": (0.1, 7),
    }
    assert all(one.train.epochs == 20 and one.variant == () for one in recipes.values())


def test_a_study_without_variants_is_its_one_recipe_and_keeps_its_identity() -> None:
    plain = study()
    assert plain.varied() == {"": plain}
    assert not {"variant", "between", "analyses", "published"} & plain.settings().keys()


def test_a_wrong_key_of_a_variant_is_told_at_the_variant() -> None:
    found = faults(variant=[{"name": "a"}, {"name": "b", "train": {"epocs": 3}}])
    assert found == {"variant #2.train.epocs": "there is no such key; found 3"}


def test_a_wrong_value_of_a_variant_is_told_at_the_variant() -> None:
    assert list(faults(variant=[{"name": "a", "retrain": {"epochs": "x"}}])) == ["variant.retrain.epochs"]


def test_two_variants_of_one_name_are_refused() -> None:
    assert "every variant has a name" in faults(variant=[{"name": "a"}, {"name": "a"}])["variant"]


def test_rules_of_the_recipe_hold_in_every_variant() -> None:
    found = faults(variant=[{"name": "a"}, {"name": "b", "train": {"epochs": 2}, "retrain": {"epochs": 9}}])
    assert '(variant "b")' in found["retrain.epochs"]


@pytest.mark.parametrize(
    ("side", "key"),
    [
        ({"arm": "scratch-f"}, "arm"),
        ({"arm": "dense", "variant": "c"}, "variant"),
        ({"arm": "dense", "method": "l7"}, "method"),
    ],
)
def test_contrasts_between_comparisons_name_what_the_study_has(side: dict[str, str], key: str) -> None:
    between = [{"name": "q", "first": side, "second": {"arm": "dense", "variant": "a"}}]
    found = faults(variant=[{"name": "a"}, {"name": "b"}], between=between)
    assert list(found) == [f"between.first.{key}"]
