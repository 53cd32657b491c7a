"""PreResNet for CIFAR with bottlenecks (He et al. 2016, arXiv:1603.05027): norm and ReLU stand before each convolution.

The first norm of a block reads the residual stream, which keeps its channels; the two inner convolutions can be pruned.
Shortcuts where the stream widens are 1x1 convolutions without norm, as in network slimming's code.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from torch import Tensor, nn
from torch.nn import functional

from regrow.networks.groups import Group, norm, output, reads
from regrow.networks.initialise import initialise
from regrow.networks.layouts import EXPANSION, STAGE_CHANNELS, preresnet_groups, residual_blocks, scaled


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions over `first` and `second` inner channels, each after norm and ReLU, added to the stream."""

    def __init__(self, channels: int, first: int, second: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, first, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(first)
        self.conv2 = nn.Conv2d(first, second, 3, stride=stride, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(second)
        self.conv3 = nn.Conv2d(second, outputs, 1, bias=False)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels != outputs:
            self.shortcut = nn.Conv2d(channels, outputs, 1, stride=stride, bias=False)

    def forward(self, stream: Tensor) -> Tensor:
        """[B, C, H, W] to [B, outputs, H / stride, W / stride], rounded up."""
        inner = self.conv1(functional.relu(self.norm1(stream), inplace=True))
        inner = self.conv2(functional.relu(self.norm2(inner), inplace=True))
        inner = self.conv3(functional.relu(self.norm3(inner), inplace=True))
        added: Tensor = inner + self.shortcut(stream)
        return added


class PreResNet(nn.Module):
    """9n + 2 layers: a stem, three stages of n bottlenecks, norm, ReLU, one linear layer. `widths` are inner channels, two a block."""

    def __init__(
        self,
        *,
        depth: int,
        norm_scale: float,
        width: float,
        widths: Sequence[int],
        classes: int,
        shape: tuple[int, int, int],
    ) -> None:
        super().__init__()
        self.layout: Final = preresnet_groups(width, depth=depth)
        self.widths: Final = tuple(widths)
        self.stem = nn.Conv2d(shape[0], scaled(STAGE_CHANNELS[0], width), 3, padding=1, bias=False)
        stages = _stages(depth, self.widths, width)
        self.stage1, self.stage2, self.stage3 = stages
        outputs = EXPANSION * scaled(STAGE_CHANNELS[-1], width)
        self.norm = nn.BatchNorm2d(outputs)
        self.classifier = nn.Linear(outputs, classes)
        initialise(self, norm_scale=norm_scale)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] to logits [B, classes]."""
        stream = self.stage3(self.stage2(self.stage1(self.stem(images))))
        features = functional.relu(self.norm(stream), inplace=True)
        logits: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return logits

    def channel_groups(self) -> tuple[Group, ...]:
        """Two groups per block: the outputs of its first and of its second convolution."""
        return tuple(_group(info.name, channels) for info, channels in zip(self.layout, self.widths, strict=True))


def _group(name: str, channels: int) -> Group:
    block, _, inner = name.rpartition(".conv")
    following = int(inner) + 1
    return Group(name, channels, (output(name), *norm(f"{block}.norm{following}"), reads(f"{block}.conv{following}")))


def _stages(depth: int, widths: Sequence[int], width: float) -> list[nn.Sequential]:
    stages: list[OrderedDict[str, nn.Module]] = [OrderedDict() for _ in STAGE_CHANNELS]
    channels = scaled(STAGE_CHANNELS[0], width)
    pairs = zip(widths[::2], widths[1::2], strict=True)
    for (stage, name), (first, second) in zip(residual_blocks(depth, convolutions=3), pairs, strict=True):
        outputs = EXPANSION * scaled(STAGE_CHANNELS[stage], width)
        stride = 2 if stage > 0 and not stages[stage] else 1
        stages[stage][name.partition(".")[2]] = Bottleneck(channels, first, second, outputs, stride)
        channels = outputs
    return [nn.Sequential(blocks) for blocks in stages]
