"""Faults are named by their keys and raised together."""

from __future__ import annotations

import pytest

from regrow.config.faults import ProtocolFault, fault, key_of, overlaps, refuse, twice
from regrow.errors import ConfigError, ProtocolError

UNFAIR = ProtocolFault(where="study", key="dense.trained_on", rule="seen")


def test_no_faults_raise_nothing() -> None:
    refuse([])


def test_all_faults_are_raised_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        refuse([fault("a", "wrong"), fault("b", "wrong too", "do this")])
    assert str(caught.value) == "study: a: wrong\nstudy: b: wrong too\n    do this"
    assert [one.key for one in caught.value.faults] == ["a", "b"]


def test_unfairness_alone_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError, match=r"dense\.trained_on: seen"):
        refuse([UNFAIR])


def test_unfairness_beside_a_slip_is_told_with_it() -> None:
    with pytest.raises(ConfigError) as caught:
        refuse([fault("a", "wrong"), UNFAIR])
    assert len(caught.value.faults) == 2


PAIRS = [
    ("prune", "prune", True),
    ("prune", "prune.fraction", True),
    ("prune.fraction", "prune", True),
    ("prune #2.fraction", "prune.fraction", True),
    ("prune #2.fraction", "prune #1", True),
    ("arms #3", "arms", True),
    ("train.lr", "train.lrs", False),
    ("train.lr", "retrain.lr", False),
]


@pytest.mark.parametrize(("one", "two", "expected"), PAIRS)
def test_keys_overlap_when_one_lies_inside_the_other(one: str, two: str, expected: bool) -> None:
    assert overlaps(one, two) is expected
    assert overlaps(two, one) is expected


def test_tables_are_counted_from_one_and_only_where_there_are_several() -> None:
    assert key_of("data", 0, ["x"]) == "data"
    assert key_of("data", 1, ["x", "y"]) == "data #2"
    assert key_of("data", 1, ["x", "y"], "root") == "data #2.root"


def test_twice_finds_each_repeated_value_once() -> None:
    assert twice([3, 1, 3, 2, 1, 3]) == [3, 1]
