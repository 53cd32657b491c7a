"""What can be built and pruned is asked of the code that will do it."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from regrow.config.feasible import reworded
from regrow.config.load import build
from regrow.errors import ConfigError, Fault, PruningError
from regrow.study.comparison import comparisons

from .cases import tables, told

PARQUET = {"name": "parquet", "root": "/images", "classes": 10, "shape": [3, 32, 32], "examples": 1000}


def test_a_format_declares_what_cannot_be_known_unopened() -> None:
    faults = told(data=[{"name": "digits"}, {"name": "parquet", "root": "/images", "classes": 10}])
    assert [fault.partition(":")[0] for fault in faults] == ["data #2.shape", "data #2.examples"]


def test_a_declared_format_needs_no_folder_to_be_checked() -> None:
    assert told(data=PARQUET) == []


def test_data_sets_need_different_labels() -> None:
    assert told(data=[PARQUET, {**PARQUET, "split_seed": 1}]) == [
        'data: two data sets are called "images" in the report'
    ]
    assert told(data=[PARQUET, {**PARQUET, "label": "other"}]) == []


def test_images_too_small_for_a_network_are_told() -> None:
    (fault,) = told(data={**PARQUET, "shape": [3, 4, 4]}, network={"name": "resnet20"})
    assert fault.startswith("network: ")
    assert "4" in fault


def test_the_data_set_is_named_where_there_are_several() -> None:
    (fault,) = told(data=[{"name": "digits"}, {**PARQUET, "shape": [3, 4, 4]}])
    assert fault.endswith(" on data #2")


@pytest.mark.parametrize(
    ("prune", "key"),
    [
        ({"method": "l1", "widths": "vgg16-a"}, "prune.widths"),
        ({"method": "l1", "widths": [1, 2]}, "prune.widths"),
        ({"method": "l1", "stages": [0.5]}, "prune.stages"),
        ({"method": "l1", "skip": ["nothing"]}, "prune.skip"),
    ],
)
def test_a_network_that_cannot_be_pruned_so_is_told(prune: dict[str, object], key: str) -> None:
    (fault,) = told(prune=prune)
    assert fault.startswith(f"{key}: ")


@pytest.mark.parametrize(
    ("prune", "told_key"),
    [
        ({"method": "l1", "widths": "vgg16-a"}, "prune.widths"),
        ({"method": "l1", "stages": [0.5, 0.1]}, "prune.stages"),
    ],
)
def test_what_only_the_zoo_can_be_told_is_a_fault_for_networks_from_elsewhere(
    prune: dict[str, object], told_key: str
) -> None:
    (fault,) = told(data=PARQUET, network={"name": "torchvision:resnet18"}, prune=prune)
    assert fault.startswith(f"{told_key}: ") and "torchvision:resnet18" in fault


@pytest.mark.parametrize("prune", [{"fraction": 0.3}, {"widths": [3, 4]}, {"skip": ["any.*"]}])
def test_what_needs_tracing_is_left_for_the_plan(prune: dict[str, object]) -> None:
    assert told(data=PARQUET, network={"name": "torchvision:resnet18"}, prune={"method": "l1", **prune}) == []


def test_a_network_that_cannot_take_the_images_is_told() -> None:
    (fault,) = told(network={"name": "torchvision:resnet18"})
    assert fault.startswith("network.name: ") and "3 channels" in fault


def test_options_of_the_zoo_are_a_fault() -> None:
    (fault,) = told(network={"name": "vgg11", "options": {"depth": 3}})
    assert fault.startswith("network.options: ")


def test_a_fault_of_several_data_sets_is_told_once() -> None:
    assert len(told(data=[{"name": "digits"}, {"name": "cifar10"}], prune={"method": "l1", "stages": [0.5]})) == 1


def test_the_right_design_of_a_network_is_no_fault() -> None:
    assert told(network={"name": "vgg16"}, prune={"method": "l1", "widths": "vgg16-a"}) == []


def test_an_error_without_faults_becomes_one() -> None:
    (fault,) = reworded(PruningError("a layer would be emptied. Remove less."), "prune #2")
    assert (fault.key, fault.rule, fault.hint) == ("prune #2", "a layer would be emptied", "Remove less.")


def test_faults_of_another_table_keep_the_key_that_was_asked_about() -> None:
    error = ConfigError(
        faults=[Fault(where="x", key="shape", rule="too small"), Fault(where="x", key="data.test", rule="no")]
    )
    assert [fault.key for fault in reworded(error, "data #2")] == ["data #2", "data #2.test"]


class TestAPruningKeptToSomeNetworks:
    TWO: ClassVar[dict[str, Any]] = {"network": [{"name": "vgg16"}, {"name": "resnet56"}]}

    def test_is_asked_of_these_alone(self) -> None:
        prune = [
            {"method": "l1", "widths": "vgg16-a", "networks": ["vgg16"]},
            {"method": "l1", "widths": "resnet56-a", "networks": ["resnet56"]},
        ]
        study, found = build(tables(**self.TWO, prune=prune))
        assert not found
        pairs = [(one.dense.name, one.design) for one in comparisons(study)]
        assert pairs == [("vgg16", "vgg16-a"), ("resnet56", "resnet56-a")]

    def test_names_networks_and_data_sets_of_the_study(self) -> None:
        prune = [{"method": "l1"}, {"method": "l2", "networks": ["vgg61"], "datasets": ["digit"]}]
        _, found = build(tables(**self.TWO, prune=prune))
        assert [one.key for one in found] == ["prune #2.networks", "prune #2.datasets"]
        assert "vgg16" in found[0].hint and "digits" in found[1].hint

    def test_leaves_no_network_without_a_pruning(self) -> None:
        _, found = build(tables(**self.TWO, prune=[{"method": "l1", "networks": ["vgg16"]}]))
        assert [(one.key, one.rule) for one in found] == [("network #2", "no [[prune]] is meant for it on digits")]
