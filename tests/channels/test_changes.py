from __future__ import annotations

from dataclasses import replace

import pytest

from regrow.channels.changes import diff, to_widths
from regrow.errors import PruningError

from .by_hand import HALF, SLICES, architecture


def test_widths_are_told_by_group() -> None:
    assert to_widths(HALF) == {"stream": 6, "inner": 5}


def test_an_architecture_does_not_differ_from_itself() -> None:
    same = diff(HALF, replace(HALF, fingerprint="1" * 64))
    assert not same
    assert str(same) == "the same channels are kept in all 2 groups"


def test_it_tells_group_by_group_what_only_one_of_them_keeps() -> None:
    other = architecture(stream=(12, (0, 2, 3, 5, 8, 11)), inner=(10, (0, 1, 2, 9)))
    found = diff(HALF, other)
    (change,) = found.groups
    assert (change.group, change.first, change.second, change.both) == ("inner", (4, 5, 6), (0, 2), 2)
    assert str(found) == (
        "1 of 2 groups differ\n  inner: 5 and 4 of 10; only the first keeps 4-6, only the second 0, 2"
    )


def test_one_that_keeps_more_is_told_as_such() -> None:
    more = architecture(stream=(12, tuple(range(12))), inner=(10, (1, 4, 5, 6, 9)))
    assert "stream: 6 and 12 of 12; only the first keeps none, only the second 1, 4, 6-7, 9-10" in str(diff(HALF, more))


def test_architectures_of_different_networks_are_not_compared() -> None:
    with pytest.raises(PruningError, match="one has inner with 10 channels where the other has inner with 5 channels"):
        diff(HALF, architecture(stream=(12, (0,)), inner=(5, (0,))))
    with pytest.raises(PruningError, match="one has inner with 10 channels where the other has no further group"):
        diff(HALF, architecture(SLICES, stream=(12, (0,))))
