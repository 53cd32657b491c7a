"""Sparse structure selection: factors on blocks or channels are trained to exactly zero; what has factor zero is removed.

    loss = task loss + s * sum |lambda|,      lambda >= 0, 1 at the start, no weight decay

Each factor multiplies the output of a residual block's branch, or of one channel. Factors are moved by accelerated proximal gradient
steps (section 3.2 of the source, in the form of its program), all other weights by the study's optimiser:

    z      = soft_threshold(lambda - lr * d loss / d lambda, lr * s)
    v      = z - lambda + m * v
    lambda = max(0, z + m * v)

with momentum m = 0.9. At the end the factors that are left are multiplied into the weights in front of them, so the network is an
ordinary one and computes the same. Given an example, that is tried with numbers before anything is trained.

Source: Huang and Wang 2018, "Data-Driven Sparse Structure Selection for Deep Neural Networks", arXiv:1707.01213; its program uses
s = 0.01 for ResNets on ImageNet.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from regrow.channels.identities import lively
from regrow.errors import PruningError
from regrow.networks.groups import Group
from regrow.pruning.factor_places import Place, evaluated, first_of, places_of_blocks, places_of_channels

STRENGTH: Final = 0.01
MOMENTUM: Final = 0.9

TOLERANCE: Final = 1e-4
"""Largest difference that folding may make, of the output's largest number: rounding, with room for deep networks."""


class Structure:
    """The factors, as an intervention in a training; see the top of this module.

    Args:
        names: what the factors belong to, e.g. blocks or groups, each with how many factors it has.
        places: where they multiply; `structure_of_blocks` and `structure_of_channels` find them.
        strength: s, in the units of the loss per unit of a factor.
        momentum: m.
    """

    def __init__(
        self,
        names: Mapping[str, int],
        places: Sequence[Place],
        strength: float = STRENGTH,
        momentum: float = MOMENTUM,
    ) -> None:
        self._names, self._places = dict(names), tuple(places)
        self._strength, self._momentum = strength, momentum
        self.factors = nn.Parameter(torch.ones(sum(names.values())))
        self._velocity = torch.zeros_like(self.factors)
        self._hooks: list[RemovableHandle] = []

    def description(self) -> dict[str, Any]:
        """What a checkpoint must agree in."""
        return {"factors": self._names, "strength": self._strength, "momentum": self._momentum}

    def attach(self, network: nn.Module) -> None:
        """Multiply from now on, on the network's device."""
        device = next(network.parameters()).device
        self.factors.data = self.factors.data.to(device)
        self._velocity = self._velocity.to(device)
        self._hooks = [place.module.register_forward_hook(self._hook(place)) for place in self._places]

    def owned(self) -> Sequence[nn.Parameter]:
        """The factors."""
        return (self.factors,)

    def before_step(self, lr: float) -> None:
        """Nothing."""

    @torch.no_grad()
    def after_step(self, lr: float) -> None:
        """One accelerated proximal gradient step of all factors."""
        if self.factors.grad is None:
            raise PruningError(
                "no factor of sss took part in the forward pass: the network does not call the layers that they stand behind. Give an "
                "example when the sparsifier is made, and the layer is named."
            )
        wanted = self.factors - lr * self.factors.grad
        z = wanted.sign() * (wanted.abs() - lr * self._strength).clamp_(min=0)
        self._velocity.mul_(self._momentum).add_(z - self.factors)
        self.factors.copy_((z + self._momentum * self._velocity).clamp_(min=0))

    def after_epoch(self, done: int, epochs: int) -> None:
        """Nothing."""

    def state(self) -> dict[str, Tensor]:
        """The factors and their velocity."""
        return {"factors": self.factors.detach(), "velocity": self._velocity}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Both again."""
        self.factors.data.copy_(tensors["factors"])
        self._velocity.copy_(tensors["velocity"])

    def finish(self) -> None:
        """Stop multiplying, and multiply the factors into the weights in front of them; once, however often it is called."""
        if not self._hooks:
            return
        self._detach()
        for place in self._places:
            place.fold(self.factors)

    def scales(self) -> dict[str, Tensor]:
        """The factors of every block or group."""
        factors = self.factors.detach().to("cpu", torch.float64)
        parts = torch.split(factors, list(self._names.values()))
        return {name: part.clone() for name, part in zip(self._names, parts, strict=True)}

    def check(self, network: nn.Module, example: Any) -> None:
        """Try with numbers whether folding changes nothing: `PruningError`, naming the place, where it does.

        Costs two forward passes, in eval mode. Weights are shaken meanwhile, since branches that begin at zero would hide what is wrong,
        and have their bits again afterwards.
        """
        example = lively(example)
        with _shaken(network):
            if self._folds(network, example, self._places):
                return
            wrong = [place.name for place in self._places if not self._folds(network, example, (place,))]
        raise PruningError(
            f"factors behind {wrong[0] if wrong else 'the layers of this network'} cannot be multiplied into its weights: the network "
            "then computes something else. Leave what it belongs to out with prune.skip, or use another method."
        )

    def _folds(self, network: nn.Module, example: Any, places: Sequence[Place]) -> bool:
        trial = Structure(self._names, places)
        trial.attach(network)
        factors = trial.factors.data
        factors.copy_(torch.linspace(0.5, 1.5, len(factors)))
        expected = evaluated(network, example)
        before = [(one, one.detach().clone()) for place in places for one in place.scaled]
        trial.finish()
        found = evaluated(network, example)
        for parameter, value in reversed(before):
            parameter.data.copy_(value)
        apart, scale = float((found - expected).abs().max()), float(expected.abs().max())
        return apart <= TOLERANCE * scale or not math.isfinite(scale)

    def _detach(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _hook(self, place: Place) -> Any:
        def multiply(module: nn.Module, inputs: Any, output: Any) -> Any:
            del module, inputs
            tensor = first_of(output)
            product = tensor * place.over(self.factors, tensor)
            return (product, *output[1:]) if isinstance(output, tuple) else product

        return multiply


@contextlib.contextmanager
def _shaken(network: nn.Module) -> Iterator[None]:
    """Every parameter a little off inside the block, by the same noise every time."""
    numbers = torch.Generator().manual_seed(0)
    before = [(one, one.detach().clone()) for one in network.parameters()]
    try:
        for parameter, value in before:
            spread = float(value.float().std(correction=0)) or 0.5
            noise = torch.randn(value.shape, generator=numbers).mul_(0.1 * spread)
            parameter.data.add_(noise.to(value.device, value.dtype))
        yield
    finally:
        for parameter, value in before:
            parameter.data.copy_(value)


def structure_of_blocks(
    network: nn.Module, blocks: Mapping[str, Sequence[str]], example: Any = None, **how: Any
) -> Structure:
    """One factor for every residual block: `blocks` gives the modules at the ends of its branches.

    Raises `PruningError` where there is no block, where an end has no weights that could take the factor in and, given an example
    input, where doing so would change the network.
    """
    if not blocks:
        raise PruningError(
            'sss removes residual blocks, and the network has none that can go. Use prune.remove = "channels", or another method.'
        )
    made = Structure(dict.fromkeys(blocks, 1), places_of_blocks(network, blocks), **how)
    if example is not None:
        made.check(network, example)
    return made


def structure_of_channels(network: nn.Module, groups: Sequence[Group], example: Any = None, **how: Any) -> Structure:
    """One factor for every channel of every group, behind all norms that hold it, or, without a norm, behind what computes it.

    Raises `PruningError` as `structure_of_blocks` does.
    """
    made = Structure(
        {group.name: group.channels for group in groups}, places_of_channels(network, groups, example), **how
    )
    if example is not None:
        made.check(network, example)
    return made
