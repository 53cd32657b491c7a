from __future__ import annotations

import numpy as np
import torch

from regrow.pruning.reconstruction_fit import Spread, damped_solve


def test_the_solution_is_numpys_where_the_samples_determine_it() -> None:
    torch.manual_seed(0)
    values_NF, target_NO = torch.randn(200, 6, dtype=torch.float64), torch.randn(200, 3, dtype=torch.float64)
    found_FO = damped_solve(values_NF.T @ values_NF, values_NF.T @ target_NO)
    solved_FO = np.linalg.lstsq(values_NF.numpy(), target_NO.numpy(), rcond=None)[0]
    assert np.allclose(found_FO.numpy(), solved_FO, rtol=1e-3, atol=1e-5)


def test_what_the_samples_do_not_determine_is_left_alone() -> None:
    values_NF = torch.tensor([[1.0, 0.0, 2.0], [3.0, 0.0, 6.0]], dtype=torch.float64)
    target_NO = torch.tensor([[5.0], [15.0]], dtype=torch.float64)
    found_FO = damped_solve(values_NF.T @ values_NF, values_NF.T @ target_NO)
    assert torch.allclose(found_FO, torch.tensor([[1.0], [0.0], [2.0]], dtype=torch.float64), atol=1e-3)


def test_products_that_rounding_left_indefinite_are_solved_with_more_damping() -> None:
    products_FF = torch.diag(torch.tensor([1.0, 1.0, -0.01], dtype=torch.float64))
    found_FO = damped_solve(products_FF, torch.ones(3, 1, dtype=torch.float64))
    assert found_FO.isfinite().all()
    assert torch.allclose(found_FO[:2], torch.full((2, 1), 1 / 1.0663, dtype=torch.float64), atol=0.01)


def test_zero_products_give_a_change_of_zero() -> None:
    assert not damped_solve(torch.zeros(2, 2, dtype=torch.float64), torch.zeros(2, 1, dtype=torch.float64)).any()


def test_the_spread_of_batches_is_that_of_all_rows_together() -> None:
    torch.manual_seed(0)
    values_NO, spread = torch.randn(30, 4) + 3, Spread()
    for part in values_NO.split(7):
        spread.add(part)
    assert torch.allclose(spread.deviations(), values_NO.double().var(dim=0, correction=0) * 30, rtol=1e-6)
