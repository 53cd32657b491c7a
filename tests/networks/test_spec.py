from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from regrow.errors import ConfigError
from regrow.networks.spec import NetworkSpec

from .zoo_spec import spec_of


def test_a_specification_survives_json() -> None:
    spec = spec_of("resnet20", width=0.25)
    assert NetworkSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_a_whole_number_as_width_is_the_same_value_as_the_fraction() -> None:
    value = spec_of("vgg11").to_json() | {"width": 1}
    assert NetworkSpec.from_json(value).to_json()["width"].__repr__() == "1.0"


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"name": ""}, "name"),
        ({"name": 3}, "name"),
        ({"width": "1"}, "width"),
        ({"width": 0}, "width"),
        ({"widths": "64"}, "widths"),
        ({"widths": [0]}, "widths.0"),
        ({"widths": [True]}, "widths.0"),
        ({"widths": [10**30]}, "widths.0"),
        ({"classes": 1.5}, "classes"),
        ({"shape": [3, 32]}, "shape.2"),
        ({"shape": [3, 32, 10**9]}, "shape.2"),
        ({"depth": 16}, "depth"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as error:
        NetworkSpec.from_json(spec_of("vgg11").to_json() | change, where="net.json")
    assert [(fault.where, fault.key) for fault in error.value.faults] == [("net.json", key)]


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        NetworkSpec.from_json({"name": "vgg11"})
    assert {fault.key for fault in error.value.faults} == {"width", "widths", "classes", "shape"}


@pytest.mark.parametrize("value", [None, 3, "vgg11", [], float("nan"), {1: 2, "b": set()}])
def test_what_is_not_an_object_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="network"):
        NetworkSpec.from_json(value)


def test_a_specification_is_a_value() -> None:
    assert len({spec_of("vgg11"), spec_of("vgg11"), spec_of("vgg13")}) == 2


FOREIGN = {
    "name": "timm:resnet18",
    "width": 1.0,
    "widths": [],
    "classes": 10,
    "shape": [3, 32, 32],
    "options": {"drop_rate": 0.1, "block_args": {"a": [1, 2]}},
    "origin": "timm 1.0.0",
}


def test_options_and_origin_of_a_network_from_elsewhere_survive_json() -> None:
    spec = NetworkSpec.from_json(FOREIGN)
    assert spec.to_json() == FOREIGN
    assert spec.arguments == FOREIGN["options"]
    assert hash(spec) == hash(NetworkSpec.from_json(json.loads(json.dumps(FOREIGN))))


def test_the_zoo_has_neither_so_its_results_keep_their_addresses() -> None:
    assert set(spec_of("vgg11").to_json()) == {"name", "width", "widths", "classes", "shape"}


@pytest.mark.parametrize(
    ("change", "key", "rule"),
    [
        ({"options": [1]}, "options", "must be a table"),
        ({"options": "{}"}, "options", "must be a table"),
        ({"origin": 3}, "origin", "string"),
    ],
)
def test_wrong_options_and_origins_are_named(change: dict[str, Any], key: str, rule: str) -> None:
    with pytest.raises(ConfigError) as error:
        NetworkSpec.from_json(FOREIGN | change)
    ((found),) = error.value.faults
    assert found.key == key and rule in found.rule


def test_removed_blocks_stand_in_json_only_where_there_are_some() -> None:
    spec = spec_of("resnet20")
    assert "removed" not in spec.to_json()
    without = replace(spec, removed=("stage3.block2", "stage1.block1"))
    assert without.to_json() == spec.to_json() | {"removed": ["stage1.block1", "stage3.block2"]}
    assert NetworkSpec.from_json(json.loads(json.dumps(without.to_json()))) == without


def test_the_order_in_which_removed_blocks_are_named_does_not_matter() -> None:
    names = ("stage3.block10", "stage3.block9")
    spec = spec_of("resnet20")
    assert replace(spec, removed=names) == replace(spec, removed=names[::-1])
    read = NetworkSpec.from_json(spec.to_json() | {"removed": list(names)})
    assert read.removed == ("stage3.block9", "stage3.block10")


@pytest.mark.parametrize("name", ["", "a..b", ".a", "a.", "a b", "a" * 1001, 3])
def test_what_is_no_name_of_a_module_is_refused(name: object) -> None:
    with pytest.raises(ConfigError) as error:
        NetworkSpec.from_json(spec_of("resnet20").to_json() | {"removed": ["stage1.block1", name]})
    assert [fault.key for fault in error.value.faults] == ["removed.1"]
