from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from regrow.channels.labels import labels_of
from regrow.channels.sizes import Extent

from .labelled import Sheet, true_of


def test_concatenated_channels_stand_beside_each_other() -> None:
    sheet = Sheet()
    x, y, fixed = sheet.tensor("-c", 2, 2), sheet.tensor("-d", 2, 3), sheet.tensor("--", 2, 1)
    assert sheet.seen(sheet.run(lambda: torch.cat([x, fixed, y], 1))) == ["-", "c0 c1 0 d0 d1 d2"]
    assert sheet.reasons == []


def test_concatenated_tensors_lie_on_each_other_along_other_axes() -> None:
    sheet = Sheet()
    x, y = sheet.tensor("-c", 2, 3), sheet.tensor("-d", 2, 3)
    assert sheet.seen(sheet.run(lambda: torch.cat([x, y]))) == ["-", "c0 c1 c2"]
    assert sheet.seen(y) == ["-", "c0 c1 c2"]
    fixed = sheet.tensor("--", 2, 3)
    assert sheet.seen(sheet.run(lambda: torch.cat([y, fixed]))) == ["-", "-"]
    assert sheet.reasons == ["stands beside values that keep their size"]


def test_a_concatenation_holds_zero_where_all_of_its_live_parts_do() -> None:
    sheet = Sheet()
    zero, other, fixed = sheet.tensor("-c", 2, 3), sheet.tensor("-d", 2, 3, zero=False), sheet.tensor("--", 2, 3)
    assert labels_of(sheet.run(lambda: torch.cat([zero, fixed], 1))).zero
    assert not labels_of(sheet.run(lambda: torch.cat([zero, other], 1))).zero


def test_nothing_concatenated_is_left_out() -> None:
    sheet = Sheet()
    x, nothing = sheet.tensor("-c", 2, 3), torch.empty(0, device="meta")
    assert sheet.seen(sheet.run(lambda: torch.cat([nothing, x], 1))) == ["-", "c0 c1 c2"]


def test_stacked_tensors_lie_on_each_other() -> None:
    sheet = Sheet()
    x, y = sheet.tensor("-c", 2, 3), sheet.tensor("-d", 2, 3)
    assert sheet.seen(sheet.run(lambda: torch.stack([x, y], 1))) == ["-", "-", "c0 c1 c2"]
    assert sheet.seen(y) == ["-", "c0 c1 c2"]


def test_pieces_of_equal_length_stay_equally_long() -> None:
    sheet = Sheet()
    x = sheet.tensor("-c", 2, 6)
    first, *_, last = sheet.run(lambda: x.chunk(3, 1))
    assert (sheet.seen(first)[1], sheet.seen(last)[1]) == ("c0 c1", "c4 c5")
    assert len(sheet.demands.equations) == 2
    for equation in sheet.demands.equations:
        assert isinstance(equation.expression, Extent) and isinstance(equation.target, Extent)
        assert sheet.read(equation.expression.ids) == "c0 c1"


def test_pieces_of_given_lengths_need_not_be_equal() -> None:
    sheet = Sheet()
    x = sheet.tensor("-c", 2, 6)
    first, last = sheet.run(lambda: x.split([2, 4], -1))
    assert (sheet.seen(first)[1], sheet.seen(last)[1]) == ("c0 c1", "c2 c3 c4 c5")
    assert sheet.demands.equations == []


def test_an_axis_stays_whose_last_piece_is_shorter() -> None:
    sheet = Sheet()
    x = sheet.tensor("-c", 2, 5)
    assert [sheet.seen(piece)[1] for piece in sheet.run(lambda: x.split(2, 1))] == ["-", "-", "-"]
    assert sheet.reasons == ["is cut into pieces of which the last is shorter"]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda x: x[:, 2:5], "c2 c3 c4"),
        (lambda x: x[:, -2:], "c4 c5"),
        (lambda x: x[:, :100], "c0 c1 c2 c3 c4 c5"),
        (lambda x: x.narrow(1, 1, 2), "c1 c2"),
        (lambda x: x[:, ::2], "c0 c2 c4"),
        (lambda x: x[:, 1::3], "c0 c3"),
    ],
)
def test_a_slice_holds_the_positions_between_its_bounds(call: Any, expected: str) -> None:
    sheet = Sheet()
    x = sheet.tensor("-c", 2, 6)
    assert sheet.seen(sheet.run(lambda: call(x)))[1] == expected


def test_neighbours_go_together_where_every_second_is_read() -> None:
    sheet = Sheet()
    x = sheet.tensor("-c", 2, 6)
    sheet.run(lambda: x[:, 1::2])
    assert sheet.seen(x)[1] == "c0 c0 c2 c2 c4 c4"
    sheet.run(lambda: x[:, ::4])
    assert sheet.reasons == ["is read in steps of 4, which do not divide its length"]


FROZEN: dict[str, tuple[Any, str, list[str]]] = {
    "is read at one fixed position": (lambda x: x[:, 3], "is read at one fixed position", ["-", "h0 h1"]),
    "unbind": (lambda x: x.unbind(1)[2], "is taken apart position by position", ["-", "h0 h1"]),
    "unfold": (lambda x: x.unfold(1, 2, 2), "is cut into sliding windows", ["-", "-", "h0 h1", "-"]),
    "roll": (
        lambda x: x.roll(1, 1),
        "is rolled or flipped",
        ["-", "-", "h0 h1"],
    ),
    "flip": (
        lambda x: x.flip(1),
        "is rolled or flipped",
        ["-", "-", "h0 h1"],
    ),
    "roll all": (
        lambda x: x.roll(1),
        "is rolled or flipped",
        ["-", "-", "-"],
    ),
    "crop": (lambda x: F.pad(x, (0, 0, -1, 0)), "is cropped by a fixed amount", ["-", "-", "h0 h1"]),
    "diagonal": (lambda x: x.diagonal(dim1=0, dim2=1), "is read along a diagonal", ["h0 h1", "-"]),
}


@pytest.mark.parametrize("name", FROZEN)
def test_an_axis_that_is_read_by_place_stays_and_says_why(name: str) -> None:
    call, reason, expected = FROZEN[name]
    sheet = Sheet()
    x = sheet.tensor("-ch", 4, 6, 2)
    assert sheet.seen(sheet.run(lambda: call(x))) == expected
    assert reason in sheet.reasons
    assert sheet.seen(x)[1] == "0 0 0 0 0 0"


def test_padding_stays_and_holds_zero_where_it_is_zero() -> None:
    sheet = Sheet()
    x = sheet.tensor("-c", 2, 3)
    zeros, ones = sheet.run(lambda: (F.pad(x, (1, 2)), F.pad(x, (1, 2), value=1.0)))
    assert sheet.seen(zeros) == sheet.seen(ones) == ["-", "0 c0 c1 c2 0 0"]
    assert labels_of(zeros).zero and not labels_of(ones).zero


def test_complex_pairs_stay_together() -> None:
    sheet = Sheet()
    x = sheet.tensor("-cp", 2, 3, 2)
    y = sheet.run(lambda: torch.view_as_complex(x))
    assert sheet.seen(y) == ["-", "c0 c1 c2"]
    assert sheet.seen(sheet.run(lambda: torch.view_as_real(y))) == ["-", "c0 c1 c2", "-"]
    assert sheet.seen(x)[2] == "0 0"


MOVES: dict[str, tuple[Any, tuple[str, ...], list[tuple[int, ...]]]] = {
    "cat": (lambda x, y: torch.cat([x, y], 1), ("nch", "mdk"), [(2, 3, 4), (2, 5, 4)]),
    "cat of one twice": (lambda x: torch.cat([x, x], 1), ("-c-",), [(2, 5, 4)]),
    "stack": (lambda x, y: torch.stack([x, y], -1), ("nc", "md"), [(2, 5), (2, 5)]),
    "pad": (lambda x: F.pad(x, (1, 2, 0, 1)), ("nch",), [(2, 5, 4)]),
    "select": (lambda x: x[:, 1], ("nch",), [(2, 5, 4)]),
    "unbind": (lambda x: x.unbind(1), ("nch",), [(2, 3, 4)]),
    "roll": (lambda x: x.roll((1, 2), (0, 1)), ("nch",), [(2, 3, 4)]),
    "flip": (lambda x: x.flip((1,)), ("nch",), [(2, 3, 4)]),
    "diagonal": (lambda x: x.diagonal(dim1=1, dim2=2), ("nch",), [(2, 3, 4)]),
    "windows": (lambda x: x.unfold(1, 2, 1), ("nch",), [(2, 3, 4)]),
    "pairs": (lambda x: torch.view_as_real(torch.view_as_complex(x)), ("nch",), [(2, 3, 2)]),
    "every second": (lambda x: x[:, ::2], ("nch",), [(2, 6, 4)]),
}


@pytest.mark.parametrize("name", MOVES)
def test_what_goes_moves_as_values_do(name: str) -> None:
    call, axes, shapes = MOVES[name]
    for seed in range(3):
        for zero in (True, False):
            true_of(call, *axes, shapes=shapes, zero=zero, seed=seed)
    assert any(true_of(call, *axes, shapes=shapes, seed=seed) for seed in range(5))
