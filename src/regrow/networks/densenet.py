"""DenseNet for CIFAR (Huang et al. 2017, arXiv:1608.06993): every layer reads all earlier outputs of its block, concatenated.

A channel is normalised anew by each of its readers. Removing it takes its row from the convolution that computes it and, at its
place in the concatenation, from the norm and the input axis of every later layer of the block and of the transition behind it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrow.networks.groups import Group, Slice, norm, output, reads
from regrow.networks.initialise import initialise
from regrow.networks.layouts import DENSE_BLOCKS, dense_layers, densenet_groups


class Layer(nn.Module):
    """Norm, ReLU, 3x3 convolution; the result is appended to what was read."""

    def __init__(self, channels: int, grown: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, grown, 3, padding=1, bias=False)

    def forward(self, stream: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C + grown, H, W]."""
        new = self.conv1(functional.relu(self.norm1(stream), inplace=True))
        return torch.cat([stream, new], dim=1)


class BottleneckLayer(nn.Module):
    """Norm, ReLU, 1x1 convolution to `inner` channels, then as `Layer`."""

    def __init__(self, channels: int, inner: int, grown: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, grown, 3, padding=1, bias=False)

    def forward(self, stream: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C + grown, H, W]."""
        new = self.conv1(functional.relu(self.norm1(stream), inplace=True))
        new = self.conv2(functional.relu(self.norm2(new), inplace=True))
        return torch.cat([stream, new], dim=1)


class Transition(nn.Module):
    """Norm, ReLU, 1x1 convolution, 2x2 average pool."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, outputs, 1, bias=False)

    def forward(self, stream: Tensor) -> Tensor:
        """[B, C, H, W] to [B, outputs, H / 2, W / 2], rounded down."""
        return functional.avg_pool2d(self.conv(functional.relu(self.norm(stream), inplace=True)), 2)


class DenseNet(nn.Module):
    """A stem, three dense blocks with transitions between them, norm, ReLU, one linear layer. `widths` are of all convolutions."""

    block1: nn.Sequential
    block2: nn.Sequential
    block3: nn.Sequential
    transition1: Transition
    transition2: Transition

    def __init__(
        self,
        *,
        depth: int,
        growth: int,
        bottleneck: bool,
        compression: int,
        norm_scale: float,
        width: float,
        widths: Sequence[int],
        classes: int,
        shape: tuple[int, int, int],
    ) -> None:
        super().__init__()
        self.layout: Final = densenet_groups(
            width, depth=depth, growth=growth, bottleneck=bottleneck, compression=compression
        )
        self.widths: Final = tuple(widths)
        self.layers: Final = dense_layers(depth, bottleneck=bottleneck)
        remaining = iter(self.widths)
        channels = next(remaining)
        self.stem = nn.Conv2d(shape[0], channels, 3, padding=1, bias=False)
        for number in range(1, DENSE_BLOCKS + 1):
            block, channels = _block(channels, self.layers, remaining, bottleneck=bottleneck)
            self.add_module(f"block{number}", block)
            if number < DENSE_BLOCKS:
                outputs = next(remaining)
                self.add_module(f"transition{number}", Transition(channels, outputs))
                channels = outputs
        self.norm = nn.BatchNorm2d(channels)
        self.classifier = nn.Linear(channels, classes)
        initialise(self, norm_scale=norm_scale)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] to logits [B, classes]."""
        stream = self.transition1(self.block1(self.stem(images)))
        stream = self.block3(self.transition2(self.block2(stream)))
        features = functional.relu(self.norm(stream), inplace=True)
        logits: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return logits

    def channel_groups(self) -> tuple[Group, ...]:
        """One group per convolution."""
        channels = {info.name: width for info, width in zip(self.layout, self.widths, strict=True)}
        concatenated = dict(self._concatenated(channels))
        return tuple(
            Group(name, width, (output(name), *(concatenated.get(name) or _bottleneck_slices(name))))
            for name, width in channels.items()
        )

    def _concatenated(self, channels: dict[str, int]) -> Iterator[tuple[str, tuple[Slice, ...]]]:
        """(name, slices of its readers) of every convolution whose outputs are concatenated."""
        stem = "stem"
        for number in range(1, DENSE_BLOCKS + 1):
            layers = [f"block{number}.layer{layer}" for layer in range(1, self.layers + 1)]
            last = (f"transition{number}.norm", f"transition{number}.conv")
            readers = [(f"{layer}.norm1", f"{layer}.conv1") for layer in layers]
            readers.append(last if number < DENSE_BLOCKS else ("norm", "classifier"))
            writers = [stem, *(_writer(layer, channels) for layer in layers)]
            starts = accumulate((channels[writer] for writer in writers), initial=0)
            # What writer k appends is read by layer k + 1 and everything behind it; the stem of the block is writer 0.
            for index, (writer, start) in enumerate(zip(writers, starts, strict=False)):
                yield writer, _read_by(readers[index:], start)
            stem = last[1]


def _read_by(readers: Sequence[tuple[str, str]], start: int) -> tuple[Slice, ...]:
    """Slices of the (norm, convolution) pairs that read a channel group at `start` of the concatenation."""
    return tuple(part for name, convolution in readers for part in (*norm(name, start), reads(convolution, start)))


def _writer(layer: str, channels: dict[str, int]) -> str:
    """The convolution whose outputs the layer appends: its last."""
    return f"{layer}.conv2" if f"{layer}.conv2" in channels else f"{layer}.conv1"


def _bottleneck_slices(name: str) -> tuple[Slice, ...]:
    layer = name.removesuffix(".conv1")
    return (*norm(f"{layer}.norm2"), reads(f"{layer}.conv2"))


def _block(channels: int, layers: int, widths: Iterator[int], *, bottleneck: bool) -> tuple[nn.Sequential, int]:
    """A dense block that reads `channels`, and the channels that it gives on; takes its widths from the iterator."""
    block: OrderedDict[str, nn.Module] = OrderedDict()
    for number in range(1, layers + 1):
        inner = next(widths) if bottleneck else None
        grown = next(widths)
        block[f"layer{number}"] = Layer(channels, grown) if inner is None else BottleneckLayer(channels, inner, grown)
        channels += grown
    return nn.Sequential(block), channels
