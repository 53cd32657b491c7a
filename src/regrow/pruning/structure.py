"""Sparse structure selection: factors on blocks or channels are trained to exactly zero; what has factor zero is removed.

    loss = task loss + s * sum |lambda|,      lambda >= 0, 1 at the start, no weight decay

Each factor multiplies the output of a residual block's branch, or of one channel. Factors are moved by accelerated proximal gradient
steps (section 3.2 of the source, in the form of its program), all other weights by the study's optimiser:

    z      = soft_threshold(lambda - lr * d loss / d lambda, lr * s)
    v      = z - lambda + m * v
    lambda = max(0, z + m * v)

with momentum m = 0.9. At the end the factors that are left are multiplied into the weights in front of them, so the network is an
ordinary one and computes the same.

Source: Huang and Wang 2018, "Data-Driven Sparse Structure Selection for Deep Neural Networks", arXiv:1707.01213; its program uses
s = 0.01 for ResNets on ImageNet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from regrow.errors import PruningError
from regrow.networks.groups import Group
from regrow.pruning.norm_scales import is_norm, norm_scales

STRENGTH: Final = 0.01
MOMENTUM: Final = 0.9

_LAST: Final = (nn.Linear, nn.LayerNorm, nn.RMSNorm)
"""Modules whose channels lie along the last axis; those of all others along axis 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A module whose output is multiplied by factors."""

    module: nn.Module
    numbers: Tensor
    """The number of the factor at each index along the channel axis, int64; the number of factors where there is none (times 1).
    A single number where all of the output has one factor."""

    scaled: tuple[nn.Parameter, ...]
    """Parameters whose first axis is the output's channel axis: what takes the factors in at the end."""


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

    def attach(self, network: nn.Module) -> None:
        """Multiply from now on, on the network's device."""
        device = next(network.parameters()).device
        self.factors.data = self.factors.data.to(device)
        self._velocity = self._velocity.to(device)
        self._hooks = [place.module.register_forward_hook(self._hook(place, device)) for place in self._places]

    def owned(self) -> Sequence[nn.Parameter]:
        """The factors."""
        return (self.factors,)

    def before_step(self, lr: float) -> None:
        """Nothing."""

    @torch.no_grad()
    def after_step(self, lr: float) -> None:
        """One accelerated proximal gradient step of all factors."""
        assert self.factors.grad is not None
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

    @torch.no_grad()
    def finish(self) -> None:
        """Multiply the factors into the weights in front of them, and stop multiplying."""
        for hook in self._hooks:
            hook.remove()
        known = self._with_one()
        for place in self._places:
            factor = known[place.numbers.to(known.device)]
            for parameter in place.scaled:
                shape = (-1, *[1] * (parameter.ndim - 1)) if factor.ndim else ()
                parameter.mul_(factor.reshape(shape).to(parameter.dtype))

    def scales(self) -> dict[str, Tensor]:
        """The factors of every block or group."""
        factors = self.factors.detach().to("cpu", torch.float64)
        parts = torch.split(factors, list(self._names.values()))
        return {name: part.clone() for name, part in zip(self._names, parts, strict=True)}

    def _with_one(self) -> Tensor:
        return torch.cat([self.factors, self.factors.new_ones(1)])

    def _hook(self, place: Place, device: torch.device) -> Any:
        numbers = place.numbers.to(device)
        last = isinstance(place.module, _LAST)

        def multiply(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
            del module, inputs
            factor = self._with_one()[numbers].to(output.dtype)
            if factor.ndim and not last:
                factor = factor.reshape(-1, *[1] * (output.ndim - 2))
            return output * factor

        return multiply


def structure_of_blocks(network: nn.Module, blocks: Mapping[str, Sequence[str]], **how: Any) -> Structure:
    """One factor for every residual block: `blocks` gives the modules at the ends of its branches.

    Raises `PruningError` where there is no block, and where an end has no weights that could take the factor in.
    """
    if not blocks:
        raise PruningError(
            'sss removes residual blocks, and the network has none that can go. Use prune.remove = "channels", or another method.'
        )
    places = []
    for number, (name, ends) in enumerate(blocks.items()):
        for end in ends:
            module = network.get_submodule(end)
            places.append(Place(module, torch.tensor(number), _taking_in(module, f"{end}, the end of block {name},")))
    return Structure(dict.fromkeys(blocks, 1), places, **how)


def structure_of_channels(network: nn.Module, groups: Sequence[Group], **how: Any) -> Structure:
    """One factor for every channel of every group, behind all norms that hold it, or, without a norm, behind what computes it."""
    first, firsts = 0, {}
    for group in groups:
        firsts[group.name] = first
        first += group.channels
    factors: dict[str, Tensor] = {}
    for group in groups:
        for tensor, start, channels in _homes(network, group):
            size = network.get_parameter(tensor).shape[0]
            found = factors.setdefault(tensor.rpartition(".")[0], torch.full((size,), first))
            found[start : start + len(channels)] = firsts[group.name] + channels
    places = []
    for name, factor_F in factors.items():
        module = network.get_submodule(name)
        places.append(Place(module, factor_F, _taking_in(module, name)))
    return Structure({group.name: group.channels for group in groups}, places, **how)


def _homes(network: nn.Module, group: Group) -> list[tuple[str, int, Tensor]]:
    """Tensor, first index and channels of every place behind which a group's channels are multiplied."""
    norms = norm_scales(network, group)
    if norms:
        return [(norm.tensor, norm.start, norm.channels) for norm in norms]
    producers = group.slices[: group.producers]
    wrong = [part.tensor for part in producers if part.axis != 0 or not part.tensor.endswith(".weight")]
    if wrong:
        raise PruningError(
            f"sss multiplies the outputs of layers, and the channels of {group.name} are computed by {wrong[0]} along its axis "
            f"{producers[0].axis}. Leave the group out with prune.skip, or use another method."
        )
    return [(part.tensor, part.start, torch.tensor(list(part.channels_at(group.channels)))) for part in producers]


def _taking_in(module: nn.Module, what: str) -> tuple[nn.Parameter, ...]:
    """Weight and bias that scale all of a module's output: its own, or those of its last layer."""
    owner = module if isinstance(getattr(module, "weight", None), nn.Parameter) else _last_layer(module)
    weight = None if owner is None else owner.weight
    if owner is None or not isinstance(weight, nn.Parameter):
        raise PruningError(
            f"{what} is a {type(module).__name__} without an affine layer at its end, so a factor on its output cannot be "
            "multiplied into weights. Use another method."
        )
    bias = getattr(owner, "bias", None)
    return (weight, bias) if isinstance(bias, nn.Parameter) else (weight,)


def _last_layer(module: nn.Module) -> nn.Module | None:
    """The last layer inside that has weights, in the order in which they were registered."""
    layers = [one for one in module.modules() if isinstance(one, (nn.Linear, nn.modules.conv._ConvNd)) or is_norm(one)]
    return layers[-1] if layers else None
