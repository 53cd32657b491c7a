from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from regrow.data.settings import DataSettings


def test_only_the_name_must_be_given() -> None:
    settings = DataSettings(name="digits")
    assert (settings.validation, settings.test, settings.split_seed, settings.augment) == (0.1, None, 0, None)


def test_a_validation_share_stays_a_share_and_a_number_a_number() -> None:
    assert DataSettings(name="digits", validation=0.25).validation == 0.25
    assert DataSettings(name="digits", validation=5000).validation == 5000


@pytest.mark.parametrize("value", [0, -1, -0.1, 2.5])
def test_an_impossible_validation_size_is_refused(value: float) -> None:
    with pytest.raises(ValidationError):
        DataSettings(name="digits", validation=value)


def test_a_shape_has_three_positive_numbers() -> None:
    with pytest.raises(ValidationError):
        DataSettings.model_validate({"name": "parquet", "shape": [32, 32]})
    with pytest.raises(ValidationError):
        DataSettings.model_validate({"name": "parquet", "shape": [3, 0, 32]})


def test_root_becomes_a_path() -> None:
    assert DataSettings.model_validate({"name": "parquet", "root": "somewhere"}).root == Path("somewhere")
