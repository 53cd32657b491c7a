"""Layouts: which channel groups each family of networks has, and how wide they are. Imports no torch.

A group is a set of channels that can be removed without touching a residual sum: the outputs of one convolution,
together with everything that reads or normalises them. A layout function gives a family's groups in forward order at a
width multiplier; the modules beside this one build exactly these groups, so the widths of a network can be planned, checked
and printed before torch is imported.

Positions count the convolutions of the main path from 1, as the tables of Li et al. 2017 (arXiv:1608.08710) do; the 1x1
convolutions of shortcuts are not counted. Stages count from 0; a stage ends where the image is made smaller.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

_VGG_STAGES: Final[dict[int, tuple[tuple[int, ...], ...]]] = {
    11: ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    13: ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)),
    16: ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)),
    19: ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4),
}
STAGE_CHANNELS: Final = (16, 32, 64)
"""Channels of the three stages of a CIFAR ResNet; a bottleneck's outer width is four times as much."""

EXPANSION: Final = 4
"""Outer over inner width of PreResNet's bottleneck, and bottleneck width over growth in DenseNet-BC."""

DENSE_BLOCKS: Final = 3
"""Dense blocks of a CIFAR DenseNet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupInfo:
    """One prunable group of a dense network."""

    name: str
    """The module that computes the channels, e.g. `stage1.block3.conv1`; its weight is `<name>.weight`."""

    position: int
    """Which convolution of the main path it is, counted from 1."""

    stage: int
    """Which stage it belongs to, counted from 0."""

    channels: int
    """How many channels it has in the dense network."""


def scaled(channels: int, width: float) -> int:
    """`channels` times the width multiplier, rounded half up, at least 1; decimal, so 0.35 means 35/100.

    >>> scaled(64, 0.25), scaled(10, 0.35), scaled(16, 0.01)
    (16, 4, 1)
    """
    exact = Decimal(channels) * Decimal(repr(float(width)))
    return max(1, int(exact.to_integral_value(rounding=ROUND_HALF_UP)))


def vgg_groups(width: float, *, depth: int) -> tuple[GroupInfo, ...]:
    """All convolutions of a VGG; a stage ends at a pool.

    >>> [group.channels for group in vgg_groups(1.0, depth=11)]
    [64, 128, 256, 256, 512, 512, 512, 512]
    """
    convolutions = [(stage, channels) for stage, widths in enumerate(_VGG_STAGES[depth]) for channels in widths]
    return tuple(
        GroupInfo(name=f"features.conv{position}", position=position, stage=stage, channels=scaled(channels, width))
        for position, (stage, channels) in enumerate(convolutions, start=1)
    )


def resnet_groups(width: float, *, depth: int) -> tuple[GroupInfo, ...]:
    """The first convolution of every basic block; the second writes to the residual stream and keeps its outputs."""
    return tuple(
        GroupInfo(
            name=f"{name}.conv1", position=2 + 2 * index, stage=stage, channels=scaled(STAGE_CHANNELS[stage], width)
        )
        for index, (stage, name) in enumerate(residual_blocks(depth, convolutions=2))
    )


def preresnet_groups(width: float, *, depth: int) -> tuple[GroupInfo, ...]:
    """The first two convolutions of every bottleneck; the third writes to the residual stream and keeps its outputs."""
    return tuple(
        GroupInfo(
            name=f"{name}.conv{inner}",
            position=1 + 3 * index + inner,
            stage=stage,
            channels=scaled(STAGE_CHANNELS[stage], width),
        )
        for index, (stage, name) in enumerate(residual_blocks(depth, convolutions=3))
        for inner in (1, 2)
    )


def residual_blocks(depth: int, *, convolutions: int) -> list[tuple[int, str]]:
    """(stage, module name) of every residual block, in forward order, of a network with that many convolutions a block.

    >>> residual_blocks(8, convolutions=2)
    [(0, 'stage1.block1'), (1, 'stage2.block1'), (2, 'stage3.block1')]
    """
    blocks = (depth - 2) // (len(STAGE_CHANNELS) * convolutions)
    return [
        (stage, f"stage{stage + 1}.block{block + 1}") for stage in range(len(STAGE_CHANNELS)) for block in range(blocks)
    ]


def resnet_removable(depth: int) -> tuple[str, ...]:
    """Blocks of a CIFAR ResNet that can go whole, in forward order: all but those that make the image smaller.

    >>> resnet_removable(14)
    ('stage1.block1', 'stage1.block2', 'stage2.block2', 'stage3.block2')
    """
    blocks = residual_blocks(depth, convolutions=2)
    return tuple(name for stage, name in blocks if stage == 0 or not name.endswith(".block1"))


def preresnet_removable(depth: int) -> tuple[str, ...]:
    """Blocks of a PreResNet that can go whole, in forward order: all but the first of each stage, which widen the stream."""
    return tuple(name for _, name in residual_blocks(depth, convolutions=3) if not name.endswith(".block1"))


def densenet_groups(
    width: float, *, depth: int, growth: int, bottleneck: bool, compression: int
) -> tuple[GroupInfo, ...]:
    """Every convolution of a DenseNet: no residual sum holds any of them, so all can be pruned.

    `growth` channels are added by each layer; a transition keeps 1 in `compression` of the channels it reads, rounded down.
    Bottleneck layers (DenseNet-BC) have two groups: the 1x1 convolution's and the 3x3 convolution's.
    """
    rows = _densenet_rows(width, depth=depth, growth=growth, bottleneck=bottleneck, compression=compression)
    return tuple(
        GroupInfo(name=name, position=position, stage=stage, channels=channels)
        for position, (name, stage, channels) in enumerate(rows, start=1)
    )


def dense_layers(depth: int, *, bottleneck: bool) -> int:
    """Layers in each dense block.

    >>> dense_layers(40, bottleneck=False), dense_layers(100, bottleneck=True)
    (12, 16)
    """
    return (depth - 4) // DENSE_BLOCKS // (2 if bottleneck else 1)


def _densenet_rows(
    width: float, *, depth: int, growth: int, bottleneck: bool, compression: int
) -> Iterator[tuple[str, int, int]]:
    """(name, stage, channels) of every convolution, in forward order."""
    grown = scaled(growth, width)
    stream = scaled(2 * growth, width)
    yield "stem", 0, stream
    for block in range(DENSE_BLOCKS):
        for layer in range(1, dense_layers(depth, bottleneck=bottleneck) + 1):
            name = f"block{block + 1}.layer{layer}"
            if bottleneck:
                yield f"{name}.conv1", block, EXPANSION * grown
            yield f"{name}.conv{2 if bottleneck else 1}", block, grown
            stream += grown
        if block < DENSE_BLOCKS - 1:
            stream //= compression
            yield f"transition{block + 1}.conv", block, stream
