from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from regrow.pruning.criteria import l1, l2, random
from regrow.pruning.methods import METHODS
from regrow.randomness import generator
from regrow.table import load

WEIGHT = torch.tensor([[1.0, -2.0], [0.0, 0.5], [3.0, -4.0]])


@pytest.mark.parametrize("name", METHODS)
class TestEveryCriterion:
    def criterion(self, name: str) -> Callable[[Tensor, torch.Generator], Tensor]:
        found: Callable[[Tensor, torch.Generator], Tensor] = load(METHODS[name].target)
        return found

    @pytest.mark.parametrize("shape", [(8, 3, 3, 3), (8, 5), (1, 2, 1, 1)])
    def test_gives_one_finite_score_per_output_channel(self, name: str, shape: tuple[int, ...]) -> None:
        scores_C = self.criterion(name)(torch.randn(shape, generator=generator(0)), generator(1))
        assert scores_C.shape == shape[:1]
        assert bool(scores_C.isfinite().all())

    def test_equal_input_and_seed_give_equal_scores(self, name: str) -> None:
        first, again = (self.criterion(name)(WEIGHT, generator(0)) for _ in range(2))
        assert torch.equal(first, again)

    def test_leaves_the_weight_alone_and_builds_no_graph(self, name: str) -> None:
        weight = torch.nn.Parameter(WEIGHT.clone())
        scores_C = self.criterion(name)(weight, generator(0))
        assert torch.equal(weight.detach(), WEIGHT)
        assert not scores_C.requires_grad

    def test_depends_on_the_seed_only_where_its_row_says_so(self, name: str) -> None:
        first, other = (self.criterion(name)(WEIGHT, generator(seed)) for seed in (0, 1))
        assert torch.equal(first, other) is not METHODS[name].seeded


def test_l1_adds_absolute_weights() -> None:
    assert l1(WEIGHT, generator()).tolist() == [3.0, 0.5, 7.0]


def test_l2_is_the_length_of_the_weights() -> None:
    assert l2(WEIGHT, generator()).tolist() == [5.0**0.5, 0.5, 5.0]


def test_norms_are_added_in_double_precision() -> None:
    tiny = torch.full((1, 2**20), 2.0**-30)
    tiny[0, 0] = 1.0
    assert l1(tiny, generator()).item() == 1 + (2**20 - 1) * 2.0**-30


def test_taking_a_few_rows_at_a_time_changes_no_bit() -> None:
    weight = torch.randn(64, 96, 5, 5, generator=generator(0))
    whole_CF = weight.flatten(1).double()
    assert torch.equal(l1(weight, generator()), whole_CF.abs().sum(dim=1))
    assert torch.equal(l2(weight, generator()), whole_CF.square().sum(dim=1).sqrt())
    sideways = weight.transpose(0, 1)
    assert torch.equal(l1(sideways, generator()), sideways.flatten(1).double().abs().sum(dim=1))


def test_chance_is_uniform() -> None:
    scores = random(torch.zeros(100_000, 1), generator(0))
    assert 0 <= float(scores.min()) < 0.001 and 0.999 < float(scores.max()) < 1
    # The mean of 100,000 uniform draws has the standard deviation 0.0009.
    assert float(scores.mean()) == pytest.approx(0.5, abs=0.005)
