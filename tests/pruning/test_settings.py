from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from regrow.pruning.settings import PruneSettings


def test_half_of_the_channels_go_unless_said_otherwise() -> None:
    assert PruneSettings(method="l1").fractions == (0.5,)


def test_a_list_of_fractions_is_a_family() -> None:
    assert PruneSettings.model_validate({"method": "l1", "fraction": [0.3, 0.8]}).fractions == (0.3, 0.8)


def test_methods_are_a_tuple_even_when_one_was_given() -> None:
    assert PruneSettings(method="l1").methods == ("l1",)
    assert PruneSettings.model_validate({"method": ["l1", "random"]}).methods == ("l1", "random")


@pytest.mark.parametrize("value", [{"widths": "vgg16-a"}, {"stages": [0.1, 0.2, 0.3]}])
def test_there_are_no_fractions_where_stages_or_widths_are_given(value: dict[str, Any]) -> None:
    assert PruneSettings.model_validate({"method": "l1", **value}).fractions == ()


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ({"fraction": 0.5, "widths": "vgg16-a"}, "one of fraction, stages, widths and per_round"),
        ({"widths": "vgg16-a", "skip": [2]}, "skip goes with fraction or stages"),
        ({"fraction": 0.0}, "greater than 0"),
        ({"fraction": 30}, "less than 1"),
        ({"stages": [1.0]}, "less than 1"),
        ({"widths": [0]}, "greater than or equal to 1"),
        ({"ratio": 0.5}, "ratio"),
        ({"of": "zeros", "fraction": 0.5}, "takes no amount"),
        ({"per_round": 0.2}, "per_round goes with rounds"),
        ({"pattern": "two:four"}, "pattern"),
    ],
)
def test_what_cannot_be_meant_is_refused(value: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        PruneSettings.model_validate({"method": "l1", **value})
