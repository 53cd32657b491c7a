from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Lasso, lars_path

from regrow.pruning.reconstruction_lasso import at_most, lasso_path, strongest

Arrays = tuple[NDArray[np.float64], NDArray[np.float64]]


def problem(seed: int = 0, channels: int = 12) -> Arrays:
    """Correlated columns and a target that some of them make up."""
    numbers = np.random.default_rng(seed)
    design_NC = numbers.normal(size=(300, channels)) @ (
        np.eye(channels) + 0.3 * numbers.normal(size=(channels, channels))
    )
    return design_NC, design_NC @ numbers.uniform(0.5, 2, size=channels) + numbers.normal(size=300)


def products(design_NC: NDArray[np.float64], target_N: NDArray[np.float64]) -> Arrays:
    return design_NC.T @ design_NC, design_NC.T @ target_N


def test_the_path_from_products_is_scikit_learns_on_the_rows_themselves() -> None:
    design_NC, target_N = problem()
    products_CC, right_C = products(design_NC, target_N)
    penalties = np.array([2000.0, 300.0, 40.0])
    path_CP = lasso_path(products_CC, right_C, penalties)
    for penalty, found_C in zip(penalties, path_CP.T, strict=True):
        solved = Lasso(alpha=penalty / len(target_N), fit_intercept=False, tol=1e-8).fit(design_NC, target_N)
        assert np.allclose(found_C, solved.coef_, atol=0.02)


def test_every_point_of_the_path_meets_the_conditions_of_a_minimum() -> None:
    products_CC, right_C = products(*problem(1))
    penalty = float(np.abs(right_C).max() / 20)
    beta_C = lasso_path(products_CC, right_C, np.array([penalty]))[:, 0]
    slope_C = right_C - products_CC @ beta_C
    assert np.allclose(slope_C[beta_C != 0], penalty * np.sign(beta_C[beta_C != 0]), rtol=0.02)
    assert (np.abs(slope_C[beta_C == 0]) <= penalty * 1.02).all()


@pytest.mark.parametrize("width", [1, 4, 8, 11])
def test_as_many_stay_as_asked_and_they_are_those_of_the_exact_path_by_least_angles(width: int) -> None:
    design_NC, target_N = problem(2)
    products_CC, right_C = products(design_NC, target_N)
    kept = strongest(torch.from_numpy(products_CC), torch.from_numpy(right_C), width)
    _, _, exact_CP = lars_path(design_NC, target_N, method="lasso")
    counts_P = (exact_CP != 0).sum(axis=0)
    exact = set(np.flatnonzero(exact_CP[:, int(np.flatnonzero(counts_P <= width).max())]))
    assert len(kept) == width
    assert list(kept) == sorted(kept)
    assert len(set(kept) & exact) >= min(width, len(exact)) - 1  # steps of the penalty against its exact kinks


def test_the_penalty_grows_until_at_most_width_are_left() -> None:
    products_CC, right_C = products(*problem(3))
    beta_C, earlier_C = at_most(products_CC, right_C, 5)
    assert (beta_C != 0).sum() <= 5 < (earlier_C != 0).sum()


def test_with_independent_columns_the_largest_products_stay_as_soft_thresholds_say() -> None:
    """A = I: beta = sign(b) max(|b| - lambda, 0), so the order of |b| is the order in which coefficients leave."""
    right_C = torch.tensor([0.5, -3.0, 1.0, 2.0, -0.1], dtype=torch.float64)
    assert strongest(torch.eye(5, dtype=torch.float64), right_C, 2) == (1, 3)
    found_C = lasso_path(np.eye(5), right_C.numpy(), np.array([0.75]))[:, 0]
    assert np.allclose(found_C, [0, -2.25, 0.25, 1.25, 0], atol=1e-6)


def test_where_nothing_is_wanted_the_channels_with_the_most_to_say_stay() -> None:
    products_CC = torch.diag(torch.tensor([1.0, 5.0, 0.0, 3.0], dtype=torch.float64))
    assert strongest(products_CC, torch.zeros(4, dtype=torch.float64), 2) == (1, 3)


def test_dead_channels_come_last() -> None:
    products_CC = torch.diag(torch.tensor([0.0, 2.0, 0.0, 1.0], dtype=torch.float64))
    assert strongest(products_CC, torch.tensor([0.0, 2.0, 0.0, 1.0], dtype=torch.float64), 3) == (0, 1, 3)
