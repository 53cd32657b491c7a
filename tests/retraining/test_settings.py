"""Retraining settings: defaults and limits."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from regrow.retraining.conventions import CONVENTIONS
from regrow.retraining.settings import RetrainSettings


def test_tuning_is_on_and_the_default_convention_counts_fine_tuning() -> None:
    settings = RetrainSettings()
    assert settings.tune_lr
    assert settings.convention is None or "fine-tuning" in CONVENTIONS[settings.convention].counts


@pytest.mark.parametrize(
    "wrong",
    [
        {"tune_seeds": 1},
        {"rewind": 1.0},
        {"max_lrs": 3},
        {"epochs": 0},
        {"late": 0.0},
        {"late": 1.0},
        {"lrs": [0.1, -1]},
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RetrainSettings(**wrong)  # type: ignore[arg-type]
