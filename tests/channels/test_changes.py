from __future__ import annotations

from dataclasses import replace

import pytest

from regrow.channels.architecture import Architecture, KeptChannels
from regrow.channels.changes import diff, to_widths
from regrow.errors import PruningError
from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import NETWORKS, dense_spec

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


def test_a_group_that_vanished_with_its_block_has_no_width() -> None:
    spec = dense_spec(NetworkSettings(name="resnet20"), classes=10, shape=(3, 32, 32))
    kept = tuple(
        KeptChannels(group=group.name, channels=group.channels, indices=tuple(range(group.channels)))
        for group in NETWORKS["resnet20"].groups()
    )
    dense = Architecture(dense=spec, kept=kept, fingerprint="0" * 64, regrow="test")
    widths = to_widths(dense.without(["stage1.block2"]))
    assert list(widths.values()) == [16, 0, 16, 32, 32, 32, 64, 64, 64]


def test_blocks_that_only_one_removes_are_told() -> None:
    first, second = replace(HALF, removed=("a.1", "a.2")), replace(HALF, removed=("a.2", "b"))
    found = diff(first, second)
    assert found and found.groups == () and (found.first_removed, found.second_removed) == (("a.1",), ("b",))
    assert str(found).splitlines() == [
        "the same channels are kept in all 2 groups",
        "  only the first removes the blocks a.1",
        "  only the second removes the blocks b",
    ]
    assert not diff(first, first)
