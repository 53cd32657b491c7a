from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from regrow.channels.labels import labels_of
from regrow.channels.rules.normalisation import reduced_axes

from .labelled import Sheet, true_of


def statistics(sheet: Sheet) -> list[str]:
    """Over which channels norm layers take statistics."""
    return [sheet.read(ids) for ids, _ in sheet.demands.statistics]


def test_a_batch_norm_treats_every_channel_by_itself() -> None:
    sheet = Sheet()
    x, *own = sheet.tensor("-c--", 2, 3, 4, 4), *(sheet.tensor(letter, 3) for letter in "mvwb")
    out = sheet.run(lambda: F.batch_norm(x, *own))
    assert sheet.seen(out) == ["-", "c0 c1 c2", "-", "-"] and labels_of(out).zero
    assert [sheet.seen(tensor)[0] for tensor in own] == ["c0 c1 c2"] * 4
    assert sheet.reasons == [] and statistics(sheet) == []


def test_a_batch_norm_without_weights_moves_zero_away() -> None:
    sheet = Sheet()
    x, mean, variance = sheet.tensor("-c-", 2, 3, 4), sheet.tensor("m", 3), sheet.tensor("v", 3)
    assert not labels_of(sheet.run(lambda: F.batch_norm(x, mean, variance))).zero


def test_axes_that_batch_statistics_are_taken_over_stay() -> None:
    sheet = Sheet()
    x = sheet.tensor("nch", 2, 3, 4)
    sheet.run(lambda: F.batch_norm(x, None, None, training=True))
    assert sheet.seen(x) == ["0 0", "c0 c1 c2", "0 0 0 0"]
    assert sheet.reasons == ["is an axis over which batch statistics are taken"]


def test_stored_statistics_keep_no_axis() -> None:
    sheet = Sheet()
    x, mean, variance = sheet.tensor("nch", 2, 3, 4), sheet.tensor("m", 3), sheet.tensor("v", 3)
    sheet.run(lambda: F.batch_norm(x, mean, variance))
    assert sheet.reasons == []


def test_a_layer_norm_takes_statistics_over_its_channels_and_says_so() -> None:
    sheet = Sheet()
    x, weight, bias = sheet.tensor("--c", 2, 5, 3), sheet.tensor("w", 3), sheet.tensor("b", 3)
    out = sheet.run(lambda: F.layer_norm(x, (3,), weight, bias))
    assert sheet.seen(out) == ["-", "-", "c0 c1 c2"] and sheet.seen(bias) == ["c0 c1 c2"]
    assert statistics(sheet) == ["c0 c1 c2"] and labels_of(out).zero and sheet.reasons == []


def test_a_layer_norm_of_two_axes_takes_them_over_both() -> None:
    sheet = Sheet()
    x, weight = sheet.tensor("-ch", 2, 3, 4), sheet.tensor("vw", 3, 4)
    assert sheet.seen(sheet.run(lambda: F.layer_norm(x, (3, 4), weight))) == ["-", "c0 c1 c2", "h0 h1 h2 h3"]
    assert statistics(sheet) == ["c0 c1 c2", "h0 h1 h2 h3"] and sheet.seen(weight)[0] == "c0 c1 c2"


def test_a_group_norm_has_groups_and_channels_in_them() -> None:
    sheet = Sheet()
    x, weight, bias = sheet.tensor("-c--", 2, 6, 4, 4), sheet.tensor("w", 6), sheet.tensor("b", 6)
    out = sheet.run(lambda: F.group_norm(x, 3, weight, bias))
    assert sheet.seen(out)[1] == sheet.seen(weight)[0] == "?+? ?+? ?+? ?+? ?+? ?+?"
    assert sheet.read(sheet.demands.block) == "? ? ?" and statistics(sheet) == ["? ?"] and labels_of(out).zero


def test_a_group_norm_of_one_group_is_over_all_channels() -> None:
    sheet = Sheet()
    x, weight = sheet.tensor("-c--", 2, 6, 4, 4), sheet.tensor("w", 6)
    assert sheet.seen(sheet.run(lambda: F.group_norm(x, 1, weight)))[1] == "c0 c1 c2 c3 c4 c5"
    assert sheet.demands.block is None and statistics(sheet) == ["c0 c1 c2 c3 c4 c5"]


KEPT: dict[str, tuple[Callable[[Tensor], Any], str, list[str]]] = {
    "softmax": (lambda x: x.softmax(1), "is a softmax axis: all its values depend on each other", ["-", "-", "h0 h1"]),
    "log softmax": (
        lambda x: x.log_softmax(-2),
        "is a softmax axis: all its values depend on each other",
        ["-", "-", "h0 h1"],
    ),
    "cumsum": (lambda x: x.cumsum(1), "is summed up step by step", ["-", "-", "h0 h1"]),
    "topk": (lambda x: x.topk(2, 1)[0], "is sorted or picked from by value", ["-", "-", "h0 h1"]),
    "topk index": (lambda x: x.topk(2, 1)[1], "is sorted or picked from by value", ["-", "-", "h0 h1"]),
    "sort": (lambda x: x.sort(1).values, "is sorted or picked from by value", ["-", "-", "h0 h1"]),
    "mean": (lambda x: x.mean(1), "a mean over it is used as a value", ["-", "h0 h1"]),
    "mean kept": (lambda x: x.mean(1, keepdim=True), "a mean over it is used as a value", ["-", "-", "h0 h1"]),
    "largest": (lambda x: x.amax(1), "a amax over it is used as a value", ["-", "h0 h1"]),
    "max": (lambda x: x.max(1).values, "a max over it is used as a value", ["-", "h0 h1"]),
    "argmax": (lambda x: x.argmax(1), "a argmax over it is used as a value", ["-", "h0 h1"]),
    "variance": (lambda x: x.var(1), "a var over it is used as a value", ["-", "h0 h1"]),
    "product": (lambda x: x.prod(1), "a prod over it is used as a value", ["-", "h0 h1"]),
    "all of it": (lambda x: x.mean(), "a mean over it is used as a value", []),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_is_computed_over_channels_keeps_them_and_says_why(name: str) -> None:
    call, reason, expected = KEPT[name]
    sheet = Sheet()
    x = sheet.tensor("-ch", 2, 3, 2)
    assert sheet.seen(sheet.run(lambda: call(x))) == expected
    assert sheet.seen(x)[1] == "0 0 0" and sheet.reasons == [reason]
    assert sheet.seen(x)[2] == ("h0 h1" if name != "all of it" else "0 0")


@pytest.mark.parametrize("name", ["sum", "linalg_vector_norm", "norm"])
def test_a_sum_loses_nothing_with_channels_that_hold_zero(name: str) -> None:
    calls: dict[str, Callable[[Tensor], Tensor]] = {
        "sum": lambda x: x.sum(1),
        "linalg_vector_norm": lambda x: torch.linalg.vector_norm(x, dim=1),
        "norm": lambda x: x.norm(dim=1),
    }
    sheet = Sheet()
    zero, other = sheet.tensor("-ch", 2, 3, 2), sheet.tensor("-dk", 2, 3, 2, zero=False)
    assert sheet.seen(sheet.run(lambda: calls[name](zero))) == ["-", "h0 h1"]
    assert sheet.seen(zero)[1] == "c0 c1 c2" and sheet.reasons == []
    sheet.run(lambda: calls[name](other))
    assert sheet.seen(other)[1:] == ["0 0 0", "k0 k1"]


def test_statistics_of_a_norm_layer_that_is_written_out_keep_nothing() -> None:
    sheet = Sheet()
    sheet.demands.is_norm_module = lambda: True
    x = sheet.tensor("--c", 2, 5, 3)
    sheet.run(lambda: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))
    assert sheet.seen(x)[2] == "c0 c1 c2" and statistics(sheet) == ["c0 c1 c2"] and sheet.reasons == []


def test_a_gated_unit_halves_its_channels_in_step() -> None:
    sheet = Sheet()
    x = sheet.tensor("-c", 2, 6)
    assert sheet.seen(sheet.run(lambda: F.glu(x, 1))) == ["-", "c0 c1 c2"]
    assert sheet.seen(x) == ["-", "c0 c1 c2 c0 c1 c2"]


POOLS: dict[str, Callable[[Tensor], Any]] = {
    "average": lambda x: F.avg_pool2d(x, 2),
    "largest": lambda x: F.max_pool2d(x, 2),
    "to one place": lambda x: F.adaptive_avg_pool2d(x, 1),
    "to two places": lambda x: F.adaptive_max_pool2d(x, 2),
    "nearest": lambda x: F.interpolate(x, scale_factor=2),
    "bilinear": lambda x: F.interpolate(x, size=(3, 3), mode="bilinear"),
    "bicubic": lambda x: F.interpolate(x, size=(3, 3), mode="bicubic", antialias=True),
    "reflected": lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
    "replicated": lambda x: F.pad(x, (1, 1, 1, 1), mode="replicate"),
}


@pytest.mark.parametrize("name", POOLS)
def test_pools_and_interpolations_keep_image_axes_and_leave_the_others(name: str) -> None:
    sheet = Sheet()
    x = sheet.tensor("nchw", 2, 3, 4, 4)
    out = sheet.run(lambda: POOLS[name](x))
    out = out[0] if isinstance(out, tuple) else out
    assert sheet.seen(out) == ["n0 n1", "c0 c1 c2", "-", "-"] and labels_of(out).zero
    assert sheet.seen(x)[2:] == ["0 0 0 0", "0 0 0 0"]


@pytest.mark.parametrize(
    ("call", "shape", "live"),
    [
        (lambda x: F.avg_pool1d(x, 2), (2, 3, 4), 2),
        (lambda x: F.max_pool2d(x, 2), (3, 4, 4), 1),
        (lambda x: F.avg_pool3d(x, 2), (3, 4, 4, 4), 1),
        (lambda x: F.avg_pool3d(x, 2), (2, 3, 4, 4, 4), 2),
    ],
)
def test_how_many_axes_are_of_the_image_the_operation_says_not_the_tensor(
    call: Any, shape: tuple[int, ...], live: int
) -> None:
    sheet = Sheet()
    x = sheet.tensor("abcde"[: len(shape)], *shape)
    sheet.run(lambda: call(x))
    stays = [set(seen.split()) == {"0"} for seen in sheet.seen(x)]
    assert stays == [False] * live + [True] * (len(shape) - live)


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "expected"),
    [
        ("sum", (), {}, {0, 1, 2}),
        ("mean", (1,), {}, {1}),
        ("mean", ([-1, 0],), {}, {0, 2}),
        ("mean", ([],), {}, {0, 1, 2}),
        ("mean", (), {"dim": -2}, {1}),
        ("var", (True,), {}, {0, 1, 2}),
        ("norm", (2, [1]), {}, {1}),
        ("linalg_vector_norm", (2,), {}, {0, 1, 2}),
    ],
)
def test_the_axes_that_a_reduction_reduces(name: str, args: Any, kwargs: Any, expected: set[int]) -> None:
    assert reduced_axes(name, (None, *args), kwargs, 3) == expected


def test_a_scalar_has_no_axes_to_reduce() -> None:
    assert reduced_axes("mean", (None, 0), {}, 0) == set()


TRUE: dict[str, tuple[Callable[..., Any], tuple[str, ...], list[tuple[int, ...]]]] = {
    "batch norm": (
        lambda x, w, b, m: F.batch_norm(x, m, torch.ones_like(m), w, b),
        ("-c-", "w", "b", "m"),
        [(2, 3, 4), (3,), (3,), (3,)],
    ),
    "sum": (lambda x: x.sum(1), ("nch",), [(2, 3, 4)]),
    "mean beside": (lambda x: x.mean(2), ("nc-",), [(2, 3, 4)]),
    "softmax beside": (lambda x: x.softmax(2), ("nch",), [(2, 3, 4)]),
    "glu": (lambda x: F.glu(x, 1), ("nc-",), [(2, 6, 4)]),
    "pool": (lambda x: F.max_pool2d(x, 2), ("nchw",), [(2, 3, 4, 4)]),
    "cumsum beside": (lambda x: x.cumsum(0), ("nch",), [(2, 3, 4)]),
    "sort beside": (lambda x: x.sort(0).values, ("nch",), [(2, 3, 4)]),
}


@pytest.mark.parametrize("name", TRUE)
def test_what_is_left_computes_the_same(name: str) -> None:
    call, axes, shapes = TRUE[name]
    assert max(true_of(call, *axes, shapes=shapes, seed=seed) for seed in range(4)) > 0
    for seed in range(2):
        true_of(call, *axes, shapes=shapes, zero=False, seed=seed)


@pytest.mark.parametrize("name", ["sum", "mean", "amax"])
def test_what_is_reduced_beside_channels_holds_zero_where_they_do(name: str) -> None:
    sheet = Sheet()
    for zero in (True, False):
        y = sheet.tensor("-c-", 2, 3, 4, zero=zero)
        assert labels_of(sheet.run(lambda y=y: getattr(y, name)(2))).zero is zero
    assert not labels_of(sheet.run(lambda: sheet.tensor("-c-", 2, 3, 4).argmax(2))).zero
