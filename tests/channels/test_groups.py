from __future__ import annotations

import pytest
import torch
from torch import nn

from regrow.channels.groups import Group, Slice, channel_groups, check_groups, keep_masks, surviving
from regrow.errors import PruningError
from regrow.networks.build import build
from regrow.networks.without import remove_blocks
from regrow.networks.zoo import NETWORKS

from .zoo_networks import small_spec

TENSORS = {"a.weight": torch.zeros(3, 2), "b.weight": torch.zeros(4, 5)}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_declares_its_groups(name: str) -> None:
    spec = small_spec(name)
    assert tuple(group.channels for group in channel_groups(build(spec, 0))) == spec.widths


def test_a_network_that_declares_nothing_is_told_what_to_do() -> None:
    with pytest.raises(PruningError, match="give yours a channel_groups"):
        channel_groups(nn.Linear(2, 2))


def test_groups_inside_their_tensors_pass() -> None:
    check_groups([Group("a", 3, (Slice("a.weight", 0), Slice("b.weight", 1, 2)))], TENSORS)


@pytest.mark.parametrize(
    "part",
    [Slice("b.weight", 1, 3), Slice("b.weight", 0, -1), Slice("b.weight", 2)],
    ids=["past the end", "before the start", "no such axis"],
)
def test_a_group_that_sticks_out_of_a_tensor_is_refused(part: Slice) -> None:
    with pytest.raises(PruningError, match=r"group a takes 3 indices.*b\.weight, whose shape is \(4, 5\)"):
        check_groups([Group("a", 3, (part,))], TENSORS)


def test_a_group_in_a_missing_tensor_is_refused() -> None:
    with pytest.raises(PruningError, match=r"c\.weight, which the network does not have"):
        check_groups([Group("a", 3, (Slice("c.weight", 0),))], TENSORS)


def test_masks_of_concatenated_groups_meet_on_one_axis() -> None:
    groups = [
        Group("a", 3, (Slice("a.weight", 0), Slice("b.weight", 1, 0))),
        Group("c", 2, (Slice("b.weight", 1, 3),)),
    ]
    masks = keep_masks(groups, {"a": [0, 2], "c": [1]}, TENSORS)
    assert masks["a.weight"][0].tolist() == [True, False, True]
    assert masks["b.weight"][1].tolist() == [True, False, True, False, True]
    assert 0 not in masks["b.weight"]


def test_what_lies_in_removed_blocks_is_left_out() -> None:
    group = Group("a", 4, (Slice("b.1.w", 0), Slice("c.w", 0), Slice("b.1.v", 1), Slice("b.10.w", 1)), producers=2)
    (left,) = surviving([group], ["b.1"])
    assert left == Group("a", 4, (Slice("c.w", 0), Slice("b.10.w", 1)), producers=1)
    assert surviving([group], ["b", "c"]) == ()
    assert surviving([group], []) == (group,)


def test_a_network_declares_the_groups_of_the_blocks_that_are_left() -> None:
    network = build(small_spec("resnet20"), 0)
    names = [group.name for group in channel_groups(network)]
    remove_blocks(network, ["stage1.block2"])
    assert [group.name for group in channel_groups(network)] == [
        name for name in names if name != "stage1.block2.conv1"
    ]
