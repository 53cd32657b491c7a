"""Settings: frozen, and strict about what they do not know."""

from __future__ import annotations

import pydantic
import pytest

from regrow.data.settings import DataSettings
from regrow.networks.settings import DenseSettings, NetworkSettings
from regrow.pruning.settings import PruneSettings
from regrow.retraining.settings import RetrainSettings
from regrow.settings import Settings
from regrow.training.settings import ComputeSettings, TrainSettings


class Example(Settings):
    """For these tests."""

    rate: float = 1.0
    """How fast."""


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="speed"):
        Example(speed=3)  # type: ignore[call-arg]


def test_a_value_cannot_be_changed() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        Example().rate = 2.0


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_must_be_finite(number: float) -> None:
    with pytest.raises(pydantic.ValidationError, match="finite"):
        Example(rate=number)


def test_equal_settings_are_equal_and_can_be_counted() -> None:
    assert len({Example(rate=2.0), Example(rate=2.0), Example()}) == 2


ALL = [DataSettings, NetworkSettings, DenseSettings, PruneSettings, RetrainSettings, TrainSettings, ComputeSettings]


@pytest.mark.parametrize("model", ALL, ids=lambda model: model.__name__)
def test_every_field_of_every_table_has_its_help(model: type[Settings]) -> None:
    assert [name for name, field in model.model_fields.items() if not field.description] == []
