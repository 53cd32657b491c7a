"""Least squares on sums of products: what a layer reads is streamed, and only its second moments are kept.

Shape suffixes: N = sampled rows, O = outputs, F = features (what a fit has one coefficient for).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

DAMPING: Final = 1e-4
"""Of the mean squared feature. Features that the samples do not tell apart then keep the weights they had."""

_TINY: Final = 1e-30


def damped_solve(products_FF: Tensor, right_FO: Tensor) -> Tensor:
    """The change_FO that minimises |target - X change|^2 + d |change|^2, from X^T X and X^T target, both float64.

    d is `DAMPING` times the mean of the diagonal of X^T X: small beside what the samples say, and enough to leave alone what they say
    nothing about (a channel that is always zero, fewer samples than features). Changes are damped, not weights, so the answer
    there is the weight as it was. Where rounding left X^T X indefinite all the same, d is raised tenfold until it is not.
    """
    mean = products_FF.diagonal().mean().clamp_min(_TINY)
    damping = DAMPING
    while True:
        damped_FF = products_FF.clone()
        damped_FF.diagonal().add_(damping * mean)
        factor_FF, failed = torch.linalg.cholesky_ex(damped_FF)
        if not failed:
            return torch.cholesky_solve(right_FO, factor_FF)
        damping *= 10


@dataclass
class Spread:
    """How much outputs vary around their means, streamed."""

    values: int = 0
    total: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    squares: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))

    def add(self, values_NO: Tensor) -> None:
        """Some more rows."""
        self.values += len(values_NO)
        self.total = self.total.to(values_NO.device) + values_NO.sum(dim=0, dtype=torch.float64)
        self.squares = self.squares.to(values_NO.device) + values_NO.double().square().sum(dim=0)

    def deviations(self) -> Tensor:
        """Sums over the rows of squared deviations from the mean, one per output.

        >>> spread = Spread()
        >>> spread.add(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
        >>> spread.deviations()
        tensor([2., 0.], dtype=torch.float64)
        """
        return (self.squares - self.total.square() / max(self.values, 1)).clamp_min(0)
