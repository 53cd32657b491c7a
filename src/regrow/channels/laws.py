"""Laws of initialisation: how the standard deviation of fresh weights depends on the sizes of a layer.

Where a factory's own initialisation cannot be made to see the small shape, its numbers are measured and compared with what authors use:

    He et al. 2015 (arXiv:1502.01852)      sqrt(2 / fan_in), sqrt(2 / fan_out), with fan_out / groups too
    Glorot and Bengio 2010                 sqrt(2 / (fan_in + fan_out))
    LeCun et al. 1998                      sqrt(1 / fan_in), also by the output or by the width of a vector
    PyTorch's linear and convolution       sqrt(1 / (3 * fan_in)), uniform, biases too
    PyTorch's recurrent layers             sqrt(1 / (3 * hidden)), uniform
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from regrow.channels.subblocks import SubBlock

_PLAIN: Final = (1.0, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.001, 12**-0.5, 3**-0.5)
"""Standard deviations that authors write down as numbers, the last two of uniform draws from [0, 1) and [-1, 1)."""

_TORCH: Final = (nn.Linear, _ConvNd, nn.RNNBase, nn.RNNCellBase, nn.Bilinear)
"""Layers that usually follow a law. What other modules hold may have any scale, so a match must be closer and plainer."""

_KNOWN: Final = (
    (2.0, "fan_in"),
    (1.0, "fan_in"),
    (1 / 3, "fan_in"),
    (2.0, "fan_out"),
    (1.0, "fan_out"),
    (1.0, "mean fan"),
    (1.0, "width"),
)
"""Variances times fan. Fewer laws, fewer matches by chance."""

_MOST_LOOKED_AT: Final = 65_536


@dataclass(frozen=True, slots=True)
class Law:
    """What one law says about one tensor."""

    formula: str

    dense: float
    """Standard deviation at the dense shape."""

    small: float
    """Standard deviation at the small shape."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Standard deviation of drawn numbers, measured."""

    std: float
    """0 for constants, for numbers whose mean is not 0, and for what is no floating point."""

    count: int
    """How many numbers were looked at."""

    def slack(self, most: float) -> float:
        """Relative error that chance allows: four standard errors, at most `most`."""
        return min(most, max(0.003, 4 / math.sqrt(2 * self.count)))


def spread_of(tensor: Tensor) -> Spread:
    """Measured on the first numbers of a tensor, far outliers left out: `trunc_normal_` throws one in a million to its bounds."""
    if not tensor.is_floating_point() or tensor.numel() < 2:
        return Spread(0.0, tensor.numel())
    values = tensor.detach().flatten()[:_MOST_LOOKED_AT].float()
    values = values[values.abs() <= 12 * values.abs().median()]
    if len(values) < 2:
        return Spread(0.0, tensor.numel())
    std, mean = (float(value) for value in torch.std_mean(values))
    drawn = math.isfinite(std) and abs(mean) <= 0.5 * std
    return Spread(std if drawn else 0.0, len(values))


def law_of(
    name: str, spread: Spread, blocks: Mapping[str, SubBlock], module: nn.Module, *, at_small: bool = False
) -> Law | None:
    """The law that the numbers of the parameter `name` of `module` follow at its dense shape, or at its small one.

    None where they follow none of those known here, or are as spread as a number that authors write down.
    """
    usual = isinstance(module, _TORCH)
    if spread.std == 0 or (not usual and is_plain(spread)):
        return None
    slack = spread.slack(0.1 if usual else 0.05)
    laws = [
        law
        for law in _laws(name, blocks, module)
        if usual or spread.slack(1) < 0.02 or law.formula.startswith("sqrt(1 / ")
    ]
    expected = [(law.small if at_small else law.dense, law) for law in laws]
    best = min(expected, key=lambda entry: abs(math.log(spread.std / entry[0])), default=None)
    return best[1] if best is not None and abs(spread.std / best[0] - 1) <= slack else None


def is_plain(spread: Spread) -> bool:
    """Whether the numbers are as spread as a constant that authors write down: 0.02, 0.1, 1.

    >>> is_plain(Spread(0.0201, 1000))
    True
    """
    return any(abs(spread.std / number - 1) <= spread.slack(0.05) for number in _PLAIN)


def _laws(name: str, blocks: Mapping[str, SubBlock], module: nn.Module) -> Iterator[Law]:
    owner, _, attribute = name.rpartition(".")
    block = blocks[name]
    yield from _sibling_laws(owner, attribute, blocks)
    dense, small = _fans(block.dense), _fans(block.small)
    for top, fan in _KNOWN:
        if fan in dense:
            shown = f"sqrt({'1/3' if top < 1 else f'{top:g}'} / {fan})"
            yield Law(shown, math.sqrt(top / dense[fan]), math.sqrt(top / small[fan]))
    if isinstance(module, _ConvNd) and module.groups > 1 and len(block.dense) > 2:
        # A depthwise convolution loses whole groups: each keeps its fan.
        left = block.small[0] / block.dense[0] if block.dense[1] == 1 else 1.0
        fans = dense["fan_out"] / module.groups, small["fan_out"] / (module.groups * left)
        yield Law("sqrt(2 / (fan_out / groups))", math.sqrt(2 / fans[0]), math.sqrt(2 / fans[1]))


def _fans(shape: tuple[int, ...]) -> dict[str, float]:
    """What each number of a tensor of this shape is read from or read by."""
    if len(shape) < 2:
        return {"width": math.prod(shape)}
    space = math.prod(shape[2:])
    fan_in, fan_out = shape[1] * space, shape[0] * space
    return {"fan_in": fan_in, "fan_out": fan_out, "mean fan": (fan_in + fan_out) / 2, "width": shape[-1]}


def _sibling_laws(owner: str, attribute: str, blocks: Mapping[str, SubBlock]) -> Iterator[Law]:
    """PyTorch's biases are drawn by the fan-in of the weight beside them, its recurrent layers by their hidden size."""
    for sibling in ("weight", "weight_hh_l0", "weight_hh"):
        block = blocks.get(f"{owner}.{sibling}".lstrip("."))
        if block is not None and sibling != attribute and len(block.dense) > 1:
            dense, small = math.prod(block.dense[1:]), math.prod(block.small[1:])
            yield Law(f"sqrt(1/3 / fan_in of {sibling})", math.sqrt(1 / 3 / dense), math.sqrt(1 / 3 / small))
