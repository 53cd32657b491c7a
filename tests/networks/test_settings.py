from __future__ import annotations

import pytest
from pydantic import ValidationError

from regrow.networks.settings import DenseSettings, NetworkSettings


def test_a_network_is_as_wide_as_published_unless_said_otherwise() -> None:
    assert NetworkSettings(name="vgg16").width == 1.0


@pytest.mark.parametrize("width", [0.0, -1.0, 17.0, float("nan")])
def test_an_impossible_width_is_refused(width: float) -> None:
    with pytest.raises(ValidationError):
        NetworkSettings(name="vgg16", width=width)


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="depth"):
        NetworkSettings.model_validate({"name": "vgg16", "depth": 16})


def test_without_a_checkpoint_the_study_trains_its_own_dense_network() -> None:
    assert DenseSettings().checkpoint is None
    assert DenseSettings().price == "full"


def test_options_are_part_of_a_networks_identity() -> None:
    one, two, again = (NetworkSettings(name="timm:resnet18", options={"depth": depth}) for depth in (1, 2, 1))
    assert len({one, two, again}) == 2 and one == again


def test_empty_options_are_not_written() -> None:
    assert NetworkSettings(name="vgg11").model_dump() == {"name": "vgg11", "width": 1.0}
    assert NetworkSettings(name="nets:build", options={"a": 1}).model_dump()["options"] == {"a": 1}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
def test_options_are_plain_values(value: object) -> None:
    with pytest.raises(ValidationError, match="finite numbers"):
        NetworkSettings(name="nets:build", options={"a": value})
