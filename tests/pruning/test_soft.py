"""Soft filter pruning: filters are zeroed after every epoch, come back, and the last ones go."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from regrow.channels.groups import channel_groups
from regrow.errors import PruningError
from regrow.networks.groups import Group, Slice
from regrow.pruning.soft import SoftPruning
from tests.pruning.sparse_trainings import trained, zoo


class Watched(SoftPruning):
    """Remembers which filters were zero after every epoch, and which were alive before it was zeroed again."""

    zero: list[set[tuple[str, int]]]
    alive: list[set[tuple[str, int]]]

    def after_epoch(self, done: int, epochs: int) -> None:
        if done == 1:
            self.zero, self.alive = [], []
        self.alive.append({(n, c) for n, s in self.scales().items() for c in torch.nonzero(s).flatten().tolist()})
        super().after_epoch(done, epochs)
        self.zero.append({(n, c) for n, s in self.scales().items() for c in torch.nonzero(s == 0).flatten().tolist()})


def test_filters_that_were_zeroed_come_back(tmp_path: Path) -> None:
    network = zoo()
    groups = channel_groups(network)
    hand = Watched(groups, [group.channels // 2 for group in groups])
    trained(network, tmp_path, hand)
    assert hand.zero[0] <= hand.alive[1] | hand.zero[1]
    assert hand.zero[0] & hand.alive[1]


def test_as_many_as_asked_for_are_zero_at_the_end_of_every_group(tmp_path: Path) -> None:
    network = zoo()
    groups = channel_groups(network)
    widths = [max(1, group.channels // 3) for group in groups]
    hand = SoftPruning(groups, widths)
    trained(network, tmp_path, hand, epochs=2)
    assert [int((scale_C > 0).sum()) for scale_C in hand.scales().values()] == widths


def test_what_follows_a_removed_filter_is_silent_after_the_last_epoch(tmp_path: Path) -> None:
    network = zoo()
    groups = channel_groups(network)
    hand = SoftPruning(groups, [group.channels // 2 for group in groups])
    trained(network, tmp_path, hand, epochs=2)
    gone = hand.scales()[groups[0].name] == 0
    assert network.get_parameter("features.norm1.weight")[gone].abs().sum() == 0
    assert network.get_parameter("features.norm1.bias")[gone].abs().sum() == 0
    assert network.get_parameter("features.norm1.weight")[~gone].abs().min() > 0


def test_by_hand_the_smallest_euclidean_norm_is_zeroed() -> None:
    layer = torch.nn.Linear(2, 3, bias=False)
    layer.weight.data = torch.tensor([[3.0, 4.0], [1.0, 1.0], [0.0, 6.0]])
    hand = SoftPruning((Group("layer", 3, (Slice("weight", 0),)),), [2])
    hand.attach(layer)
    hand.after_epoch(1, 2)
    assert hand.scales()["layer"].tolist() == [5.0, 0.0, 6.0]


def test_every_nth_epoch_and_the_last() -> None:
    layer = torch.nn.Linear(2, 3, bias=False)
    hand = SoftPruning((Group("layer", 3, (Slice("weight", 0),)),), [2], every=2)
    hand.attach(layer)
    zeros = []
    for done in (1, 2, 3):
        hand.after_epoch(done, 3)
        zeros.append(int((hand.scales()["layer"] == 0).sum()))
        layer.weight.data = torch.rand(3, 2) + 0.1
    assert zeros == [0, 1, 1]


def test_every_group_needs_a_width() -> None:
    with pytest.raises(PruningError, match="a width for each of 1 groups; got 2"):
        SoftPruning((Group("layer", 3, (Slice("weight", 0),)),), [2, 3])


@pytest.mark.parametrize("silence", [True, False])
def test_carving_what_is_left_is_exact_where_the_norms_were_silenced(silence: bool, tmp_path: Path) -> None:
    network = zoo()
    groups = channel_groups(network)
    hand = SoftPruning(groups, [group.channels // 2 for group in groups], silence=silence)
    trained(network, tmp_path, hand, epochs=2)
    silent = copy.deepcopy(network)
    for group in groups:  # what carving leaves out is what the next layer reads of removed channels
        part = next(part for part in group.slices if part.axis == 1)
        silent.get_parameter(part.tensor).data[:, hand.scales()[group.name] == 0] = 0
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        apart = float((network(x) - silent(x)).abs().max())
    assert apart == 0 if silence else apart > 1e-3


def test_between_two_zeroings_there_is_at_least_an_epoch() -> None:
    with pytest.raises(PruningError, match="at least 1; got 0"):
        SoftPruning((), [], every=0)
