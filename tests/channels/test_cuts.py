from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from .rules.labelled import Sheet
from .traced import look, x


def both(n: Any, pieces: Sequence[Tensor]) -> Tensor:
    """Two pieces, each read by a layer of its own."""
    result: Tensor = n.b(pieces[0]) + n.c(pieces[1])
    return result


def at(n: Any, value: Tensor, place: int) -> Tensor:
    """The piece before a place, and the one from it on."""
    return both(n, (value[:, :place], value[..., place:]))


CUTS: dict[str, tuple[Callable[..., Any], bool]] = {
    # forward with n.a: 6 -> 8 channels and n.half = 4; whether both halves must stay equally long
    "chunk": (lambda n, x: both(n, n.a(x).chunk(2, 1)), True),
    "split by a number of the module": (lambda n, x: both(n, n.a(x).split(n.half, 1)), True),
    "split by two": (lambda n, x: both(n, n.a(x).split([n.half, n.other], 1)), False),
    "split by keywords": (lambda n, x: both(n, n.a(x).split(dim=1, split_size=n.half)), True),
    "tensor_split": (lambda n, x: both(n, n.a(x).tensor_split(2, 1)), True),
    "tensor_split at a place": (lambda n, x: both(n, n.a(x).tensor_split((n.half,), dim=-1)), False),
    "hsplit": (lambda n, x: both(n, n.a(x).hsplit(2)), True),
    "slices": (lambda n, x: at(n, n.a(x), n.half), False),
    "slices from the end": (lambda n, x: at(n, n.a(x), -n.half), False),
    "narrow": (lambda n, x: both(n, (n.a(x).narrow(1, 0, n.half), n.a(x).narrow(1, n.half, n.half))), True),
    "half of the width": (lambda n, x: at(n, n.a(x), n.a(x).shape[1] // 2), True),
}


@pytest.mark.parametrize("name", CUTS)
def test_pieces_are_groups_and_bounds_follow_them(name: str) -> None:
    call, in_step = CUTS[name]
    found = look(call, x(2, 6), a=nn.Linear(6, 8), b=nn.Linear(4, 3), c=nn.Linear(4, 3), half=4, other=4)
    assert found.groups == {"a": 4, "a#2": 4} and found.frozen == {}
    assert found.tracing.links == (((0, 1),) if in_step else ())


def test_a_bound_becomes_the_number_of_positions_before_it() -> None:
    call = CUTS["slices"][0]
    found = look(call, x(2, 6), a=nn.Linear(6, 8), b=nn.Linear(4, 3), c=nn.Linear(4, 3), half=4)
    assert found.corrections(a=3) == {"half": 3}
    assert found.corrections(**{"a#2": 2}) == {}
    call = CUTS["slices from the end"][0]
    found = look(call, x(2, 6), a=nn.Linear(6, 8), b=nn.Linear(4, 3), c=nn.Linear(4, 3), half=4)
    assert found.corrections(**{"a#2": 3}) == {"half": 3}


LITERALS: dict[str, tuple[Callable[..., Any], str]] = {
    "slice": (lambda n, x: n.b(n.a(x)[:, :4]), "a slice writes the number 4"),
    "slice from the end": (lambda n, x: n.b(n.a(x)[:, -4:]), "a slice writes the number -4"),
    "split": (lambda n, x: sum(map(n.b, n.a(x).split([4, 4], 1))), "split writes the number 4"),
    "narrow": (lambda n, x: n.b(n.a(x).narrow(1, 0, 4)), "a slice writes the number 4"),
    "tensor_split": (lambda n, x: sum(map(n.b, n.a(x).tensor_split((4,), 1))), "a slice writes the number 4"),
}


@pytest.mark.parametrize("name", LITERALS)
def test_a_number_written_in_the_code_keeps_the_channels(name: str) -> None:
    call, reason = LITERALS[name]
    found = look(call, x(2, 6), a=nn.Linear(6, 8), b=nn.Linear(4, 3))
    assert found.groups == {} and found.frozen["a.weight"] == (8, f"the network itself: {reason}")


def test_pieces_of_different_lengths_keep_the_axis() -> None:
    found = look(lambda n, x: n.b(n.a(x).tensor_split(3, 1)[2]), x(2, 6), a=nn.Linear(6, 8), b=nn.Linear(2, 3))
    assert found.frozen["a.weight"] == (8, "the network itself: is cut into pieces of different lengths")


def test_all_of_an_axis_is_no_cut() -> None:
    found = look(
        lambda n, x: n.b(n.a(x)[:, :][:, 0:][..., :100].split(8, 1)[0]), x(2, 6), a=nn.Linear(6, 8), b=nn.Linear(8, 3)
    )
    assert found.groups == {"a": 8}


@pytest.mark.parametrize(
    ("key", "axis"),
    [
        (lambda n: (slice(None), slice(None, n)), 1),
        (lambda n: (Ellipsis, slice(None, n), slice(None)), 1),
        (lambda n: (None, slice(None), slice(None, n)), 1),
        (lambda n: (0, slice(None, n)), 1),
        (lambda n: (torch.zeros(2, dtype=torch.bool, device="meta"), slice(None, n)), 1),
        (lambda n: (slice(None), slice(None), slice(None, n)), 2),
        (lambda n: (slice(None), None, slice(None), slice(None, n)), 2),
    ],
)
def test_the_axis_of_a_bound_is_counted_as_python_does(key: Callable[[int], Any], axis: int) -> None:
    sheet = Sheet()
    y = sheet.tensor("nch", 2, 4, 4)
    meta = key(3)
    if any(isinstance(entry, torch.Tensor) for entry in meta):
        meta = tuple(
            torch.zeros(1, dtype=torch.int64, device="meta") if isinstance(e, torch.Tensor) else e for e in meta
        )
    sheet.watch(lambda: y[meta])
    stays = [set(text.split()) == {"0"} for text in sheet.seen(y)]
    assert stays[axis] and not stays[3 - axis]
    assert "a slice writes the number 3" in sheet.reasons


def test_writing_into_a_slice_is_a_cut_too() -> None:
    sheet = Sheet()
    y = sheet.tensor("-c", 2, 4)

    def write() -> None:
        y[:, :3] = 0.0

    sheet.watch(write)
    assert sheet.seen(y)[1] == "0 0 0 0" and sheet.reasons[0] == "a slice writes the number 3"
