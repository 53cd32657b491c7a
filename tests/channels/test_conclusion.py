from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from regrow.channels.conclusion import Attempt, concluded
from regrow.channels.ids import Demands, Equation
from regrow.channels.labels import labels_of, put
from regrow.channels.sizes import Attribute, Extent, Operation
from regrow.channels.tracing import Tracing

from .traced import look, x


class Sheet:
    """One run by hand: weights of a linear layer each, and what was demanded of their axes."""

    def __init__(self, **sizes: tuple[int, int]) -> None:
        self.demands = Demands()
        self.copy = nn.Module()
        for name, (rows, columns) in sizes.items():
            self.copy.add_module(name, nn.Linear(columns, rows, bias=False))
        self.tensors: dict[str, Tensor] = dict(self.copy.named_parameters())
        for tensor in self.tensors.values():
            put(tensor, [self.demands.fresh(size) for size in tensor.shape], zero=True)
            self.demands.lead(labels_of(tensor).axes[0])

    def axis(self, name: str, axis: int) -> Any:
        """The ids of one axis of a weight."""
        return labels_of(self.tensors[f"{name}.weight"]).axes[axis]

    def conclude(self) -> Tracing:
        """What it comes down to; inputs of the first layer and outputs of the last stay."""
        return concluded(Attempt(self.demands, self.copy, self.tensors, ["a note"]), "meta")


def test_what_one_run_demanded_becomes_groups() -> None:
    sheet = Sheet(a=(8, 6), b=(3, 8))
    sheet.demands.unite(sheet.axis("a", 0), sheet.axis("b", 1))
    tracing = sheet.conclude()
    assert [(group.name, group.channels) for group in tracing.groups] == [("a", 8), ("b", 3)]
    assert tracing.on == "meta" and tracing.notes == ("a note",)


def test_attributes_are_read_from_the_network() -> None:
    sheet = Sheet(a=(8, 6))
    width = Attribute("a", "out_features")
    sheet.demands.equations.append(Equation(width, Extent(sheet.axis("a", 0)), "a"))
    (one,) = sheet.conclude().corrections([3])
    assert (one.module, one.attribute, one.dense, one.small) == ("a", "out_features", 8, 3)


def test_axes_that_only_position_by_position_can_be_equally_long_are_united() -> None:
    """Two axes of one length, one of which has a position that stays: no common share makes 5 and 4 + 1 the same."""
    sheet = Sheet(a=(5, 6), b=(5, 6))
    a, b = sheet.axis("a", 0), sheet.axis("b", 0)
    sheet.demands.freeze(b[:1], "kept")
    sheet.demands.equations.append(Equation(Extent(a), Extent(b), "a"))
    tracing = sheet.conclude()
    assert [(group.name, group.channels, len(group.slices)) for group in tracing.groups] == [("a", 4, 2)]
    assert tracing.links == ()


def test_groups_that_stay_leave_links_and_numbers_of_the_others() -> None:
    sheet = Sheet(a=(8, 6), b=(8, 6), c=(8, 6))
    extents = [Extent(sheet.axis(name, 0)) for name in "abc"]
    sheet.demands.equations.append(Equation(Operation("*", extents[0], 1), 8, "neck"))
    sheet.demands.equations.append(Equation(Operation("*", extents[1], 1), extents[2], "neck"))
    tracing = sheet.conclude()
    assert [group.name for group in tracing.groups] == ["b", "c"] and tracing.links == ((0, 1),)
    assert [(one.what, one.channels) for one in tracing.frozen] == [("a.weight", 8)]
    assert tracing.kept([[0], [1]])(sheet.axis("a", 0)).all()


def test_heads_whose_dimensions_stay_are_plain_channels() -> None:
    found = look(
        lambda n, y: n.b(n.a(y).view(-1, n.heads, 4).relu().flatten(1)),
        x(2, 6),
        a=nn.Linear(6, 8),
        b=nn.Linear(8, 3),
        heads=2,
    )
    assert found.groups == {"a": 2} and found.heads == {}


def test_norms_over_channels_that_stay_need_no_note() -> None:
    layers = {"a": nn.Linear(6, 8), "g": nn.LayerNorm(8), "b": nn.Linear(8, 3)}
    assert look(lambda n, y: n.b(n.g(n.a(y))), x(2, 6), **layers).tracing.notes == (
        "g: statistics over the kept channels",
    )
    assert look(lambda n, y: n.g(n.a(y)), x(2, 6), **layers).tracing.notes == ()


def test_a_note_is_made_once_however_often_a_layer_runs() -> None:
    found = look(lambda n, y: n.b(n.g(n.g(n.a(y)))), x(2, 6), a=nn.Linear(6, 8), g=nn.LayerNorm(8), b=nn.Linear(8, 3))
    assert len(found.tracing.notes) == 1


def test_a_width_and_the_inner_width_that_the_code_takes_for_it_keep_the_same_share() -> None:
    def forward(n: Any, y: Tensor) -> Tensor:
        stream = n.a(y)
        b, t, c = stream.shape
        q, k, v = n.qkv(stream).view(b, t, 3, n.heads, c // n.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, c)
        result: Tensor = n.b(stream + n.o(mixed))
        return result

    found = look(
        forward, x(2, 5, 6), a=nn.Linear(6, 8), qkv=nn.Linear(8, 24), o=nn.Linear(8, 8), b=nn.Linear(8, 3), heads=2
    )
    (link,) = found.tracing.links
    shares = {found.tracing.groups[member].channels for member in link}
    assert 8 in shares and len(link) >= 2
    assert not found.frozen.get("a.weight")


def test_channels_are_led_through_grids_in_both_directions() -> None:
    sheet = Sheet(a=(8, 6))
    rows, columns = sheet.demands.part(sheet.axis("a", 0), [2, 4])
    assert rows is not None and columns is not None
    assert {group.channels for group in sheet.conclude().groups} == {2, 4}
    assert np.array_equal(sheet.demands.join([(2, rows), (4, columns)]), sheet.axis("a", 0))
    assert torch.equal(sheet.tensors["a.weight"], sheet.copy.get_parameter("a.weight"))
