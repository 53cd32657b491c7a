"""What can be pruned, as a value."""

from __future__ import annotations

import json

import pytest

from regrow.errors import UnknownNameError
from regrow.networks.layouts import GroupInfo
from regrow.networks.prunable import Prunable, prunable_of_zoo

from .zoo_spec import spec_of

TRACED = Prunable(
    groups=(
        GroupInfo(name="stem", position=1, stage=0, channels=8),
        GroupInfo(name="attn", position=2, stage=0, channels=2),
    ),
    heads=frozenset({"attn"}),
    links=((0, 1),),
    notes=("head: is the output",),
)


def test_it_survives_json() -> None:
    assert Prunable.from_json(json.loads(json.dumps(TRACED.to_json()))) == TRACED


def test_a_network_of_the_zoo_declares_its_groups() -> None:
    spec = spec_of("resnet20", width=0.5)
    assert prunable_of_zoo(spec).widths == spec.widths
    assert prunable_of_zoo(spec).links == ()


@pytest.mark.parametrize(("name", "normless"), [("vgg16", 0), ("vgg16-gap", 13), ("resnet20", 0)])
def test_groups_without_a_norm_are_named(name: str, normless: int) -> None:
    assert len(prunable_of_zoo(spec_of(name)).normless) == normless


def test_a_network_from_elsewhere_declares_none() -> None:
    from dataclasses import replace

    with pytest.raises(UnknownNameError):
        prunable_of_zoo(replace(spec_of("vgg11"), name="timm:resnet18"))
