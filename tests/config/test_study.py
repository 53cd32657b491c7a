"""A study is frozen, complete, and knows its identity."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pydantic
import pytest

from regrow.config.study import DEFAULT_ARMS, Study, as_list, expand_seeds
from regrow.data.settings import DataSettings
from regrow.errors import ConfigError, ProtocolError
from regrow.pruning.guide import write_guide
from tests.pruning.guides import of_channels


def make(**changes: Any) -> Study:
    plain = {"name": "test", "data": {"name": "digits"}, "network": {"name": "vgg11"}, "prune": {"method": "l1"}}
    return Study(**plain | changes)


def test_a_study_must_name_only_data_network_and_method() -> None:
    study = make()
    assert study.arms == DEFAULT_ARMS
    assert study.contrast == ("retrain", "scratch-b")
    assert study.margin == 1.0
    assert study.seeds == (0, 1, 2, 3, 4)
    assert study.train.epochs == 160


def test_a_study_cannot_be_changed() -> None:
    with pytest.raises(pydantic.ValidationError):
        make().margin = 2.0


@pytest.mark.parametrize(
    ("given", "meant"), [(1, [0]), (3, [0, 1, 2]), ([7, 5], [7, 5]), (0, 0), (True, True), ("8", "8")]
)
def test_a_number_of_seeds_stands_for_the_first_so_many(given: Any, meant: Any) -> None:
    assert expand_seeds(given) == meant


def test_a_huge_number_of_seeds_is_left_to_be_refused() -> None:
    assert expand_seeds(10_001) == 10_001
    assert len(expand_seeds(10_000)) == 10_000


def test_one_table_and_an_array_of_one_table_are_the_same_study() -> None:
    assert make(data={"name": "digits"}) == make(data=[{"name": "digits"}])
    assert as_list(DataSettings(name="digits")) == [DataSettings(name="digits")]


def test_plural_names_give_the_families() -> None:
    study = make(network=[{"name": "vgg11"}, {"name": "vgg13"}], seeds=2)
    assert [network.name for network in study.networks] == ["vgg11", "vgg13"]
    assert study.seed_list == (0, 1)
    assert study.datasets == study.data
    assert study.prunings == study.prune


def test_rules_hold_for_studies_made_in_python_too() -> None:
    with pytest.raises(ConfigError, match="no arm is called"):
        make(arms=["retrain", "scratchb"])


def test_a_checkpoint_that_has_seen_the_test_set_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError, match="test set must be new"):
        make(dense={"checkpoint": "x.safetensors", "trained_on": "all"})


def test_settings_are_json_and_complete() -> None:
    settings = make().settings()
    assert json.loads(json.dumps(settings)) == settings
    assert settings["retrain"]["convention"] is None
    assert settings["seeds"] == [0, 1, 2, 3, 4]


def test_settings_make_the_study_again() -> None:
    study = make(seeds=3, prune={"method": ["l1", "random"], "fraction": [0.3, 0.5]})
    assert Study(**study.settings()) == study


def test_settings_hold_no_folders_and_paths_hold_them_all() -> None:
    data = {"name": "cifar10", "root": "/somewhere/cifar"}
    study = make(
        data=data, dense={"checkpoint": "/else/net.safetensors", "trained_on": "train"}, retrain={"tune_lr": False}
    )
    assert study.settings()["data"][0]["root"] == "cifar"
    assert study.settings()["dense"]["checkpoint"] == "net.safetensors"
    assert study.paths() == {
        ("data", 0, "root"): Path("/somewhere/cifar"),
        ("dense", "checkpoint"): Path("/else/net.safetensors"),
    }


SAME = [
    {"name": "other", "title": "T", "description": "D"},
    {"compute": {"workers": 3}},
    {"seeds": [0, 1, 2, 3, 4]},
    {"data": [{"name": "digits"}]},
]


@pytest.mark.parametrize("changes", SAME)
def test_what_cannot_change_a_result_is_not_part_of_the_id(changes: dict[str, Any]) -> None:
    assert make(**changes).id == make().id


OTHER = [
    {"contrast": ["fine-tune", "scratch-b"]},
    {"margin": 0.5},
    {"seeds": 6},
    {"compute": {"threads": 2}},
    {"prune": {"method": "l1", "fraction": 0.3}},
]


@pytest.mark.parametrize("changes", OTHER)
def test_what_can_change_a_result_is_part_of_the_id(changes: dict[str, Any]) -> None:
    assert make(**changes).id != make().id


def test_the_id_does_not_depend_on_where_the_data_lie() -> None:
    here, there = (make(data={"name": "cifar10", "root": f"/{disk}/cifar"}) for disk in ("a", "b"))
    assert here.id == there.id


def test_a_guide_counts_by_its_content_and_not_by_its_path(tmp_path: Path) -> None:
    for folder, share in (("a", 0.5), ("b", 0.5), ("c", 0.4)):
        write_guide(tmp_path / folder / f"{folder}.json", of_channels(1.0, 1.0, 1.0, share, share))
    a, b, c = (
        make(prune={"method": "guided", "guide": tmp_path / name / f"{name}.json", "of": "macs"}) for name in "abc"
    )
    assert a.id == b.id != c.id
    assert a.settings()["prune"][0]["guide"] == "a.json"
    assert a.paths() == {("prune", 0, "guide"): tmp_path / "a" / "a.json"}
    assert "guide" not in make().settings()["prune"][0]


def test_a_study_remembers_its_file_by_name_only() -> None:
    assert make().file == ""
    study = make().from_file("mine.toml")
    assert study.file == "mine.toml"
    assert study == make().from_file("mine.toml")
