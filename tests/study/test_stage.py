"""Stages: the key is the hash of all that determines the result, and of nothing else."""

from __future__ import annotations

import json

import pytest

from regrow.errors import UnknownNameError
from regrow.study.stage import STAGE_KINDS, Stage
from regrow.table import load

BASE = {"settings": {"lr": 0.1, "epochs": 3}, "inputs": {"data": "data-1"}}


def key(**changes: object) -> str:
    return Stage(**{"kind": "train", **BASE, **changes}).key  # type: ignore[arg-type]


def test_settings_inputs_and_kind_change_the_key() -> None:
    keys = {
        key(),
        key(settings={"lr": 0.2, "epochs": 3}),
        key(inputs={"data": "data-2"}),
        key(kind="evaluate"),
    }
    assert len(keys) == 4


def test_labels_places_and_priorities_do_not() -> None:
    assert key() == key(label="x", priority=3, work=9.0, local={"root": "/elsewhere"})


def test_the_order_of_settings_does_not() -> None:
    assert key() == key(settings={"epochs": 3, "lr": 0.1})


def test_a_stage_survives_the_way_to_a_worker() -> None:
    stage = Stage(kind="train", label="dense", local={"root": "r"}, **BASE)  # type: ignore[arg-type]
    assert Stage.from_json(json.loads(json.dumps(stage.to_json()))).key == stage.key


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UnknownNameError):
        key(kind="trian")


@pytest.mark.parametrize("kind", STAGE_KINDS)
def test_every_kind_has_a_function_that_does_it(kind: str) -> None:
    assert callable(load(STAGE_KINDS[kind].target))
