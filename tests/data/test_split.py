from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regrow.data.source import Labels
from regrow.data.split import Split, draw, quota, split
from regrow.randomness import derive_seed

LABELS = np.array([0] * 50 + [1] * 30 + [2] * 20)


def counts(positions: Labels) -> list[int]:
    return np.bincount(LABELS[positions], minlength=3).tolist()


def test_parts_have_exactly_the_sizes_asked_for_in_the_proportions_of_the_classes() -> None:
    found = split(LABELS, validation=8, test=20, seed=0)
    assert found.test is not None
    assert counts(found.test) == [10, 6, 4]
    assert counts(found.validation) == [4, 2, 2]  # of 40, 24, 16 left: 4, 2.4, 1.6
    assert counts(found.train) == [36, 22, 14]


def test_parts_are_disjoint_ascending_and_complete() -> None:
    found = split(LABELS, validation=7, test=13, seed=3)
    assert found.test is not None
    together = np.concatenate([found.train, found.validation, found.test])
    assert sorted(together.tolist()) == list(range(100))
    for part in (found.train, found.validation, found.test):
        assert (np.diff(part) > 0).all()


def test_a_data_set_with_its_own_test_set_gives_none_away() -> None:
    found = split(LABELS, validation=10, test=None, seed=0)
    assert found.test is None
    assert len(found.train) == 90


def test_the_same_seed_gives_the_same_split_and_another_another() -> None:
    one, two, other = (split(LABELS, validation=10, test=None, seed=seed) for seed in (1, 1, 2))
    assert one.digest() == two.digest()
    assert one.digest() != other.digest()
    assert not np.array_equal(one.validation, other.validation)


def test_the_digest_is_sha256_of_the_positions() -> None:
    # printf '{"test":null,"train":[0],"validation":[1]}' | sha256sum
    expected = "c5a8d7b99ae4f95d4c866c8b0057a31fb46f58c6aa8681ed1d369a56e6f81c44"
    assert Split(np.array([0]), np.array([1]), None).digest() == expected


def test_the_examples_whose_hashed_position_comes_first_are_held_out() -> None:
    by_hash = sorted(range(9), key=lambda position: derive_seed(5, "validation", position))
    assert split(np.zeros(9, np.int64), validation=3, test=None, seed=5).validation.tolist() == sorted(by_hash[:3])


def test_the_size_of_validation_does_not_change_the_test_set() -> None:
    one, other = (split(LABELS, validation=count, test=20, seed=0) for count in (5, 40))
    assert one.test is not None
    assert other.test is not None
    assert np.array_equal(one.test, other.test)


def test_a_smaller_validation_set_of_one_class_is_part_of_a_larger() -> None:
    labels, everything = np.zeros(50, np.int64), np.arange(50)
    assert set(draw(labels, everything, 5, 0, "x").tolist()) < set(draw(labels, everything, 9, 0, "x").tolist())


@pytest.mark.parametrize(
    ("sizes", "count", "expected"),
    [([50, 30, 20], 5, [3, 1, 1]), ([1, 1, 1], 2, [1, 1, 0]), ([5], 3, [3]), ([10, 1], 1, [1, 0])],
)
def test_quotas_by_hand(sizes: list[int], count: int, expected: list[int]) -> None:
    assert quota(sizes, count) == expected


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.floats(0, 1))
def test_quotas_add_up_and_are_off_by_less_than_one(sizes: list[int], share: float) -> None:
    count = int(share * sum(sizes))
    found = quota(sizes, count)
    assert sum(found) == count
    assert all(0 <= n <= size for n, size in zip(found, sizes, strict=True))
    assert all(abs(n - count * size / sum(sizes)) < 1 for n, size in zip(found, sizes, strict=True))
