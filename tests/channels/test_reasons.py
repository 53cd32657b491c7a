from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from regrow.channels.families import Place, group_up
from regrow.channels.ids import Demands
from regrow.channels.reasons import frozen_channels
from regrow.channels.sizes import IdArray
from regrow.channels.solve import solve

from .traced import look, x


def told(demands: Demands, **axes: IdArray) -> dict[str, tuple[int, str]]:
    """What stays of axes that weights compute, and why."""
    led = np.ones(demands.count, dtype=bool)
    led[0] = False
    places = [Place(name, 0, ids) for name, ids in axes.items()]
    produced = {(name, 0) for name in axes}
    families = group_up(places, produced, solve(demands), led, [])
    return {what: (n, why) for what, n, why in frozen_channels(demands, families, places, produced, {})}


def test_what_goes_is_not_told() -> None:
    demands = Demands()
    assert told(demands, a=demands.fresh(3)) == {}


def test_the_reason_of_an_axis_is_what_froze_it() -> None:
    demands = Demands()
    a, b = demands.fresh(3), demands.fresh(2)
    demands.freeze(a, "is an output")
    demands.freeze(b[:1], "is read at one place")
    demands.freeze(a, "is something else, later")
    assert told(demands, a=a, b=b) == {
        "a": (3, "the network: is an output"),
        "b": (2, "the network: is read at one place"),
    }


def test_a_reason_is_found_through_the_axes_that_pass_it_on() -> None:
    demands = Demands()
    a, b, c = demands.fresh(3), demands.fresh(3), demands.fresh(3)
    demands.unite(a, b)
    demands.unite(b, c)
    demands.freeze(c, "is an output")
    assert told(demands, a=a) == {"a": (3, "the network: is an output")}


def test_a_reason_is_found_through_rows_and_columns() -> None:
    demands = Demands()
    a = demands.fresh(6)
    rows, columns = demands.part(a, [2, 3])
    demands.freeze(rows, "rows stay")
    demands.freeze(columns, "columns stay")
    assert told(demands, a=a)["a"][0] == 6
    assert told(demands, a=a)["a"][1] in ("the network: rows stay", "the network: columns stay")


def test_what_lies_on_positions_that_stay_is_tied_to_them() -> None:
    demands = Demands()
    a = demands.fresh(2)
    demands.unite(a, np.zeros(2, dtype=np.int64))
    assert told(demands, a=a) == {"a": (2, "is tied to positions that stay")}


def test_a_channel_alone_has_nothing_to_choose_from() -> None:
    demands = Demands()
    assert told(demands, a=demands.fresh(1)) == {"a": (1, "stands alone: a group of one channel")}


def test_only_the_positions_that_stay_are_counted() -> None:
    demands = Demands()
    a = demands.fresh(5)
    demands.freeze(a[:2], "kept")
    assert told(demands, a=a) == {"a": (2, "the network: kept")}


def test_the_layer_whose_code_keeps_the_channels_is_named() -> None:
    class Block(nn.Module):
        def forward(self, value: Tensor) -> Tensor:
            return value.softmax(-1)

    def forward(n: Any, y: Tensor) -> Tensor:
        result: Tensor = n.b(n.outer(n.a(y)))
        return result

    found = look(forward, x(2, 6), a=nn.Linear(6, 8), outer=nn.Sequential(nn.ReLU(), Block()), b=nn.Linear(8, 3))
    assert found.frozen == {"a.weight": (8, "outer.1: is a softmax axis: all its values depend on each other")}


def test_sizes_that_could_not_be_followed_are_told_with_the_place_that_computes_them() -> None:
    class Neck(nn.Module):
        def forward(self, value: Tensor) -> Tensor:
            return F.pad(value, (0, 16 - value.shape[1])) if value.shape[1] % 8 == 0 else value

    found = look(lambda n, y: n.b(n.neck(n.a(y))), torch.ones(2, 6), a=nn.Linear(6, 8), neck=Neck(), b=nn.Linear(16, 3))
    assert found.groups == {}
    count, why = found.frozen["a.weight"]
    assert count == 8 and "sizes are computed from this one that could not be followed" in why
