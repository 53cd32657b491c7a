"""Levels: where a trained classifier gives maps at halving sizes, found by running it. No layer name or width is written by hand.

The network runs on images of two sizes. A module gives a level where its output is a map whose side is the image's divided by one
power of two, the stride, at both sizes; so averages over the whole map and pools to a fixed size are none. Of all modules at one
stride the outermost count, since a stage is what its author wrote as one module, and of these the last: `layer1` to `layer4` of
torchvision's ResNets, `stage1` to `stage3` of those for CIFAR, the last activation before each pool of a VGG.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn

from regrow.errors import PruningError
from regrow.networks.modes import evaluating

SIDES: Final = (64, 128)
"""Pixels of the two images; powers of two."""

MOST: Final = 4
"""Levels at most: those with the largest strides, 4 to 32 for torchvision's ResNets as in its own detectors."""


@dataclass(frozen=True, slots=True)
class Level:
    """One map of a network."""

    module: str
    """Name of the module whose output it is."""

    stride: int
    """Pixels of the image for one of the map."""

    channels: int


def levels_of(network: nn.Module, image_channels: int) -> tuple[Level, ...]:
    """The maps that a detector is built on, by growing stride; stride 1 only where there is no other.

    Raises `PruningError` for a network that cannot take images of other sizes, or gives no maps.
    """
    first, second = (_maps(network, image_channels, side) for side in SIDES)
    found: dict[int, list[Level]] = defaultdict(list)
    for name, (stride, channels) in first.items():
        if second.get(name) == (stride, channels):
            found[stride].append(Level(name, stride, channels))
    strides = sorted(stride for stride in found if stride > 1) or sorted(found)
    if not strides:
        raise PruningError(
            f"{type(network).__name__} gives no maps of its images that a detector could look at: no module's output shrinks "
            f"from {SIDES[0]} and {SIDES[1]} pixels by one power of two. Take a convolutional network, e.g. a ResNet or a VGG."
        )
    return tuple(_outermost(found[stride]) for stride in strides[-MOST:])


def _outermost(levels: Sequence[Level]) -> Level:
    depth = min(level.module.count(".") for level in levels)
    return [level for level in levels if level.module.count(".") == depth][-1]


def _maps(network: nn.Module, image_channels: int, side: int) -> dict[str, tuple[int, int]]:
    """Stride and channels of every module that ran once and gave a map, in the order in which they ended."""
    seen: dict[str, list[Any]] = {}

    def note(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        del module, inputs
        seen.setdefault(name, []).append(output.shape if isinstance(output, Tensor) else ())

    with evaluating(network), torch.no_grad(), hooked(network, note):
        try:
            network(torch.zeros(1, image_channels, side, side, device=next(network.parameters()).device))
        except (RuntimeError, ValueError, AssertionError, TypeError) as error:
            raise PruningError(
                f"{type(network).__name__} cannot run on images of {side} x {side} pixels ({error}), and a detector sees images of "
                "all sizes. Take a network that averages its last map, e.g. a ResNet."
            ) from None
    shapes = {name: shapes[0] for name, shapes in seen.items() if name and len(shapes) == 1 and len(shapes[0]) == 4}
    return {name: (side // shape[-1], shape[1]) for name, shape in shapes.items() if _halves(shape, side)}


def _halves(shape: Sequence[int], side: int) -> bool:
    """Whether a map is square, has more than one pixel and divides the side by a power of two; a side is one itself."""
    return shape[-1] == shape[-2] and shape[-1] > 1 and side % shape[-1] == 0


@contextlib.contextmanager
def hooked(network: nn.Module, note: Callable[[str, nn.Module, Any, Any], None], *names: str) -> Iterator[None]:
    """`note(name, module, inputs, output)` after every call of the modules of these names, of all without names."""
    modules = dict(network.named_modules())
    handles = [modules[name].register_forward_hook(partial(note, name)) for name in names or modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
