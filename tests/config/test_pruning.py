"""Rules about pruning: what a method can, and which settings mean something beside which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from regrow.pruning.guide import write_guide
from tests.pruning.guides import of_channels, of_weights

from .cases import told


@pytest.mark.parametrize(
    ("prune", "fault"),
    [
        ({"method": "l1", "remove": "weights"}, "prune.remove: l1 removes channels"),
        ({"method": "magnitude", "widths": [4] * 8}, "prune.widths: says how many channels stay"),
        ({"method": "l1", "of": "zeros"}, 'prune.of: "zeros" needs a method that drives scales to zero'),
        ({"method": "magnitude", "of": "macs"}, "prune.of: weights are counted"),
        ({"method": "soft", "scope": "global"}, "prune.scope: soft zeroes a given number"),
        ({"method": "l1", "scope": "global", "widths": [4] * 8}, "prune.scope: one ranking over all groups"),
        ({"method": "l1", "pattern": "2:4"}, "prune.pattern: 2:4 is a pattern of single weights"),
        ({"method": "magnitude", "pattern": "4:2"}, "prune.pattern: n of m weights stay"),
        ({"method": "l1", "rounds": 3}, "prune.rounds: rounds remove single weights"),
        ({"method": "gradual", "rounds": 3}, "prune.rounds: gradual has a training of its own"),
        ({"method": "l1", "strength": 0.1}, "prune.strength: l1 has no penalty"),
        ({"method": "l1", "start": "dense"}, "prune.start: l1 has no training of its own"),
        ({"method": "l1", "own_epochs": 3}, "prune.own_epochs: l1 has no training of its own"),
        ({"method": "magnitude", "round_epochs": 3}, "prune.round_epochs: there is one round only"),
        (
            {"method": "random-widths", "widths": [4] * 8},
            "prune.widths: random-widths says itself what every group keeps",
        ),
        ({"method": "random-widths", "stages": [0.5] * 5}, "prune.stages: random-widths says itself"),
        ({"method": "random-widths", "of": "latency"}, "prune.of: random-widths is scaled to a cost that is counted"),
        ({"method": "random-widths", "scope": "global"}, "prune.scope: random-widths ranks nothing"),
        ({"method": "guided"}, "prune.guide: guided follows a guide; found none"),
        ({"method": "l1", "guide": "guide.json"}, "prune.guide: l1 follows no guide"),
        ({"method": "guided", "guide": "none.json"}, "prune.guide: none.json: the guide cannot be read"),
    ],
)
def test_what_a_method_cannot_do_or_would_ignore_is_told(prune: dict[str, Any], fault: str) -> None:
    found = told(prune=prune)
    assert len(found) == 1, found
    assert found[0].startswith(fault)


@pytest.mark.parametrize(
    "prune",
    [
        {"method": "slimming", "fraction": 0.4, "strength": 1e-3},
        {"method": "sss", "of": "zeros"},
        {"method": "sss", "remove": "channels", "of": "macs"},
        {"method": "taylor", "remove": "weights", "scope": "global"},
        {"method": "magnitude", "per_round": 0.2, "rounds": 5},
        {"method": ["l1", "fpgm"], "of": "params", "scope": "global", "floor": 0.2},
    ],
)
def test_what_can_be_meant_is_taken(prune: dict[str, Any]) -> None:
    assert told(prune=prune) == []


def test_a_design_may_name_blocks_of_its_network_for_a_method_that_removes_blocks() -> None:
    prune = {"method": "sss", "widths": "sss-resnet41"}
    assert told(prune=prune, network={"name": "torchvision:resnet50"}, data={"name": "imagenet"}) == []
    assert told(prune=prune) == ["prune.widths: the design 'sss-resnet41' is for torchvision:resnet50, not for vgg11"]


@pytest.fixture
def guides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two guides of VGGs in the current folder."""
    monkeypatch.chdir(tmp_path)
    write_guide(tmp_path / "channels.json", of_channels(*[0.5] * 5))
    write_guide(tmp_path / "weights.json", of_weights([0.5] * 5, [None] * 5))


@pytest.mark.usefixtures("guides")
def test_a_guide_is_of_what_the_method_removes() -> None:
    assert told(prune={"method": "guided", "guide": "channels.json", "of": "macs"}) == []
    assert told(prune={"method": "guided-sparsity", "guide": "weights.json"}) == []
    (wrong,) = told(prune={"method": "guided", "guide": "weights.json"})
    assert wrong.startswith("prune.guide: weights.json holds shares of weights, found by slimming; this method removes")
    (wrong,) = told(prune={"method": "guided-sparsity", "guide": "channels.json"})
    assert wrong.startswith("prune.guide: channels.json holds shares of channels")


@pytest.mark.usefixtures("guides")
@pytest.mark.parametrize(
    ("prune", "key"),
    [({"rounds": 3}, "rounds"), ({"pattern": "2:4"}, "pattern"), ({"scope": "global"}, "scope")],
)
def test_what_a_guided_mask_would_ignore_is_told(prune: dict[str, Any], key: str) -> None:
    (fault,) = told(prune={"method": "guided-sparsity", "guide": "weights.json", **prune})
    assert fault.startswith(f"prune.{key}: guided-sparsity ")


@pytest.mark.usefixtures("guides")
def test_a_guide_of_another_family_is_refused_and_of_the_same_family_is_not() -> None:
    guided = {"method": "guided", "guide": "channels.json", "of": "macs"}
    assert told(prune=guided, network={"name": "vgg19"}) == []
    (wrong,) = told(prune=guided, network={"name": "resnet20"})
    assert wrong.startswith("prune.guide: the guide was found on vgg16 and has 5 stages; resnet20 has 3")
    images = {"name": "cifar10", "root": "nowhere"}
    (foreign,) = told(prune=guided, network={"name": "torchvision:resnet18"}, data=images)
    assert foreign.startswith("prune.guide: networks from elsewhere have no stages")


def test_a_checkpoint_cannot_be_rewound() -> None:
    dense = {"checkpoint": "dense.safetensors", "trained_on": "train"}
    arms = ["ticket", "scratch-b"]
    (arm,) = told(dense=dense, arms=arms, contrast=arms)
    assert arm.startswith("arms: ticket goes back to the start of dense training")
    (rounds,) = told(dense=dense, prune={"method": "magnitude", "rounds": 2})
    assert rounds.startswith("prune.between: rounds go back")
    assert told(dense=dense, prune={"method": "magnitude", "rounds": 2, "between": "fine-tune"}) == []


def test_arms_for_masks_need_masks() -> None:
    arms = ["scratch-e-scaled", "scratch-b"]
    (fault,) = told(arms=arms, contrast=arms)
    assert fault.startswith("arms: scratch-e-scaled is for methods that remove weights; l1 removes channels")
    assert told(arms=arms, contrast=arms, prune={"method": "magnitude"}) == []


def test_blocks_cannot_be_drawn_by_chance() -> None:
    arms = ["random-pruned", "scratch-b"]
    (fault,) = told(arms=arms, contrast=arms, prune={"method": "sss"}, network={"name": "resnet20"})
    assert fault.startswith("arms: random-pruned draws channels or weights by chance")
