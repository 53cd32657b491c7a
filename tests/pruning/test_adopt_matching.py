"""Recognising channels: bit for bit, by direction after training, and not at all."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from regrow.pruning.adopt_matching import in_sequence, match, pair_up


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_equal_rows_are_found_in_any_order() -> None:
    dense = drawn(16, 9)
    found = match([(dense, dense[[7, 3, 12]])], 16, 3)
    assert (found.channels, found.how) == ((7, 3, 12), "exact")


def test_two_tensors_tell_together_what_neither_tells_alone() -> None:
    first, second = torch.tensor([[1.0], [1.0], [2.0], [2.0]]), torch.tensor([[5.0], [6.0], [5.0], [6.0]])
    kept = [1, 2]
    assert match([(first, first[kept]), (second, second[kept])], 4, 2).channels == (1, 2)


def test_a_tensor_that_was_changed_does_not_hide_one_that_was_not() -> None:
    weight, variance = drawn(8, 5), drawn(8, 1, seed=1)
    found = match([(variance, variance[[2, 6]] * 1.01), (weight, weight[[2, 6]])], 8, 2)
    assert (found.channels, found.how) == ((2, 6), "exact")


def test_twins_are_both_right_and_taken_in_order() -> None:
    dense = torch.tensor([[1.0, 2.0], [1.0, 2.0], [3.0, 4.0]])
    assert match([(dense, dense[[1, 2]])], 3, 2).channels == (0, 2)


def test_twins_in_one_tensor_that_differ_in_another_are_not_guessed() -> None:
    same, other = torch.tensor([[1.0], [1.0], [2.0]]), torch.tensor([[1.0], [2.0], [3.0]])
    assert match([(same, same[[0, 2]]), (other, other[[0, 2]] + 0.5)], 3, 2).how == "unknown"


def test_norms_that_were_never_trained_say_nothing() -> None:
    ones = torch.ones(8, 1)
    found = match([(ones, ones[:3])], 8, 3)
    assert (found.channels, found.how) == ((0, 1, 2), "unknown")


def test_zero_and_minus_zero_are_one_number() -> None:
    dense = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    assert match([(dense, torch.tensor([[-0.0, 1.0]]))], 2, 1) == match([(dense, dense[:1])], 2, 1)


@pytest.mark.parametrize("noise", [0.01, 0.3, 1.0])
def test_fine_tuned_rows_are_found_by_direction(noise: float) -> None:
    dense, kept = drawn(64, 72), [*range(63, 31, -1)]
    found = match([(dense, dense[kept] + noise * drawn(32, 72, seed=1))], 64, 32)
    assert (found.channels, found.how) == (tuple(kept), "nearest")
    assert found.cosine == pytest.approx(1 / (1 + noise**2) ** 0.5, abs=0.08)  # of x and x + noise, both normal


@pytest.mark.parametrize("rows", [2, 8])
def test_a_few_rows_of_a_first_layer_are_enough(rows: int) -> None:
    dense = drawn(16, 27)
    assert match([(dense, dense[:rows] + 0.2 * drawn(rows, 27, seed=1))], 16, rows).channels == tuple(range(rows))


def test_statistics_that_all_moved_alike_do_not_hide_weights() -> None:
    weight, variance = drawn(16, 18), drawn(16, 1, seed=1).abs() + 1
    found = match([(weight, weight[:8] + 0.3 * drawn(8, 18, seed=2)), (variance, 40 * variance[:8])], 16, 8)
    assert found.channels == tuple(range(8))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("numbers", [1, 3, 27, 600])
def test_fresh_rows_are_not_recognised(numbers: int, seed: int) -> None:
    found = match([(drawn(64, numbers, seed=seed), drawn(32, numbers, seed=seed + 100))], 64, 32)
    assert (found.channels, found.how) == (tuple(range(32)), "unknown")


def test_half_precision_copies_are_found_by_direction() -> None:
    dense = drawn(16, 27)
    assert match([(dense, dense[[4, 5]].half())], 16, 2).channels == (4, 5)


def test_pairs_are_those_of_the_best_assignment_where_channels_are_distinct() -> None:
    dense = drawn(24, 40)
    likeness = ((dense[::2] + 0.5 * drawn(12, 40, seed=2)) @ dense.T).numpy()
    chosen, reached = pair_up(likeness)
    rows, columns = linear_sum_assignment(likeness, maximize=True)
    assert chosen == tuple(columns.tolist())
    assert np.array_equal(reached, likeness[rows, columns])


def test_no_column_is_used_twice() -> None:
    chosen, _ = pair_up(np.ones((5, 7), dtype=np.float32))
    assert len(set(chosen)) == 5


@pytest.mark.parametrize("seed", range(10))
def test_pairs_in_sequence_are_the_best_of_all_that_increase(seed: int) -> None:
    likeness = drawn(4, 8, seed=seed).numpy()
    chosen, reached = in_sequence(likeness)
    best = max(
        sum(likeness[row, column] for row, column in enumerate(columns)) for columns in combinations(range(8), 4)
    )
    assert list(chosen) == sorted(set(chosen)) and len(chosen) == 4
    assert float(reached.sum()) == pytest.approx(float(best), rel=1e-6)


def test_trained_channels_that_are_hard_to_tell_apart_keep_their_order() -> None:
    dense = drawn(1, 30) + 0.2 * drawn(12, 30, seed=1)
    small = dense[2:10] + 0.2 * drawn(8, 30, seed=2)
    assert match([(dense, small)], 12, 8).channels == tuple(range(2, 10))
