"""Training settings: defaults are the paper's, and what would be ignored is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from regrow.training.schedule import SCHEDULES
from regrow.training.settings import ComputeSettings, TrainSettings


def test_the_default_recipe_is_the_papers() -> None:
    settings = TrainSettings()
    assert (settings.epochs, settings.lr, settings.schedule, settings.momentum) == (160, 0.1, "step", 0.9)
    assert (settings.weight_decay, settings.nesterov, settings.label_smoothing) == (1e-4, False, 0.0)


def test_a_training_takes_one_thread_and_leaves_arithmetic_open() -> None:
    settings = ComputeSettings()
    assert (settings.threads, settings.precision, settings.channels_last, settings.compile) == (
        1,
        "auto",
        "auto",
        False,
    )


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_can_be_asked_for(name: str) -> None:
    assert TrainSettings.model_validate({"schedule": name}).schedule == name


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"schedule": "one-cycle", "warmup": 0.1}, "rises over its own first 30 %"),
        ({"nesterov": True, "momentum": 0.0}, "momentum above 0"),
        ({"nesterov": True, "optimizer": "adamw"}, "needs sgd"),
        ({"warmup": 0.5}, "less than 0.5"),
        ({"schedule": "linear"}, "Input should be 'step'"),
        ({"momentun": 0.9}, "Extra inputs"),
    ],
)
def test_what_cannot_be_meant_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainSettings.model_validate(values)


def test_one_device_is_left_out_of_what_is_written_so_that_older_studies_keep_their_identity() -> None:
    assert "devices" not in ComputeSettings().model_dump(mode="json")
    assert "devices" not in ComputeSettings(devices=1).model_dump(mode="json", exclude={"workers"})
    assert ComputeSettings(devices=2).model_dump(mode="json")["devices"] == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [({"devices": 0}, "greater than or equal to 1"), ({"devices": 2, "compile": True}, "trainings on one device")],
)
def test_devices_that_cannot_be_meant_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ComputeSettings.model_validate(values)
