"""Names are rows of tables."""

from __future__ import annotations

import pytest

from regrow.config import names
from regrow.errors import Fault

from .cases import study, told

WRONG = [
    (names.arm_names, {"arms": ["retrain", "scratch_b"]}, 'arms: no arm is called "scratch_b"', "scratch-b"),
    (
        names.contrast_names,
        {"contrast": ["retrain", "scratch_b"]},
        'contrast: no arm is called "scratch_b"',
        "scratch-b",
    ),
    (names.network_names, {"network": {"name": "vg11"}}, 'network.name: no network is called "vg11"', "vgg11"),
    (names.data_names, {"data": {"name": "digit"}}, 'data.name: no data set or format is called "digit"', "digits"),
    (
        names.method_names,
        {"prune": {"method": "l1-norm"}},
        'prune.method: no pruning method is called "l1-norm"',
        "random",
    ),
    (
        names.design_names,
        {"prune": {"method": "l1", "widths": "vgg16a"}},
        'prune.widths: no design is called "vgg16a"',
        "vgg16-a",
    ),
    (
        names.convention_name,
        {"retrain": {"convention": "B2"}},
        'retrain.convention: no convention is called "B2"',
        "B1",
    ),
]


@pytest.mark.parametrize(("rule", "changes", "told", "known"), WRONG)
def test_an_unknown_name_is_told_with_the_known_ones(rule, changes, told, known) -> None:  # type: ignore[no-untyped-def]
    (fault,) = rule(study(**changes))
    assert f"{fault.key}: {fault.rule}" == told
    assert known in fault.hint


@pytest.mark.parametrize("rule", [rule for rule, *_ in WRONG])
def test_known_names_are_no_fault(rule) -> None:  # type: ignore[no-untyped-def]
    assert list(rule(study())) == []


@pytest.mark.parametrize("name", ["torchvision:resnet50", "timm:resnet18", "mine.nets:build", "nets/network.pt2"])
def test_networks_from_elsewhere_need_no_row(name: str) -> None:
    assert list(names.network_names(study(network={"name": name}))) == []


def test_a_network_from_elsewhere_that_is_written_wrongly_is_told() -> None:
    (fault,) = names.network_names(study(network={"name": "mine/nets.py:build"}))
    assert fault.key == "network.name" and "torchvision:resnet50" in fault.hint


def faults_of_arms(*arms: str) -> list[Fault]:
    return list(names.arm_names(study(arms=list(arms))))


def test_an_arm_stands_once() -> None:
    (fault,) = faults_of_arms("retrain", "scratch-b", "retrain")
    assert fault.rule == 'every arm may stand once; found "retrain" twice'


def test_one_arm_is_nothing_to_compare() -> None:
    (fault,) = faults_of_arms("retrain")
    assert fault.rule == 'must name at least two arms; found ["retrain"]'


def test_an_unknown_arm_that_stands_twice_is_told_once() -> None:
    assert [fault.rule for fault in faults_of_arms("a", "a", "retrain")] == [
        'no arm is called "a"',
        'every arm may stand once; found "a" twice',
    ]


def test_an_empty_list_of_methods_is_told() -> None:
    (fault,) = names.method_names(study(prune={"method": []}))
    assert fault.rule == "must name at least one method; found []"
    assert fault.hint.startswith("Known: activation-mean, ")


def test_the_second_of_two_tables_is_named() -> None:
    (fault,) = names.network_names(study(network=[{"name": "vgg11"}, {"name": "vg16"}]))
    assert fault.key == "network #2.name"


def test_analyses_are_rows_of_the_list_each_once() -> None:
    assert told(analyses=["losses", "barrier", "weights"]) == []
    assert told(analyses=["loses"]) == ['analyses: no analysis is called "loses"']
    assert told(analyses=["losses", "losses"]) == ['analyses: every analysis may stand once; found "losses" twice']


def test_a_barrier_is_between_two_networks_of_one_architecture() -> None:
    arms = {"arms": ["retrain", "dense-longer"], "contrast": ["retrain", "dense-longer"]}
    assert told(analyses=["losses"], **arms) == []
    rule = 'analyses: "barrier" needs two arms of one architecture; the contrast is ["retrain", "dense-longer"]'
    assert told(analyses=["barrier"], **arms) == [rule]


def test_a_published_table_is_a_row_of_the_list() -> None:
    assert told(published="table1") == []
    assert told(published="tabel1") == ['published: no published table is called "tabel1"']
