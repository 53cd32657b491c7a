"""Re-draw: fresh weights where the factory's own initialisation cannot be made to see the small shapes.

A tensor drawn at the dense shape is cut to the small one: a block of independent draws is a draw. What is wrong with it is its
standard deviation where that depends on the sizes, so it is compared with the laws that authors use, and multiplied by what the law
says about the small shape:

    He et al. 2015 (arXiv:1502.01852)      sqrt(2 / fan_in), sqrt(2 / fan_out), with fan_out / groups too
    Glorot and Bengio 2010                 sqrt(2 / (fan_in + fan_out))
    LeCun et al. 1998                      sqrt(1 / fan_in), also by the output or by the width of a vector
    PyTorch's linear and convolution       sqrt(1 / (3 * fan_in)), uniform, biases too
    PyTorch's recurrent layers             sqrt(1 / (3 * hidden)), uniform

A tensor that follows none of them (a constant 0.02, an orthogonal matrix) keeps the numbers that were drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from regrow.channels.blocks import Block
from regrow.errors import PruningError

_PLAIN: Final = (1.0, 0.5, 0.1, 0.05, 0.02, 0.01, 0.001, 12**-0.5, 3**-0.5)
"""Standard deviations that authors write down as numbers, the last two of uniform draws from [0, 1) and [-1, 1)."""

_LARGEST_SLACK: Final = 0.1
_SMALLEST_SLACK: Final = 0.003


class RedrawWarning(UserWarning):
    """Some tensors of a regrown network did not come from its factory's own initialisation at the small shape."""


@dataclass(frozen=True, slots=True)
class Law:
    """How the standard deviation of a tensor depends on the sizes."""

    formula: str
    dense: float
    """What it says about the dense shape."""

    small: float
    """What it says about the small shape."""


@dataclass(frozen=True, slots=True)
class Redrawn:
    """A tensor that was cut from a draw at the dense shape."""

    name: str
    law: Law | None

    def __str__(self) -> str:
        return f"{self.name} ({f'std as {self.law.formula}' if self.law else 'as drawn'})"


def redraw(network: nn.Module, blocks: Mapping[str, Block]) -> list[Redrawn]:
    """Cut every tensor that is still too large, and correct its standard deviation; in place, so that ties hold.

    Raises `PruningError` for a tensor with neither its dense nor its small shape.
    """
    redrawn = []
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        block = blocks[name]
        if tuple(tensor.shape) == block.small:
            continue
        if not block.fits(tuple(tensor.shape)):
            raise PruningError(
                f"the factory built {name} with shape {tuple(tensor.shape)}, where the dense network has {block.dense} and the "
                f"architecture asks for {block.small}. Pass the factory of the network that was pruned."
            )
        law = law_of(name, tensor, blocks, network) if isinstance(tensor, nn.Parameter) else None
        tensor.data = block.cut(tensor)
        rescale(tensor, law)
        redrawn.append(Redrawn(name, law))
    return redrawn


@torch.no_grad()
def rescale(tensor: Tensor, law: Law | None) -> None:
    """Multiply a tensor by what its law says about the change of shape."""
    if law is not None:
        tensor.mul_(law.small / law.dense)


def law_of(name: str, tensor: Tensor, blocks: Mapping[str, Block], network: nn.Module) -> Law | None:
    """The law that the numbers of a parameter, drawn at its dense shape, follow; None for a constant or a law not known here.

    `tensor` may be a part of the draw: only its mean and standard deviation are looked at.
    """
    std = _std(tensor)
    if std == 0:
        return None
    owner, _, attribute = name.rpartition(".")
    module = network.get_submodule(owner)
    slack = min(_LARGEST_SLACK, max(_SMALLEST_SLACK, 4 / math.sqrt(2 * tensor.numel())))
    plain = any(abs(std / number - 1) <= slack for number in _PLAIN)
    if plain and not isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
        return None
    laws = list(_laws(module, owner, attribute, blocks))
    best = min(laws, key=lambda law: abs(math.log(std / law.dense)), default=None)
    return best if best is not None and abs(std / best.dense - 1) <= slack else None


def _std(tensor: Tensor) -> float:
    """Standard deviation of numbers around zero; 0 for constants, for other means, and for what is no floating point."""
    if not tensor.is_floating_point() or tensor.numel() < 2:
        return 0.0
    std, mean = torch.std_mean(tensor.detach().float())
    if not bool(std.isfinite()) or abs(float(mean)) > 0.5 * float(std):
        return 0.0
    return float(std)


def _laws(module: nn.Module, owner: str, attribute: str, blocks: Mapping[str, Block]) -> Iterator[Law]:
    yield from _sibling_laws(module, owner, attribute, blocks)
    own = blocks[f"{owner}.{attribute}".lstrip(".")]
    dense_fans, small_fans = _fans(own.dense), _fans(own.small)
    for fan, sizes in dense_fans.items():
        for top in (2.0, 1.0, 1 / 3):
            formula = f"sqrt({'1 / 3' if top < 1 else f'{top:g}'} / {fan})"
            yield Law(formula, math.sqrt(top / sizes), math.sqrt(top / small_fans[fan]))


def _fans(shape: tuple[int, ...]) -> dict[str, float]:
    """What each number of a tensor of this shape is read from or read by."""
    if len(shape) < 2:
        return {"width": math.prod(shape)}
    space = math.prod(shape[2:])
    fan_in, fan_out = shape[1] * space, shape[0] * space
    return {"fan_in": fan_in, "fan_out": fan_out, "mean fan": (fan_in + fan_out) / 2, "width": shape[-1]}


def _sibling_laws(module: nn.Module, owner: str, attribute: str, blocks: Mapping[str, Block]) -> Iterator[Law]:
    """PyTorch's biases are drawn by the fan-in of the weight beside them, its recurrent layers by their hidden size."""
    for sibling in ("weight", "weight_hh_l0", "weight_hh"):
        block = blocks.get(f"{owner}.{sibling}".lstrip("."))
        if block is not None and sibling != attribute and len(block.dense) > 1:
            dense, small = math.prod(block.dense[1:]), math.prod(block.small[1:])
            yield Law(f"sqrt(1 / 3 / fan_in of {sibling})", math.sqrt(1 / 3 / dense), math.sqrt(1 / 3 / small))
    if isinstance(module, nn.modules.conv._ConvNd):
        block = blocks[f"{owner}.weight".lstrip(".")]
        space = math.prod(block.dense[2:])
        dense_out, small_out = block.dense[0] * space, block.small[0] * space
        groups = module.groups * block.small[0] // block.dense[0] if block.dense[1] == 1 else module.groups
        if module.groups > 1:
            dense_fan, small_fan = dense_out / module.groups, small_out / max(1, groups)
            yield Law("sqrt(2 / (fan_out / groups))", math.sqrt(2 / dense_fan), math.sqrt(2 / small_fan))
