from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regrow.channels.architecture import Correction
from regrow.channels.labels import labels_of
from regrow.channels.tracing import Frozen, Tracing
from regrow.errors import PruningError

from .traced import Found, Small, look, x


def heads(n: Any, y: Tensor) -> Tensor:
    """Four heads of two dimensions, then a layer norm."""
    mixed = n.a(y).view(-1, n.heads, n.size).softmax(0).flatten(1)
    result: Tensor = n.b(n.norm(n.c(mixed)))
    return result


@pytest.fixture(scope="module")
def found() -> Found:
    return look(
        heads, x(2, 6), a=nn.Linear(6, 8), c=nn.Linear(8, 5), norm=nn.LayerNorm(5), b=nn.Linear(5, 3), heads=4, size=2
    )


def test_numbers_of_the_modules_follow_the_widths(found: Found) -> None:
    assert list(found.groups.items()) == [("a", 4), ("a#2", 2), ("c", 5)]
    assert found.tracing.corrections([4, 2, 5]) == ()
    assert found.tracing.corrections([3, 1, 4]) == (
        Correction(module="", attribute="heads", dense=4, small=3),
        Correction(module="", attribute="size", dense=2, small=1),
        Correction(module="norm", attribute="normalized_shape.0", dense=5, small=4),
    )


def test_every_group_needs_a_width(found: Found) -> None:
    with pytest.raises(PruningError, match="the network has 3 channel groups and needs one width for each; found 2"):
        found.tracing.corrections([4, 2])


@pytest.mark.parametrize("width", [0, 6, -1])
def test_a_group_keeps_one_channel_at_least_and_no_more_than_it_has(found: Found, width: int) -> None:
    with pytest.raises(PruningError, match=f"c keeps 1 to 5 channels; asked for {width}"):
        found.tracing.corrections([4, 2, width])


def test_sizes_of_the_code_are_known_at_every_width(found: Found) -> None:
    for widths in itertools.product((1, 3, 4), (1, 2), (1, 5)):
        assert found.tracing.at(widths).broken() == []
        assert {key.path: value for key, value in found.tracing.at(widths).attributes().items()} == {
            "heads": widths[0],
            "size": widths[1],
            "normalized_shape.0": widths[2],
        }


def test_widths_that_break_a_link_are_refused_with_the_groups_of_it() -> None:
    layers = {"a": nn.Linear(6, 8), "b": nn.Linear(4, 3), "c": nn.Linear(4, 3)}
    linked = look(lambda n, y: n.b(n.a(y).chunk(2, 1)[0]) + n.c(n.a(y).chunk(2, 1)[1]), x(2, 6), **layers).tracing
    assert linked.links == ((0, 1),) and linked.corrections([2, 2]) == ()
    with pytest.raises(PruningError, match=r"computes one size from another \(a, a#2\)"):
        linked.corrections([2, 3])


def test_widths_at_which_the_code_takes_another_path_are_refused() -> None:
    def forward(n: Any, y: Tensor) -> Tensor:
        hidden = n.a(y)
        result: Tensor = n.b(hidden.relu() if hidden.shape[1] > 3 else hidden)
        return result

    tracing = look(forward, x(2, 6), a=nn.Linear(6, 64), b=nn.Linear(64, 3)).tracing
    assert tracing.corrections([4]) == ()
    with pytest.raises(PruningError, match=r"takes another path: a comparison of sizes \(>\)"):
        tracing.corrections([3])


def test_positions_stay_whose_channels_are_kept(found: Found) -> None:
    stays = found.tracing.kept([[0, 2, 3], [1], [0, 1, 2, 3, 4]])
    places = {(place.tensor, place.axis): place.ids for place in found.tracing._places}
    assert stays(places["a.weight", 0]).tolist() == [False, True, False, False, False, True, False, True]
    assert stays(places["c.weight", 0]).all() and stays(places["b.weight", 0]).all()


def test_a_network_without_groups_keeps_all_positions() -> None:
    tracing = look(lambda n, y: n.a(y), x(2, 6), a=nn.Linear(6, 8)).tracing
    assert tracing.groups == () and tracing.corrections([]) == ()
    assert all(tracing.kept([])(place.ids).all() for place in tracing._places)


def test_what_stays_is_told_by_weight_with_its_channels_and_a_reason() -> None:
    tracing = look(lambda n, y: n.b(n.a(y).softmax(1)), x(2, 6), a=nn.Linear(6, 8), b=nn.Linear(8, 3)).tracing
    assert tracing.frozen == (
        Frozen("a.weight", 8, "the network itself: is a softmax axis: all its values depend on each other"),
        Frozen("b.weight", 3, "the network: is the output of the network"),
    )
    assert tracing.frozen is tracing.frozen


def test_a_tracing_is_a_value_and_holds_no_tensors(found: Found) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.tracing.groups = ()  # type: ignore[misc]
    held = [getattr(found.tracing, field.name) for field in dataclasses.fields(Tracing)]
    assert not any(isinstance(value, torch.Tensor) for value in held)
    assert all(labels_of(tensor).live == [] for tensor in found.network.parameters())
    assert isinstance(found.network, Small)


def test_a_number_that_is_computed_from_sizes_changes_with_them() -> None:
    call = lambda n, y: n.b(n.a(y) * n.a(y).shape[1] ** -0.5)  # noqa: E731
    tracing = look(call, x(2, 6), a=nn.Linear(6, 8), b=nn.Linear(8, 3)).tracing
    assert tracing.scales([4]) and not tracing.scales([8])
