"""ResNet for CIFAR (He et al. 2016, arXiv:1512.03385, section 4.2) with parameter-free shortcuts of kind A.

Where a stage begins, the shortcut is a 2x2 average pool with zeros for the new channels. Its gradient flows. The paper's released code
cut it there, so that earlier stages learnt through one residual branch only; `detached` does the same, to measure what it cost. Forward
passes, tensors and their first values are the same with and without it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from torch import Tensor, nn
from torch.nn import functional

from regrow.networks.groups import Group, norm, output, reads
from regrow.networks.initialise import initialise
from regrow.networks.layouts import STAGE_CHANNELS, residual_blocks, resnet_groups, scaled


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around `inner` channels, added to the stream; with `stride` 2 the stream is halved and widened.

    `detached` cuts the gradient of the shortcut where the stream is halved.
    """

    def __init__(self, channels: int, inner: int, outputs: int, stride: int, *, detached: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, inner, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.stride: Final = stride
        self.detached: Final = detached
        self.new_channels: Final = outputs - channels

    def forward(self, stream: Tensor) -> Tensor:
        """[B, C, H, W] to [B, outputs, H / stride, W / stride], rounded up."""
        inner = functional.relu(self.norm1(self.conv1(stream)), inplace=True)
        return functional.relu(self.norm2(self.conv2(inner)) + self.shortcut(stream), inplace=True)

    def shortcut(self, stream: Tensor) -> Tensor:
        """The stream itself, or halved by averages and widened by zero channels at the end."""
        if self.stride > 1:
            # Rounded up at odd sides, as the strided convolution rounds.
            stream = functional.avg_pool2d(stream, self.stride, ceil_mode=True)
            stream = stream.detach() if self.detached else stream
        if self.new_channels:
            stream = functional.pad(stream, (0, 0, 0, 0, 0, self.new_channels))
        return stream


class ResNet(nn.Module):
    """6n + 2 layers: a stem, three stages of n basic blocks, one linear layer. `widths` are the blocks' inner channels."""

    def __init__(
        self,
        *,
        depth: int,
        norm_scale: float,
        width: float,
        widths: Sequence[int],
        classes: int,
        shape: tuple[int, int, int],
        detached: bool = False,
    ) -> None:
        super().__init__()
        self.layout: Final = resnet_groups(width, depth=depth)
        self.widths: Final = tuple(widths)
        stem = scaled(STAGE_CHANNELS[0], width)
        self.stem = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(shape[0], stem, 3, padding=1, bias=False),
                norm=nn.BatchNorm2d(stem),
                relu=nn.ReLU(inplace=True),
            )
        )
        stages = _stages(depth, self.widths, width, detached)
        self.stage1, self.stage2, self.stage3 = stages
        self.classifier = nn.Linear(scaled(STAGE_CHANNELS[-1], width), classes)
        initialise(self, norm_scale=norm_scale)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] to logits [B, classes]."""
        stream = self.stage3(self.stage2(self.stage1(self.stem(images))))
        logits: Tensor = self.classifier(stream.mean(dim=(2, 3)))
        return logits

    def channel_groups(self) -> tuple[Group, ...]:
        """One group per block: the outputs of its first convolution."""
        blocks = [info.name.removesuffix(".conv1") for info in self.layout]
        return tuple(
            Group(
                f"{block}.conv1", channels, (output(f"{block}.conv1"), *norm(f"{block}.norm1"), reads(f"{block}.conv2"))
            )
            for block, channels in zip(blocks, self.widths, strict=True)
        )


def _stages(depth: int, widths: Sequence[int], width: float, detached: bool) -> list[nn.Sequential]:
    stages: list[OrderedDict[str, nn.Module]] = [OrderedDict() for _ in STAGE_CHANNELS]
    channels = scaled(STAGE_CHANNELS[0], width)
    for (stage, name), inner in zip(residual_blocks(depth, convolutions=2), widths, strict=True):
        outputs = scaled(STAGE_CHANNELS[stage], width)
        stride = 2 if stage > 0 and not stages[stage] else 1
        block = BasicBlock(channels, inner, outputs, stride, detached=detached)
        stages[stage][name.partition(".")[2]] = block
        channels = outputs
    return [nn.Sequential(blocks) for blocks in stages]
