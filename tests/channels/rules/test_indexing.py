from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from .labelled import Sheet

INDEX = torch.zeros(4, dtype=torch.int64, device="meta")
PICKED = "is picked from by index"
PAIRS = torch.zeros(2, 2, dtype=torch.int64, device="meta")

CASES: dict[str, tuple[Callable[[Tensor], Any], list[str], list[str]]] = {
    # name: call on (n c h) = (2, 3, 4), what its result carries, what of the input is left
    "one axis": (lambda x: x[:, INDEX], ["n0 n1", "-", "h0 h1 h2 h3"], ["n0 n1", "0 0 0", "h0 h1 h2 h3"]),
    "last axis": (lambda x: x[..., INDEX], ["n0 n1", "c0 c1 c2", "-"], ["n0 n1", "c0 c1 c2", "0 0 0 0"]),
    "by a table": (lambda x: x[:, PAIRS], ["n0 n1", "-", "-", "h0 h1 h2 h3"], ["n0 n1", "0 0 0", "h0 h1 h2 h3"]),
    "two axes together": (lambda x: x[:, INDEX, INDEX], ["n0 n1", "-"], ["n0 n1", "0 0 0", "0 0 0 0"]),
    "two axes apart": (lambda x: x[INDEX, :, INDEX], ["-", "c0 c1 c2"], ["0 0", "c0 c1 c2", "0 0 0 0"]),
    "index_select": (
        lambda x: x.index_select(1, INDEX),
        ["n0 n1", "-", "h0 h1 h2 h3"],
        ["n0 n1", "0 0 0", "h0 h1 h2 h3"],
    ),
    "gather": (
        lambda x: x.gather(1, torch.zeros(2, 2, 4, dtype=torch.int64, device="meta")),
        ["-", "-", "-"],
        ["0 0", "0 0 0", "0 0 0 0"],
    ),
    "index_fill": (
        lambda x: x.index_fill(1, INDEX, 0.0),
        ["n0 n1", "-", "h0 h1 h2 h3"],
        ["n0 n1", "0 0 0", "h0 h1 h2 h3"],
    ),
    "put": (
        lambda x: x.clone().index_put_((INDEX,), torch.zeros((), device="meta")),
        ["-", "c0 c1 c2", "h0 h1 h2 h3"],
        ["0 0", "c0 c1 c2", "h0 h1 h2 h3"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_picked_axes_stay_and_the_others_go_on(name: str) -> None:
    call, result, left = CASES[name]
    sheet = Sheet()
    x = sheet.tensor("nch", 2, 3, 4)
    assert sheet.seen(sheet.run(lambda: call(x))) == result
    assert sheet.seen(x) == left and sheet.reasons == [PICKED]


LIVE_INDEX: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "index": lambda table, index: table[index],
    "index_select": lambda table, index: table.index_select(0, index),
    "index_put": lambda table, index: table.clone().index_put_((index,), torch.zeros((), device="meta")),
}


@pytest.mark.parametrize("name", LIVE_INDEX)
def test_positions_of_an_index_stay(name: str) -> None:
    """A chosen row per channel: without the channel there is no row, which no label of the result says."""
    sheet = Sheet()
    table, index = sheet.tensor("r-", 5, 2), sheet.tensor("c", 3, dtype=torch.int64)
    sheet.run(lambda: LIVE_INDEX[name](table, index))
    assert sheet.seen(index) == ["0 0 0"] and "is an index" in sheet.reasons


def test_gathered_along_one_axis_source_and_index_lie_on_each_other_along_the_others() -> None:
    sheet = Sheet()
    x, index = sheet.tensor("nc", 2, 3), sheet.tensor("md", 4, 3, dtype=torch.int64)
    assert sheet.seen(sheet.run(lambda: x.gather(0, index))) == ["-", "c0 c1 c2"]
    assert sheet.seen(index) == ["0 0 0 0", "c0 c1 c2"] and sheet.seen(x)[0] == "0 0"


def test_values_put_beside_channels_lie_on_them() -> None:
    sheet = Sheet()
    x, values = sheet.tensor("nc", 6, 3), sheet.tensor("-d", 4, 3)
    assert sheet.seen(sheet.run(lambda: x.clone().index_put_((INDEX,), values))) == ["-", "c0 c1 c2"]
    assert sheet.seen(values) == ["-", "c0 c1 c2"] and sheet.seen(x)[0] == "0 0 0 0 0 0"


def test_scattered_values_lie_on_the_axes_that_match() -> None:
    sheet = Sheet()
    x, values = sheet.tensor("nc", 4, 3), sheet.tensor("md", 4, 3)
    index = torch.zeros(4, 3, dtype=torch.int64, device="meta")
    assert sheet.seen(sheet.run(lambda: x.scatter(0, index, values))) == ["-", "0 0 0"]
    assert sheet.seen(x) == sheet.seen(values) == ["0 0 0 0", "0 0 0"]
    live = sheet.tensor("ik", 4, 3, dtype=torch.int64)
    y, more = sheet.tensor("pq", 4, 3), sheet.tensor("rs", 4, 3)
    assert sheet.seen(sheet.run(lambda: y.scatter_add(0, live, more))) == ["-", "k0 k1 k2"]
    assert sheet.seen(more) == sheet.seen(live) == sheet.seen(y) == ["0 0 0 0", "k0 k1 k2"]


def test_values_between_pixels_are_read_per_channel() -> None:
    sheet = Sheet()
    x, grid = sheet.tensor("nchw", 2, 3, 4, 4), sheet.tensor("--kp", 2, 5, 5, 2)
    assert sheet.seen(sheet.run(lambda: F.grid_sample(x, grid, align_corners=False))) == ["n0 n1", "c0 c1 c2", "-", "-"]
    assert sheet.seen(x)[2:] == ["0 0 0 0", "0 0 0 0"] and sheet.seen(grid)[2:] == ["0 0 0 0 0", "0 0"]


def test_regions_are_cut_out_per_channel() -> None:
    ops = pytest.importorskip("torchvision").ops
    sheet = Sheet()
    x, boxes = sheet.tensor("-c--", 1, 3, 8, 8), sheet.tensor("kp", 6, 5)
    assert sheet.seen(sheet.run(lambda: ops.roi_align(x, boxes, 2))) == ["-", "c0 c1 c2", "-", "-"]
    assert sheet.seen(boxes) == ["0 0 0 0 0 0", "0 0 0 0 0"] and sheet.reasons == ["says where to read"]


def test_a_deformable_convolution_reads_and_computes_like_any_other() -> None:
    ops = pytest.importorskip("torchvision").ops
    sheet = Sheet()
    x, weight, bias = sheet.tensor("-c--", 1, 3, 5, 5), sheet.tensor("oi--", 4, 3, 3, 3), sheet.tensor("b", 4)
    offset, mask = sheet.tensor("-p--", 1, 18, 3, 3), sheet.tensor("-q--", 1, 9, 3, 3)
    out = sheet.run(lambda: ops.deform_conv2d(x, offset, weight, bias, mask=mask))
    assert sheet.seen(out) == ["-", "o0 o1 o2 o3", "-", "-"] and sheet.seen(bias) == ["o0 o1 o2 o3"]
    assert sheet.seen(weight)[1] == "c0 c1 c2" and sheet.leading == "o0 o1 o2 o3"
    assert set(sheet.seen(offset)[1].split()) == set(sheet.seen(mask)[1].split()) == {"0"}


def test_an_operation_without_a_rule_keeps_all_that_it_touches_and_is_named() -> None:
    sheet = Sheet()
    x, y = sheet.tensor("-c", 2, 3), sheet.tensor("d-", 4, 3)
    assert sheet.seen(sheet.run(lambda: torch.cdist(x, y))) == ["-", "-"]
    assert sheet.seen(x)[1] == "0 0 0" and sheet.seen(y)[0] == "0 0 0 0"
    assert len(sheet.reasons) == 1 and sheet.reasons[0].startswith("there is no rule for the operation _")
