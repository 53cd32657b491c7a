from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from regrow.errors import PruningError
from regrow.pruning.evidence_curvature import DRAWS, TEMPERATURE, curvature, hessian_gradient
from regrow.pruning.evidence_look import Look
from regrow.randomness import generator

NUMBERS = generator(0, "curvature")
IMAGES, LABELS = torch.randn(12, 3, generator=NUMBERS, dtype=torch.float64), torch.arange(12) % 2
BATCHES = [(IMAGES[:7], LABELS[:7]), (IMAGES[7:], LABELS[7:])]


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4, bias=False), nn.Tanh(), nn.Linear(4, 2, bias=False)).double()


def look(network: nn.Module, batches: list[tuple[Tensor, Tensor]], seed: int = 0) -> Look:
    return Look(network=network, criterion="mine", names=("0.weight", "2.weight"), batches=batches, seed=seed)


def exact(network: nn.Module, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """Hessian matrix and gradient of the mean loss in all 20 weights, entry by entry."""
    first, second = (network.get_parameter(name).detach() for name in ("0.weight", "2.weight"))

    def loss(flat: Tensor) -> Tensor:
        hidden = (IMAGES @ flat[:12].reshape(4, 3).T).tanh()
        return functional.cross_entropy(hidden @ flat[12:].reshape(2, 4).T / temperature, LABELS)

    point = torch.cat([first.flatten(), second.flatten()])
    found: Tensor = torch.autograd.functional.hessian(loss, point)
    return found, torch.autograd.functional.jacobian(loss, point)


def flat(found: dict[str, Tensor]) -> Tensor:
    return torch.cat([one.flatten() for one in found.values()])


def test_the_mean_of_many_draws_is_the_diagonal_of_the_hessian() -> None:
    network = small()
    hessian, _ = exact(network)
    rounds = 150
    draws = torch.stack([flat(curvature(look(network, [(IMAGES, LABELS)], seed))) for seed in range(rounds)])
    apart = hessian - torch.diag(hessian.diag())
    deviation = (apart.square().sum(dim=1) / (rounds * DRAWS)).sqrt()
    assert bool(((draws.mean(dim=0) - hessian.diag()).abs() < 4.5 * deviation + 1e-12).all())
    assert bool((draws.std(dim=0) * DRAWS**0.5 < 2 * apart.square().sum(dim=1).sqrt()).all())


def test_the_hessian_times_the_gradient_is_exact_over_all_batches_at_the_temperature_of_the_source() -> None:
    network = small()
    hessian, slope = exact(network, TEMPERATURE)
    torch.testing.assert_close(flat(hessian_gradient(look(network, BATCHES))), hessian @ slope)


def test_draws_follow_the_seed() -> None:
    network = small()
    first, again, other = (flat(curvature(look(network, BATCHES, seed))) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_attention_is_derived_twice() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Linear(4, 12)

        def forward(self, tokens: Tensor) -> Tensor:
            q, k, v = self.mix(tokens)[:, None].chunk(3, dim=-1)
            return functional.scaled_dot_product_attention(q, k, v).mean(dim=(1, 2))

    torch.manual_seed(0)
    here = Look(
        network=Attention(), criterion="mine", names=("mix.weight",), batches=[(torch.randn(2, 3, 4), LABELS[:2])]
    )
    assert bool(curvature(here)["mix.weight"].abs().max() > 0)


class Slope(torch.autograd.Function):
    """The derivative of `Once`, which has none itself."""

    @staticmethod
    def forward(_: object, slope: Tensor) -> Tensor:
        return slope * 2

    @staticmethod
    def backward(_: object, *slopes: Tensor) -> Tensor:
        raise NotImplementedError("the derivative for 'Slope' is not implemented")


class Once(torch.autograd.Function):
    """Times two; can be derived once."""

    @staticmethod
    def forward(_: object, values: Tensor) -> Tensor:
        return values * 2

    @staticmethod
    def backward(_: object, *slopes: Tensor) -> Tensor:
        result: Tensor = Slope.apply(slopes[0])
        return result


def test_an_operation_without_second_derivatives_is_named() -> None:
    class Network(nn.Linear):
        def forward(self, values: Tensor) -> Tensor:
            result: Tensor = Once.apply(super().forward(values))
            return result

    here = Look(network=Network(3, 2).double(), criterion="mine", names=("weight",), batches=BATCHES)
    with pytest.raises(PruningError, match=r"mine needs second derivatives.*'Slope'.*Use taylor or fisher"):
        curvature(here)
