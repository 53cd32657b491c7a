"""Rules that span several keys: each is broken here, and each is kept silent by a wrong key that it reads."""

from __future__ import annotations

from typing import Any

import pytest

from regrow.config.rules import RULES, broken_rules
from regrow.config.study import Study

from .cases import study, told

CHECKPOINT = {"checkpoint": "/net.safetensors", "trained_on": "train"}

BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"seeds": []}, "seeds: must hold at least one seed; found []"),
    ({"seeds": [1, 2, 1]}, "seeds: every seed may stand once; found 1 twice"),
    ({"data": []}, "data: must hold at least one table; found []"),
    ({"prune": {"method": "l1", "fraction": []}}, "prune.fraction: must hold at least one fraction; found []"),
    ({"name": "Store"}, 'name: must not be "store", the folder that all studies share'),
    ({"contrast": ["retrain", "retrain"]}, 'contrast: must compare two different arms; found "retrain" twice'),
    (
        {"arms": ["fine-tune", "scratch-e"]},
        'contrast: must name two arms of this study; not in arms: "retrain", "scratch-b"',
    ),
    ({"network": [{"name": "vgg11"}] * 2}, 'network: two tables say the same; found "vgg11" twice'),
    (
        {"prune": {"method": "l1", "fraction": [0.5, 0.5]}},
        'prune: every comparison may stand once; found "l1" with fraction 0.5 twice',
    ),
    (
        {"prune": [{"method": ["l1", "random"]}, {"method": "l1", "fraction": 0.5}]},
        'prune: every comparison may stand once; found "l1" with fraction 0.5 twice',
    ),
    (
        {"dense": {"checkpoint": "/x"}},
        "dense.trained_on: is missing; dense.checkpoint is judged by what it was trained on",
    ),
    ({"dense": {"trained_on": "train"}}, "dense.trained_on: describes dense.checkpoint, and the study gives none"),
    ({"dense": {"price": "free"}}, "dense.price: describes dense.checkpoint, and the study gives none"),
    (
        {"dense": CHECKPOINT, "network": [{"name": "vgg11"}, {"name": "vgg13"}]},
        "dense.checkpoint: is one network's weights; the study has 2 [[network]] tables",
    ),
    (
        {"dense": CHECKPOINT, "data": [{"name": "cifar10"}, {"name": "cifar100"}]},
        "dense.checkpoint: is one network's weights; the study has 2 [[data]] tables",
    ),
    (
        {"dense": {**CHECKPOINT, "trained_on": "train+test"}},
        'dense.trained_on: the test set must be new to every network; found "train+test"',
    ),
    (
        {"dense": {**CHECKPOINT, "trained_on": "all"}},
        'dense.trained_on: the test set must be new to every network; found "all"',
    ),
    (
        {"dense": {**CHECKPOINT, "trained_on": "train+validation"}},
        "retrain.tune_lr: the checkpoint has seen the validation examples, so no learning rate can be chosen on them; found true",
    ),
    (
        {"train": {"epochs": 30}, "retrain": {"epochs": 31}},
        "retrain.epochs: must not exceed the dense network's 30 epochs; found 31",
    ),
    ({"train": {"lr": 0.1, "final_lr": 0.2}}, "train.final_lr: must not exceed train.lr = 0.1; found 0.2"),
    ({"retrain": {"lrs": [0.1, 0.2, 0.3]}}, "retrain.lrs: must hold at least 4 values; found [0.1, 0.2, 0.3]"),
    ({"retrain": {"lrs": [0.1, 0.2, 0.3, 0.1]}}, "retrain.lrs: every value may stand once; found 0.1 twice"),
    (
        {"retrain": {"lrs": [0.1, 0.2, 0.3, 0.4, 0.5], "max_lrs": 4}},
        "retrain.max_lrs: is less than the 5 values of lrs; found 4",
    ),
    (
        {"train": {"final_lr": 0.01}, "retrain": {"lrs": [0.1, 0.03, 0.01, 0.003]}},
        "retrain.lrs: must not go below the final learning rate, 0.01; found 0.003",
    ),
    (
        {"train": {"final_lr": 0.05}},
        "train.final_lr: must not exceed the lowest learning rate that is tried, 0.00316; found 0.05",
    ),
    (
        {"retrain": {"lrs": [0.1, 0.03, 0.01, 0.0001]}},
        "retrain.lrs: must not go below the final learning rate, 0.001; found 0.0001",
    ),
    ({"retrain": {"fine_tune_lr": 0.01}}, "retrain.fine_tune_lr: is used only with tune_lr = false; found 0.01"),
    (
        {"retrain": {"tune_lr": False, "lrs": [0.1, 0.03, 0.01, 0.003]}},
        "retrain.lrs: is used only with tune_lr = true; found [0.1, 0.03, 0.01, 0.003]",
    ),
    (
        {"train": {"batch": 7}, "compute": {"devices": 4}},
        "train.batch: must be at least 2 examples for each of the 4 devices of compute.devices; found 7",
    ),
]


@pytest.mark.parametrize(("changes", "fault"), BROKEN)
def test_a_broken_rule_is_told(changes: dict[str, Any], fault: str) -> None:
    assert told(**changes) == [fault]


KEPT: list[dict[str, Any]] = [
    {},
    {"arms": ["fine-tune", "scratch-e"], "contrast": ["fine-tune", "scratch-e"]},
    {"network": [{"name": "vgg11"}, {"name": "vgg11", "width": 0.5}]},
    {"prune": {"method": ["l1", "random"], "fraction": [0.3, 0.5]}},
    {"prune": [{"method": "l1", "fraction": 0.5}, {"method": "l1", "fraction": 0.5, "skip": [1]}]},
    {"dense": CHECKPOINT},
    {"dense": {**CHECKPOINT, "trained_on": "train+validation"}, "retrain": {"tune_lr": False}},
    {"dense": {**CHECKPOINT, "epochs": 300}, "retrain": {"epochs": 300}},
    {"train": {"lr": 0.1, "final_lr": 0.003}},
    {"retrain": {"tune_lr": False, "fine_tune_lr": 0.01}},
    {"train": {"final_lr": 0.01}, "retrain": {"lrs": [0.1, 0.07, 0.03, 0.01]}},
    {"seeds": [9999]},
    {"train": {"batch": 8}, "compute": {"devices": 4}},
    {"train": {"batch": 2}, "compute": {"devices": 1}},
]


@pytest.mark.parametrize("changes", KEPT)
def test_a_kept_rule_is_silent(changes: dict[str, Any]) -> None:
    assert told(**changes) == []


def test_a_rule_is_silent_while_a_key_that_it_reads_is_wrong() -> None:
    assert told(arms=["retrain", "scratchb"], contrast=["retrain", "scratch-b"]) == [
        'arms: no arm is called "scratchb"'
    ]
    assert told(train={"lr": 0, "final_lr": 0.5}) == ["train.lr: must be a number above 0; found 0"]


def test_rules_that_read_other_keys_still_speak() -> None:
    faults = told(
        margin=-1, contrast=["retrain", "retrain"], network={"name": "vgg"}, train={"epochs": 0, "final_lr": 0.5}
    )
    assert [fault.partition(":")[0] for fault in faults] == [
        "margin",
        "train.epochs",
        "network.name",
        "contrast",
        "train.final_lr",
    ]


def test_every_rule_reads_keys_that_exist() -> None:
    from regrow.config.keys import dotted, sections

    known = {dotted(section, key) for section, keys in sections().items() for key in keys}
    assert {key for rule in RULES for key in rule.reads} <= known


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.check.__name__)
def test_every_rule_needs_only_the_keys_that_it_says_it_reads(rule: Any) -> None:
    whole = study()
    sections = {key.partition(".")[0] for key in rule.reads}
    part = Study.model_construct(**{name: getattr(whole, name) for name in sections})
    for name in set(Study.model_fields) - sections:
        part.__dict__.pop(name, None)
    assert list(rule.check(part)) == []


def test_without_any_field_no_rule_is_checked() -> None:
    assert broken_rules(Study.model_construct(), wrong=list(Study.model_fields)) == []
