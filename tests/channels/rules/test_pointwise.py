from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from regrow.channels.labels import labels_of
from regrow.channels.rules.pointwise import KEEPS_ZERO
from regrow.channels.rules.table import operation_name

from .labelled import Sheet, true_of

aten = torch.ops.aten


def test_added_channels_go_together() -> None:
    sheet = Sheet()
    x, y = sheet.tensor("-c-", 2, 3, 4), sheet.tensor("-d-", 2, 3, 4)
    assert sheet.seen(sheet.run(lambda: x + y)) == ["-", "c0 c1 c2", "-"]
    assert sheet.seen(y)[1] == "c0 c1 c2" and sheet.reasons == []


def test_a_broadcast_operand_lies_on_the_last_axes() -> None:
    sheet = Sheet()
    x, scale = sheet.tensor("-c-", 2, 3, 4), sheet.tensor("s-", 3, 1)
    assert sheet.seen(sheet.run(lambda: x * scale)) == ["-", "c0 c1 c2", "-"]
    assert sheet.seen(scale) == ["c0 c1 c2", "-"]


def test_an_outer_product_has_the_axes_of_both() -> None:
    sheet = Sheet()
    x, y = sheet.tensor("c-", 3, 1), sheet.tensor("-d", 1, 2)
    product = sheet.run(lambda: x * y)
    assert sheet.seen(product) == ["c0 c1 c2", "d0 d1"] and sheet.reasons == []
    assert labels_of(product).zero and not labels_of(sheet.run(lambda: x + y)).zero


def test_channels_that_meet_a_constant_stay() -> None:
    sheet = Sheet()
    x, fixed = sheet.tensor("-c", 2, 3), torch.empty(3, device="meta")
    assert sheet.seen(sheet.run(lambda: x + fixed)) == ["-", "-"]
    assert sheet.reasons == ["meets a constant"] and sheet.seen(x) == ["-", "0 0 0"]


def test_a_number_or_a_single_value_meets_nothing() -> None:
    sheet = Sheet()
    x = sheet.tensor("-c", 2, 3)
    assert sheet.seen(sheet.run(lambda: (x + 1) * torch.empty((), device="meta"))) == ["-", "c0 c1 c2"]
    assert sheet.reasons == []


ZEROS: dict[str, tuple[Any, bool]] = {
    "relu": (lambda x, _: x.relu(), True),
    "gelu": (lambda x, _: F.gelu(x), True),
    "tanh": (lambda x, _: x.tanh(), True),
    "hardtanh": (lambda x, _: F.relu6(x), True),
    "sigmoid": (lambda x, _: x.sigmoid(), False),
    "exp": (lambda x, _: x.exp(), False),
    "cos": (lambda x, _: x.cos(), False),
    "softplus": (lambda x, _: F.softplus(x), False),
    "sum of two": (lambda x, y: x - y, True),
    "sum with a number": (lambda x, _: x + 1, False),
    "number minus": (lambda x, _: 1 - x, False),
    "scaled": (lambda x, _: x * 3, True),
    "gated": (lambda x, y: x * y.sigmoid(), True),
    "gated first": (lambda x, y: x.sigmoid() * y, True),
    "both open": (lambda x, y: x.sigmoid() * y.sigmoid(), False),
    "quotient": (lambda x, y: x / (y.abs() + 1), True),
    "quotient of a number": (lambda x, _: 1 / (x.abs() + 1), False),
    "square": (lambda x, _: x**2, True),
    "root": (lambda x, _: x.abs() ** 0.5, True),
    "power of zero": (lambda x, _: x**0, False),
    "negative power": (lambda x, _: (x.abs() + 1) ** -1, False),
    "power by a tensor": (lambda x, y: (x.abs() + 1) ** y, False),
    "power of a number": (lambda x, _: 2**x, False),
    "clamped": (lambda x, _: x.clamp(min=0.5), False),
    "where": (lambda x, _: torch.where(x > 0, x, torch.ones(())), False),
    "masked": (lambda x, _: x.masked_fill(x > 0, 1.0), False),
    "maximum": (lambda x, y: torch.maximum(x, y), True),
    "interpolated": (lambda x, y: torch.lerp(x, y, 0.3), True),
    "in place": (lambda x, y: x.clone().add_(y).mul_(2), True),
    "in place, number": (lambda x, _: x.clone().add_(1), False),
    "zeros": (lambda x, _: torch.zeros_like(x), True),
    "ones": (lambda x, _: torch.ones_like(x), False),
    "filled": (lambda x, _: x.clone().fill_(0), True),
    "filled with ones": (lambda x, _: x.clone().fill_(1), False),
    "copied into": (lambda x, y: torch.zeros_like(x).copy_(y), True),
    "copied over": (lambda x, y: torch.ones_like(x).copy_(y), False),
}


@pytest.mark.parametrize("name", ZEROS)
def test_what_holds_zero_where_channels_went(name: str) -> None:
    call, zero = ZEROS[name]
    sheet = Sheet()
    x, y = sheet.tensor("-c-", 2, 3, 4), sheet.tensor("-d-", 2, 3, 4)
    out = sheet.run(lambda: call(x, y))
    assert sheet.seen(out) == ["-", "c0 c1 c2", "-"] and sheet.reasons == []
    assert labels_of(out).zero is zero


@pytest.mark.parametrize("name", ZEROS)
def test_what_is_said_of_it_is_true(name: str) -> None:
    """By numbers: with and without channels, with zeros or anything in their places."""
    for seed in range(2):
        for zero in (True, False):
            true_of(ZEROS[name][0], "nch", "mdk", shapes=[(2, 3, 4)] * 2, zero=zero, seed=seed)


@pytest.mark.parametrize("name", sorted(KEEPS_ZERO))
def test_functions_that_keep_zero_do_keep_it(name: str) -> None:
    zero = torch.zeros(1, 3)
    extra: dict[str, tuple[Any, ...]] = {
        "prelu": (torch.ones(3),),
        "_prelu_kernel": (torch.ones(1, 3),),
        "native_dropout": (0.5, True),
        "dropout": (0.5, False),
        "feature_dropout": (0.5, False),
        "to": (torch.float64,),
    }
    if name in ("conj", "_conj", "real", "imag"):
        zero = torch.zeros(1, 3, dtype=torch.complex64)
    function = getattr(aten, name, None) or getattr(torch, name, None) or getattr(F, name)
    out = function(zero, *extra.get(name, ()))
    out = out[0] if isinstance(out, tuple) else out
    assert not out.resolve_conj().any()


def test_fresh_tensors_of_the_same_sizes_carry_the_same_channels() -> None:
    sheet = Sheet()
    x = sheet.tensor("-c", 2, 3)
    for make in (torch.empty_like, torch.rand_like, torch.zeros_like, lambda x: torch.full_like(x, 2.0)):
        assert sheet.seen(sheet.run(lambda make=make: make(x))) == ["-", "c0 c1 c2"]


def test_sizes_indices_and_random_numbers_carry_no_channels() -> None:
    sheet = Sheet()
    x = sheet.tensor("-c", 2, 3)
    for make in (
        lambda: x.new_zeros(2, 3),
        lambda: torch.arange(3, device="meta"),
        lambda: torch.eye(3, device="meta"),
    ):
        assert set(sheet.seen(sheet.run(make))) == {"-"}
    assert sheet.reasons == []


def test_a_triangle_keeps_the_axes_that_it_is_cut_along() -> None:
    sheet = Sheet()
    x = sheet.tensor("nchw", 2, 3, 4, 4)
    assert sheet.seen(sheet.run(lambda: x.tril())) == ["n0 n1", "c0 c1 c2", "-", "-"]
    assert sheet.reasons == ["a triangle is cut out along this axis"]
    assert sheet.seen(x)[2:] == ["0 0 0 0", "0 0 0 0"]


def test_in_place_operations_count_as_their_plain_kin() -> None:
    assert operation_name(aten.add_.Tensor) == operation_name(aten.add.Tensor) == "add"
    assert operation_name(aten.__and__.Tensor) == "__and__"
