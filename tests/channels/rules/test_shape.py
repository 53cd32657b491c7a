from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regrow.channels.labels import labels_of
from regrow.channels.rules.shape import regroup
from regrow.channels.sizes import IdArray
from regrow.channels.solve import solve

from .labelled import Sheet, true_of

aten = torch.ops.aten


def seen(call: Any, axes: str, *shape: int) -> list[str]:
    sheet = Sheet()
    x = sheet.tensor(axes, *shape)
    return sheet.seen(sheet.run(lambda: call(x)))


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda x: x.permute(2, 0, 1), ["h0 h1", "-", "c0 c1 c2"]),
        (lambda x: x.transpose(1, -1), ["-", "h0 h1", "c0 c1 c2"]),
        (lambda x: x.movedim(1, 0), ["c0 c1 c2", "-", "h0 h1"]),
        (lambda x: x[0].t(), ["h0 h1", "c0 c1 c2"]),
        (lambda x: x.unsqueeze(-1), ["-", "c0 c1 c2", "h0 h1", "-"]),
        (lambda x: x.unsqueeze(1), ["-", "-", "c0 c1 c2", "h0 h1"]),
        (lambda x: x.unsqueeze(2).squeeze(2), ["-", "c0 c1 c2", "h0 h1"]),
        (lambda x: x[:1].squeeze(), ["c0 c1 c2", "h0 h1"]),
        (lambda x: x.squeeze(1), ["-", "c0 c1 c2", "h0 h1"]),
        (lambda x: x[:1].squeeze((0, 1)), ["c0 c1 c2", "h0 h1"]),
        (lambda x: x.reshape(x.shape), ["-", "c0 c1 c2", "h0 h1"]),
        (lambda x: x.flatten(0, 1), ["c0 c1 c2 c0 c1 c2 c0 c1 c2 c0 c1 c2", "h0 h1"]),
        (lambda x: x.flatten(1), ["-", "c0+h0 c0+h1 c1+h0 c1+h1 c2+h0 c2+h1"]),
        (lambda x: x.flatten(1).unflatten(1, (3, 2)), ["-", "c0 c1 c2", "h0 h1"]),
        (lambda x: x.repeat(1, 2, 1), ["-", "c0 c1 c2 c0 c1 c2", "h0 h1"]),
        (lambda x: x.expand(4, 3, 2), ["-", "c0 c1 c2", "h0 h1"]),
        (lambda x: x.expand(5, 4, 3, 2), ["? ? ? ? ?", "-", "c0 c1 c2", "h0 h1"]),
        (lambda x: x.repeat_interleave(2, 1), ["-", "c0+? c0+? c1+? c1+? c2+? c2+?", "h0 h1"]),
    ],
)
def test_positions_move_with_their_ids(call: Any, expected: list[str]) -> None:
    assert seen(call, "-ch", 4, 3, 2) == expected


def test_a_split_of_one_axis_makes_rows_and_columns() -> None:
    sheet = Sheet()
    x = sheet.tensor("-c", 2, 6)
    y = sheet.run(lambda: x.view(2, 3, 2))
    assert sheet.seen(y) == ["-", "? ? ?", "? ?"]
    assert sheet.seen(sheet.run(lambda: y.reshape(2, 6))) == sheet.seen(x) == ["-", "?+? ?+? ?+? ?+? ?+? ?+?"]
    assert len(sheet.demands.grids) == 1


def test_pixels_of_one_channel_go_together() -> None:
    assert seen(lambda x: F.pixel_shuffle(x, 2), "-c--", 1, 8, 3, 3) == ["-", "c0 c4", "-", "-"]
    assert seen(lambda x: aten.pixel_unshuffle(x, 2), "-c--", 1, 2, 6, 6)[1] == "c0 c0 c0 c0 c1 c1 c1 c1"


def test_shuffled_channels_stay_in_their_blocks() -> None:
    sheet = Sheet()
    x = sheet.tensor("-c--", 1, 6, 2, 2)
    y = sheet.run(lambda: aten.channel_shuffle(x, 2))
    assert sheet.seen(y)[1] == "c0 c0 c1 c1 c2 c2"
    assert sheet.seen(x)[1] == "c0 c1 c2 c0 c1 c2"
    assert sheet.reasons == ["is a block of a channel shuffle"]


def test_windows_hold_every_channel_at_each_of_their_places() -> None:
    assert seen(lambda x: F.unfold(x, 2), "-c--", 1, 2, 3, 3) == ["-", "c0 c0 c0 c0 c1 c1 c1 c1", "-"]
    assert seen(lambda x: F.fold(x, (3, 3), 2), "-c-", 1, 8, 4) == ["-", "c0 c4", "-", "-"]


def test_what_is_laid_out_anew_in_memory_stays() -> None:
    sheet = Sheet()
    x = sheet.tensor("cd", 4, 4)
    assert sheet.seen(sheet.run(lambda: x.as_strided((4, 4), (4, 1)))) == ["c0 c1 c2 c3", "d0 d1 d2 d3"]
    assert sheet.reasons == []
    assert sheet.seen(sheet.run(lambda: x.as_strided((4, 4), (1, 4)))) == ["-", "-"]
    assert sheet.reasons == ["is laid out anew by its place in memory"]
    assert sheet.seen(x) == ["0 0 0 0", "0 0 0 0"]


def test_an_empty_tensor_keeps_its_axes() -> None:
    sheet = Sheet()
    x = sheet.tensor("c-", 3, 0)
    assert sheet.seen(sheet.run(lambda: x.reshape(0))) == ["-"]
    assert sheet.seen(x) == ["0 0 0", "-"]


def test_copies_do_not_hold_zero_where_one_of_them_goes() -> None:
    sheet = Sheet()
    x = sheet.tensor("-c", 1, 3)
    assert not labels_of(sheet.run(lambda: x.expand(4, 3))).zero
    assert not labels_of(sheet.run(lambda: x.repeat(4, 1))).zero
    assert labels_of(sheet.run(lambda: x.repeat(1, 2))).zero
    assert labels_of(sheet.run(lambda: x.expand(1, 3))).zero


MOVES: dict[str, tuple[Any, str, tuple[int, ...]]] = {
    "permute": (lambda x: x.permute(2, 0, 1), "nch", (3, 4, 5)),
    "transpose": (lambda x: x.mT, "nch", (3, 4, 5)),
    "t": (lambda x: x.t(), "ch", (4, 5)),
    "unsqueeze": (lambda x: x.unsqueeze(1), "nch", (3, 4, 5)),
    "squeeze": (lambda x: x.squeeze(0).squeeze(-1), "-c-", (1, 4, 1)),
    "flatten": (lambda x: x.flatten(1), "nch", (3, 4, 5)),
    "flatten constants": (lambda x: x.flatten(), "-c-", (3, 4, 5)),
    "heads out and in": (lambda x: x.transpose(1, 2).flatten(1), "-hd", (2, 3, 4)),
    "expand": (lambda x: x.expand(6, -1, -1), "-ch", (1, 4, 5)),
    "repeat": (lambda x: x.repeat(1, 2, 3), "nch", (2, 4, 5)),
    "pixel unshuffle": (lambda x: F.pixel_unshuffle(x, 2), "-c--", (2, 4, 4, 4)),
    "im2col": (lambda x: F.unfold(x, 2), "-c--", (2, 4, 3, 3)),
    "as_strided": (lambda x: x.as_strided(x.shape, x.stride()), "nc", (3, 4)),
}


@pytest.mark.parametrize("name", MOVES)
def test_what_goes_moves_as_values_do(name: str) -> None:
    call, axes, shape = MOVES[name]
    for seed in range(3):
        for zero in (True, False):
            true_of(call, axes, shapes=[shape], zero=zero, seed=seed)
    assert any(true_of(call, axes, shapes=[shape], seed=seed) for seed in range(5))


SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=4)


@st.composite
def two_layouts(draw: st.DrawFn) -> tuple[list[int], list[int], list[bool]]:
    """Sizes, other sizes of the same product, and which of the first are live."""
    before = draw(SIZES)
    rest, after = math.prod(before), []
    while rest > 1:
        factor = draw(st.sampled_from([n for n in range(2, rest + 1) if rest % n == 0]))
        after.append(factor)
        rest //= factor
    for _ in range(draw(st.integers(0, 2))):
        after.insert(draw(st.integers(0, len(after))), 1)
    return before, after, draw(st.lists(st.booleans(), min_size=len(before), max_size=len(before)))


@given(two_layouts(), st.integers(0, 2**16))
@settings(deadline=None, max_examples=60)
def test_any_view_removes_the_same_elements(layout: tuple[list[int], list[int], list[bool]], seed: int) -> None:
    """An element goes when the position of any of its axes goes: the same elements before and after."""
    before, after, live = layout
    sheet = Sheet()
    axes = [sheet.demands.fresh(n) if alive and n > 1 else None for n, alive in zip(before, live, strict=True)]
    seen_as = regroup(sheet.demands, before, axes, after)
    atoms = solve(sheet.demands)
    numbers = torch.Generator().manual_seed(seed)

    def elements(ids: list[IdArray | None], shape: list[int], gone: set[int]) -> Tensor:
        flags = torch.zeros(shape, dtype=torch.bool)
        for axis, along in enumerate(ids):
            if along is not None:
                here = torch.tensor([bool(set(column.tolist()) & gone) for column in atoms.of(along).T])
                flags |= here.reshape([-1 if dim == axis else 1 for dim in range(len(shape))])
        return flags.flatten()

    alive = sorted({int(a) for ids in axes if ids is not None for a in atoms.of(ids).ravel() if a})
    gone = {a for a in alive if torch.rand((), generator=numbers) < 0.4}
    assert torch.equal(elements(list(axes), before, gone), elements(seen_as, after, gone))
