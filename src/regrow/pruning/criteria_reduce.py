"""From scores of single weights to scores of a group: make them comparable, and make one of several.

Shape suffix: C = channels of one group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor

from regrow.errors import ConfigError, did_you_mean


def combine(scores: Sequence[Tensor], reduce: str, normalise: str) -> Tensor:
    """scores_C of a group from those of the weights that compute its channels, all float64.

    `normalise` is applied to each weight's scores, so that fan-in does not count, then `reduce` makes one number of several, then
    `normalise` is applied to that, so that groups can be ranked together. `lamp` ranks within a whole, so it is applied to the group only,
    and several weights are made comparable by their means.

    >>> few, many = torch.tensor([1.0, 3.0]), torch.tensor([300.0, 100.0])
    >>> combine([few, many], "sum", "mean"), combine([few, many], "max", "none")
    (tensor([1., 1.]), tensor([300., 100.]))
    """
    whole = _found(NORMALISATIONS, normalise, "normalise")
    each = _found(NORMALISATIONS, "mean", "normalise") if normalise == "lamp" else whole
    one = _found(REDUCTIONS, reduce, "reduce")
    if len(scores) == 1:
        return whole(scores[0])
    return whole(one(torch.stack([each(scores_C) for scores_C in scores])))


def check_words(reduce: str, normalise: str) -> None:
    """Raise `ConfigError` for a word that is none."""
    _found(REDUCTIONS, reduce, "reduce")
    _found(NORMALISATIONS, normalise, "normalise")


def _found(table: Mapping[str, Callable[[Tensor], Tensor]], word: str, what: str) -> Callable[[Tensor], Tensor]:
    if word not in table:
        raise ConfigError(f"{what} is one word of a few; found {word!r}. {did_you_mean(word, table)}")
    return table[word]


def _over(scores_C: Tensor, size: Tensor) -> Tensor:
    """Divided by a size; scores that are all zero say nothing, and stay."""
    return scores_C if size == 0 else scores_C / size


def _known(scores_C: Tensor) -> Tensor:
    """Sizes of the finite scores: one score that is NaN or infinite must not spoil those of all others."""
    finite = scores_C[scores_C.isfinite()].abs()
    return finite if len(finite) else scores_C.new_zeros(1)


def _gaussian(scores_C: Tensor) -> Tensor:
    finite = scores_C[scores_C.isfinite()]
    if len(finite) == 0:
        return scores_C
    return _over(scores_C - finite.mean(), finite.std(correction=0))


def _lamp(scores_C: Tensor) -> Tensor:
    """Each squared score over the sum of itself and all larger ones."""
    order_C = scores_C.argsort(stable=True)
    square_C = scores_C[order_C].square()
    larger_C = square_C.flip(0).cumsum(0).flip(0)
    shares_C = torch.where(larger_C == 0, 0.0, square_C / larger_C)
    return torch.empty_like(scores_C).scatter_(0, order_C, shares_C)


NORMALISATIONS: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "none": lambda scores_C: scores_C,
    "mean": lambda scores_C: _over(scores_C, _known(scores_C).mean()),
    "sum": lambda scores_C: _over(scores_C, _known(scores_C).sum()),
    "max": lambda scores_C: _over(scores_C, _known(scores_C).max()),
    "gaussian": _gaussian,
    "lamp": _lamp,
}
"""By what scores are divided: nothing, the mean, sum or maximum of their absolute values; `gaussian` subtracts the mean and divides by the
standard deviation; `lamp` is Lee et al. 2021, arXiv:2010.07611, on channels: squares over the sum of all that are as large."""

REDUCTIONS: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "sum": lambda scores_WC: scores_WC.sum(dim=0),
    "mean": lambda scores_WC: scores_WC.mean(dim=0),
    "max": lambda scores_WC: scores_WC.amax(dim=0),
    "prod": lambda scores_WC: scores_WC.prod(dim=0),
    "first": lambda scores_WC: scores_WC[0],
}
"""How the scores of several weights, W of them, become one."""
