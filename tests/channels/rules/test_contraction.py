from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from regrow.channels.labels import labels_of

from .labelled import Sheet, true_of

aten = torch.ops.aten


def test_a_linear_layer_sums_over_its_inputs_and_computes_its_outputs() -> None:
    sheet = Sheet()
    x, weight, bias = sheet.tensor("--c", 2, 5, 3), sheet.tensor("oi", 4, 3), sheet.tensor("b", 4)
    out = sheet.run(lambda: F.linear(x, weight, bias))
    assert sheet.seen(out) == ["-", "-", "o0 o1 o2 o3"]
    assert sheet.seen(weight) == ["o0 o1 o2 o3", "c0 c1 c2"] and sheet.seen(bias) == ["o0 o1 o2 o3"]
    assert sheet.leading == "o0 o1 o2 o3" and sheet.reasons == [] and labels_of(out).zero


def test_a_linear_layer_that_is_not_taken_apart_is_the_same() -> None:
    sheet = Sheet()
    y, weight, bias = sheet.tensor("--c", 2, 5, 3), sheet.tensor("oi", 4, 3), sheet.tensor("b", 4)
    with torch.inference_mode():
        out = sheet.run(lambda: aten.linear.default(y, weight, bias))
    assert sheet.seen(out) == ["-", "-", "o0 o1 o2 o3"] and labels_of(out).zero
    assert sheet.seen(weight)[1] == "c0 c1 c2" and sheet.seen(bias) == ["o0 o1 o2 o3"]
    assert sheet.leading == "o0 o1 o2 o3"


def test_what_the_data_brings_keeps_the_weights_that_read_it() -> None:
    sheet = Sheet()
    x, weight = sheet.tensor("--", 2, 3), sheet.tensor("oi", 4, 3)
    assert sheet.seen(sheet.run(lambda: x @ weight.t())) == ["-", "o0 o1 o2 o3"]
    assert sheet.seen(weight)[1] == "0 0 0"
    assert sheet.reasons == ["is multiplied with an axis that keeps its size"]


def test_a_product_of_two_activations_has_channels_of_one_side_and_leads_none_of_the_data() -> None:
    sheet = Sheet()
    query, key = sheet.tensor("--c", 2, 5, 3), sheet.tensor("--d", 2, 5, 3)
    assert sheet.seen(sheet.run(lambda: query @ key.mT)) == ["-", "-", "-"]
    assert sheet.seen(key)[2] == "c0 c1 c2" and sheet.reasons == []


def test_a_weight_on_the_left_computes_its_rows() -> None:
    sheet = Sheet()
    weight, x = sheet.tensor("oi", 4, 3), sheet.tensor("c-", 3, 5)
    labels_of(weight).data = False
    assert sheet.seen(sheet.run(lambda: weight @ x)) == ["o0 o1 o2 o3", "-"]
    assert sheet.leading == "o0 o1 o2 o3"


ACTIVATIONS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "mm": lambda q, k: q[0] @ k[0].mT,
    "bmm": lambda q, k: q @ k.mT,
    "einsum": lambda q, k: torch.einsum("bnc,bmc->bnm", q, k),
    "dot": lambda q, k: torch.dot(q[0, 0], k[0, 0]),
    "mv": lambda q, k: torch.mv(q[0], k[0, 0]),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_channels_stay_that_add_something_else_than_zero_when_they_are_silent(name: str) -> None:
    for zeros, stays in (((True, True), False), ((True, False), False), ((False, False), True)):
        sheet = Sheet()
        query, key = (sheet.tensor(f"--{letter}", 2, 5, 3, zero=zero) for letter, zero in zip("cd", zeros, strict=True))
        sheet.run(lambda query=query, key=key: ACTIVATIONS[name](query, key))
        assert sheet.seen(query)[2] == ("0 0 0" if stays else "c0 c1 c2")
        assert ("is summed over, and its silent channels would not add 0" in sheet.reasons) is stays


def convolved(
    groups: int, x_channels: int, *weight: int, transposed: bool = False
) -> tuple[Sheet, Tensor, Tensor, Tensor, Tensor]:
    """Sheet, input, weight, bias and output of a convolution on a 5x5 image."""
    sheet = Sheet()
    out = weight[0] if not transposed else weight[1] * groups
    x, w, b = sheet.tensor("-c--", 2, x_channels, 5, 5), sheet.tensor("oihw", *weight, 3, 3), sheet.tensor("b", out)
    function = F.conv_transpose2d if transposed else F.conv2d
    return sheet, x, w, b, sheet.run(lambda: function(x, w, b, groups=groups))


def test_a_convolution_reads_one_axis_and_computes_the_other() -> None:
    sheet, x, weight, bias, out = convolved(1, 3, 4, 3)
    assert sheet.seen(out) == ["-", "o0 o1 o2 o3", "-", "-"]
    assert sheet.seen(weight) == ["o0 o1 o2 o3", "c0 c1 c2", "0 0 0", "0 0 0"]
    assert sheet.seen(bias) == ["o0 o1 o2 o3"] and sheet.seen(x)[1] == "c0 c1 c2"
    assert sheet.leading == "o0 o1 o2 o3" and labels_of(out).zero


def test_a_transposed_convolution_reads_its_first_axis() -> None:
    sheet, _, weight, bias, out = convolved(1, 3, 3, 4, transposed=True)
    assert sheet.seen(weight)[:2] == ["c0 c1 c2", "i0 i1 i2 i3"]
    assert sheet.seen(out)[1] == sheet.seen(bias)[0] == "i0 i1 i2 i3"


def test_a_depthwise_convolution_passes_channels_on() -> None:
    sheet, x, weight, bias, out = convolved(3, 3, 3, 1)
    assert sheet.seen(x)[1] == sheet.seen(weight)[0] == sheet.seen(bias)[0] == sheet.seen(out)[1] == "c0 c1 c2"


def test_a_multiplier_makes_blocks_that_go_with_their_channel() -> None:
    sheet, x, _, _, out = convolved(2, 2, 6, 1)
    assert sheet.seen(x)[1] == "c0 c1"
    assert sheet.seen(out)[1] == "c0+? c0+? c0+? c1+? c1+? c1+?"


def test_groups_of_a_convolution_are_rows_and_their_channels_columns() -> None:
    sheet, x, weight, _, out = convolved(2, 4, 6, 2)
    assert sheet.seen(weight)[1] == "i0 i1"
    assert sheet.seen(x)[1] == "i0+? i1+? i0+? i1+?"
    assert sheet.seen(out)[1] == "?+? ?+? ?+? ?+? ?+? ?+?"
    assert sheet.read(sheet.demands.block) == "? ?"


def test_groups_of_a_transposed_convolution_are_rows_too() -> None:
    sheet, x, weight, _, out = convolved(2, 4, 4, 3, transposed=True)
    assert sheet.seen(weight)[1] == "i0 i1 i2"
    assert sheet.seen(out)[1] == "i0+? i1+? i2+? i0+? i1+? i2+?"
    assert sheet.seen(x)[1] == "?+? ?+? ?+? ?+?"


def test_image_axes_of_a_convolution_stay() -> None:
    sheet = Sheet()
    x, weight = sheet.tensor("nchw", 2, 3, 5, 5), sheet.tensor("oi--", 4, 3, 3, 3)
    assert sheet.seen(sheet.run(lambda: F.conv2d(x, weight))) == ["-", "o0 o1 o2 o3", "-", "-"]
    assert [sheet.seen(x)[axis] for axis in (0, 2)] == ["0 0", "0 0 0 0 0"]


def test_rows_of_an_embedding_stay_and_its_columns_are_channels() -> None:
    sheet = Sheet()
    table, words = sheet.tensor("rc", 5, 3), torch.zeros(2, 4, dtype=torch.int64, device="meta")
    assert sheet.seen(sheet.run(lambda: F.embedding(words, table))) == ["-", "-", "c0 c1 c2"]
    assert sheet.seen(table) == ["0 0 0 0 0", "c0 c1 c2"] and sheet.leading == "c0 c1 c2"
    assert sheet.reasons == ["is picked from by the data"]


def test_a_bilinear_layer_reads_two_inputs() -> None:
    sheet = Sheet()
    one, other = sheet.tensor("-c", 2, 3), sheet.tensor("-d", 2, 4)
    weight, bias = sheet.tensor("oij", 5, 3, 4), sheet.tensor("b", 5)
    assert sheet.seen(sheet.run(lambda: F.bilinear(one, other, weight, bias)))[1] == "o0 o1 o2 o3 o4"
    assert sheet.seen(weight) == ["o0 o1 o2 o3 o4", "c0 c1 c2", "d0 d1 d2 d3"]


def test_attention_has_heads_and_sizes_of_queries_and_of_values() -> None:
    sheet = Sheet()
    q, k, v = (sheet.tensor(axes, 2, 3, 5, n) for axes, n in (("-h-d", 4), ("-k-e", 4), ("-l-f", 6)))
    call = aten._scaled_dot_product_flash_attention_for_cpu
    out = sheet.run(lambda: call(q, k, v)[0])
    assert sheet.seen(out) == ["-", "h0 h1 h2", "-", "f0 f1 f2 f3 f4 f5"]
    assert sheet.seen(k) == ["-", "h0 h1 h2", "-", "d0 d1 d2 d3"] and sheet.seen(v)[1] == "h0 h1 h2"
    assert labels_of(out).zero and sheet.reasons == []


def test_lengths_of_weights_are_taken_over_the_kept_inputs() -> None:
    sheet = Sheet()
    v, g = sheet.tensor("oi", 4, 3), sheet.tensor("g-", 4, 1)
    out = sheet.run(lambda: torch._weight_norm(v, g, 0))
    assert sheet.seen(out) == ["o0 o1 o2 o3", "i0 i1 i2"] and sheet.seen(g)[0] == "o0 o1 o2 o3"
    assert [what for _, what in sheet.demands.statistics] == [
        "the network: the length of the weights over the kept inputs (weight norm)"
    ]


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Queries, keys, values (batch, heads, tokens, size), the scale written as a number."""
    return F.scaled_dot_product_attention(q, k, v, scale=0.5)


PRODUCTS: dict[str, tuple[Callable[..., Any], tuple[str, ...], list[tuple[int, ...]]]] = {
    "linear": (F.linear, ("nbc", "oi", "d"), [(2, 5, 3), (4, 3), (4,)]),
    "bmm": (torch.bmm, ("ncd", "mek"), [(2, 5, 3), (2, 3, 4)]),
    "baddbmm": (torch.baddbmm, ("ack", "ncd", "mek"), [(2, 5, 4), (2, 5, 3), (2, 3, 4)]),
    "addmm": (torch.addmm, ("k", "cd", "ek"), [(4,), (5, 3), (3, 4)]),
    "mv": (torch.mv, ("cd", "e"), [(5, 3), (3,)]),
    "einsum": (lambda x, w: torch.einsum("bhc,hco->bho", x, w), ("-hc", "gio"), [(2, 3, 4), (3, 4, 5)]),
    "conv1d": (F.conv1d, ("-c-", "oi-", "b"), [(2, 3, 5), (4, 3, 3), (4,)]),
    "conv3d": (F.conv3d, ("-c---", "oi---", "b"), [(1, 3, 3, 3, 3), (4, 3, 2, 2, 2), (4,)]),
    "grouped": (
        lambda x, w: F.conv2d(x, w, groups=x.shape[1] // w.shape[1]),
        ("-c--", "oi--"),
        [(2, 8, 5, 5), (12, 2, 3, 3)],
    ),
    "multiplier": (
        lambda x, w: F.conv2d(x, w, groups=x.shape[1]),
        ("-c--", "oi--"),
        [(2, 6, 5, 5), (18, 1, 3, 3)],
    ),
    "transposed": (F.conv_transpose2d, ("-c--", "io--", "b"), [(2, 3, 5, 5), (3, 4, 2, 2), (4,)]),
    "bilinear": (F.bilinear, ("-c", "-d", "oij", "b"), [(2, 3), (2, 4), (5, 3, 4), (5,)]),
    "attention": (attention, ("-h-d", "-k-e", "-l-f"), [(2, 3, 5, 4), (2, 3, 5, 4), (2, 3, 5, 6)]),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_without_channels_equal_products_with_silent_ones(name: str) -> None:
    call, axes, shapes = PRODUCTS[name]
    went = [true_of(call, *axes, shapes=shapes, seed=seed) for seed in range(6)]
    assert max(went) > 0
