from __future__ import annotations

import pytest
import torch

from regrow.pruning.saliencies import (
    fisher,
    grasp,
    hessian,
    lamp,
    magnitude,
    snip,
    synflow,
    taylor,
    wanda,
)
from regrow.randomness import generator


def lamp_by_hand(weight: torch.Tensor) -> torch.Tensor:
    """The definition, weight by weight: ties go by position."""
    flat = weight.flatten().double().square().tolist()
    order = sorted(range(len(flat)), key=lambda place: (flat[place], place))
    left = {place: sum(flat[other] for other in order[rank:]) for rank, place in enumerate(order)}
    return torch.tensor([flat[place] / left[place] if left[place] else 0.0 for place in range(len(flat))]).reshape(
        weight.shape
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_lamp_is_its_definition_with_ties_and_zeros(dtype: torch.dtype) -> None:
    weight = torch.randint(-3, 4, (5, 4, 3), generator=generator(0)).to(dtype)
    torch.testing.assert_close(lamp(weight).float(), lamp_by_hand(weight).float())


def test_the_largest_weight_of_a_layer_scores_one_and_a_layer_of_zeros_nothing() -> None:
    assert lamp(torch.tensor([[0.1, -7.0]])).max() == 1
    assert lamp(torch.zeros(2, 2)).tolist() == [[0, 0], [0, 0]]


def test_both_ways_of_sorting_give_the_same_scores() -> None:
    weight = torch.randn(40, 50, generator=generator(0))
    weight[3:9] = 0
    weight[20] = -weight[21]
    torch.testing.assert_close(lamp(weight), lamp(weight.double()), rtol=1e-12, atol=0)


def test_lamp_of_torch_pruning_is_the_same_for_rows() -> None:
    library = pytest.importorskip("torch_pruning")
    scores = torch.rand(12, generator=generator(0))
    theirs = library.importance.LAMPImportance()._normalize(scores.clone(), "lamp")
    torch.testing.assert_close(lamp(scores.sqrt()).float(), theirs)


def test_the_square_stands_outside_the_sum_for_channels() -> None:
    weight, gradient = torch.tensor([[2.0, -1.0], [1.0, 1.0]]), torch.tensor([[0.5, 3.0], [1.0, -1.0]])
    assert taylor(weight, gradient, lambda parts: parts.sum(dim=1)).tolist() == [4.0, 0.0]
    assert taylor(weight, gradient).sum(dim=1).tolist() == [10.0, 2.0]


def test_second_order_scores_are_exact_for_a_quadratic_loss_at_its_minimum() -> None:
    # L(w) = 1/2 sum_i a_i (w_i - m_i)^2: what a weight costs at w = m is a_i m_i^2 / 2.
    curved, least = torch.tensor([[4.0, 1.0]]), torch.tensor([[0.5, -3.0]])
    cost = [0.5 * 4.0 * 0.25, 0.5 * 1.0 * 9.0]
    assert hessian(least, curved).flatten().tolist() == cost
    assert fisher(least, curved).flatten().tolist() == cost


def test_no_saliency_changes_its_weight() -> None:
    weight = torch.nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, -4.0]], dtype=torch.float64))
    other = torch.full((2, 2), 3.0, dtype=torch.float64)
    for saliency in (taylor, fisher, hessian, snip, grasp, synflow, wanda):
        assert not saliency(weight, other).requires_grad
    for saliency in (lamp, magnitude):
        assert not saliency(weight).requires_grad
    assert weight.tolist() == [[1, 2], [3, -4]] and other.unique().tolist() == [3]
