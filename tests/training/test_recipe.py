"""Recipes: they survive JSON, and refuse what no schedule can do."""

from __future__ import annotations

import pytest

from regrow.errors import ConfigError
from regrow.training.recipe import Recipe
from tests.training.samples import recipe


def test_a_recipe_survives_json() -> None:
    made = recipe(optimizer="adamw", warmup=0.1, schedule_epochs=8, schedule_start=4)
    assert Recipe.from_json(made.to_json()) == made


def test_a_run_must_end_within_its_schedule() -> None:
    recipe(epochs=4, schedule_epochs=8, schedule_start=4)
    with pytest.raises(ConfigError, match=r"schedule of 8 epochs; 4 epochs from epoch 5 on end at 9"):
        recipe(epochs=4, schedule_epochs=8, schedule_start=5)


def test_a_schedule_may_not_rise_to_its_end() -> None:
    with pytest.raises(ConfigError, match=r"got peak 0.0001 below final 0.001"):
        recipe(peak_lr=1e-4)


def test_a_constant_schedule_has_no_end_to_rise_to() -> None:
    assert recipe(schedule="constant", peak_lr=1e-4).peak_lr == 1e-4


def test_a_field_of_another_version_is_refused() -> None:
    with pytest.raises(ConfigError, match="another version of regrow"):
        Recipe.from_json(recipe().to_json() | {"cutmix": 1.0})
