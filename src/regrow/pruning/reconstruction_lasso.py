"""LASSO with a penalty that grows until few enough coefficients are left, and exactly so many of the strongest."""

from __future__ import annotations

import warnings
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

_STEPS: Final = 60
_FINER: Final = 20
_LOWEST: Final = 1e-4
"""Smallest penalty, as a share of the one that leaves no coefficient."""


def strongest(products_CC: Tensor, right_C: Tensor, width: int) -> tuple[int, ...]:
    """The `width` coefficients of a LASSO that matter most, increasing.

    The problem is   minimise over beta  beta^T A beta / 2 - b^T beta + lambda |beta|_1   with A = `products_CC` and b = `right_C`.
    lambda grows, in steps of a few per cent, until at most `width` coefficients are not zero. The largest of them in magnitude stay; where
    there are fewer than `width`, those follow that were largest one step earlier, then those with the largest A[j, j].
    """
    beta_C, earlier_C = at_most(products_CC.numpy(), right_C.numpy(), width)
    rank = np.lexsort((-products_CC.diagonal().numpy(), -np.abs(earlier_C), -np.abs(beta_C)))
    return tuple(sorted(int(index) for index in rank[:width]))


def at_most(
    products_CC: NDArray[np.float64], right_C: NDArray[np.float64], width: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The coefficients at the first penalty that leaves at most `width` of them, and those one step before."""
    highest = float(np.abs(right_C).max(initial=0.0))
    if highest <= 0:
        return np.zeros_like(right_C), np.zeros_like(right_C)
    penalties = np.geomspace(highest, highest * _LOWEST, _STEPS)
    path_CP = lasso_path(products_CC, right_C, penalties)
    found = _last_with(path_CP, width)
    if found + 1 == len(penalties):
        return path_CP[:, found], path_CP[:, found]
    penalties = np.geomspace(penalties[found], penalties[found + 1], _FINER)
    path_CP = lasso_path(products_CC, right_C, penalties)
    found = _last_with(path_CP, width)
    return path_CP[:, found], path_CP[:, min(found + 1, len(penalties) - 1)]


def _last_with(path_CP: NDArray[np.float64], width: int) -> int:
    """The smallest penalty that leaves at most `width` coefficients; the first column has none at all."""
    return int(np.flatnonzero((path_CP != 0).sum(axis=0) <= width).max(initial=0))


def lasso_path(
    products_CC: NDArray[np.float64], right_C: NDArray[np.float64], penalties: NDArray[np.float64]
) -> NDArray[np.float64]:
    """coefficients_CP, one column for each of the falling penalties, by scikit-learn's coordinate descent.

    It takes a design and a target, not their products, so it gets a square root of A: any X with X^T X = A and X^T y = b serves.
    """
    from sklearn.linear_model import lasso_path as descend  # a second of import that only this method pays

    values_C, vectors_CC = np.linalg.eigh(products_CC)
    roots_C = np.sqrt(np.maximum(values_C, values_C.max(initial=0.0) * 1e-12))
    design_CC = roots_C[:, None] * vectors_CC.T
    target_C = (vectors_CC.T @ right_C) / np.where(roots_C > 0, roots_C, 1.0)
    with warnings.catch_warnings():
        # Coordinates that hardly matter may not have settled; ranks are taken, not values.
        warnings.simplefilter("ignore")
        _, coefficients_CP, _ = descend(
            design_CC, target_C, alphas=penalties / len(right_C), precompute=True, max_iter=2000
        )
    return np.asarray(coefficients_CP, dtype=np.float64)
