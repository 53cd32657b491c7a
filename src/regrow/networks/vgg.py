"""VGG with batch norm for small images (Simonyan and Zisserman 2015, arXiv:1409.1556), in the two CIFAR variants of the paper.

Without norm layers, and at 224x224, the same code is the network that ThiNet's VGG-GAP and VGG-Tiny are cut from (Luo et al. 2017,
arXiv:1707.06342): VGG-16 less its last pool, the 14x14 map averaged, one linear layer.

Four 2x2 pools stand after the first four stages; the last map is averaged. A pool is left out where it would leave fewer
than two pixels a side: at 32x32 all four act (the last map is 2x2, as in the paper), at 8x8 the first two, and the later stages
keep the 2x2 map. A stop at 1x1 instead would leave eight of nine taps of each later 3x3 kernel reading padding only: weights
that never train but count in L1 norms and MACs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Literal

from torch import Tensor, nn

from regrow.networks.groups import Group, Slice, norm, output, reads
from regrow.networks.initialise import initialise
from regrow.networks.layouts import GroupInfo, scaled, vgg_groups

_HIDDEN: Final = 512
_SMALLEST_MAP: Final = 2
_LINEAR_STD: Final = 0.01


class VGG(nn.Module):
    """3x3 convolutions with batch norm, and a head: `linear`, or `hidden` (Linear-BatchNorm-ReLU-Linear, 512 units times width).

    With `norm_scale = None` the convolutions have a bias and no norm follows them.
    """

    def __init__(
        self,
        *,
        depth: int,
        head: Literal["linear", "hidden"],
        norm_scale: float | None,
        width: float,
        widths: Sequence[int],
        classes: int,
        shape: tuple[int, int, int],
    ) -> None:
        super().__init__()
        self.layout: Final = vgg_groups(width, depth=depth)
        self.widths: Final = tuple(widths)
        self.normed: Final = norm_scale is not None
        self.features = _features(self.layout, self.widths, shape, self.normed)
        self.classifier = _head(head, self.widths[-1], scaled(_HIDDEN, width), classes)
        initialise(self, norm_scale=1.0 if norm_scale is None else norm_scale, linear_std=_LINEAR_STD)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] to logits [B, classes]."""
        logits: Tensor = self.classifier(self.features(images).mean(dim=(2, 3)))
        return logits

    def channel_groups(self) -> tuple[Group, ...]:
        """One group per convolution."""
        first_of_head = next(name for name, module in self.classifier.named_children() if isinstance(module, nn.Linear))
        readers = [*(group.name for group in self.layout[1:]), f"classifier.{first_of_head}"]
        return tuple(
            Group(info.name, channels, (output(info.name), *self._follows(info), reads(reader)))
            for info, channels, reader in zip(self.layout, self.widths, readers, strict=True)
        )

    def _follows(self, info: GroupInfo) -> tuple[Slice, ...]:
        """What holds one number for each channel of a convolution: its norm, or its bias."""
        return norm(f"features.norm{info.position}") if self.normed else (Slice(f"{info.name}.bias", 0),)


def _features(
    layout: Sequence[GroupInfo], widths: Sequence[int], shape: tuple[int, int, int], normed: bool
) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels, side, stage = shape[0], min(shape[1:]), 0
    for info, width in zip(layout, widths, strict=True):
        if info.stage != stage and side // 2 >= _SMALLEST_MAP:
            layers[f"pool{info.stage}"] = nn.MaxPool2d(2)
            side //= 2
        layers[f"conv{info.position}"] = nn.Conv2d(channels, width, 3, padding=1, bias=not normed)
        if normed:
            layers[f"norm{info.position}"] = nn.BatchNorm2d(width)
        layers[f"relu{info.position}"] = nn.ReLU(inplace=True)
        channels, stage = width, info.stage
    return nn.Sequential(layers)


def _head(kind: Literal["linear", "hidden"], channels: int, hidden: int, classes: int) -> nn.Sequential:
    if kind == "linear":
        return nn.Sequential(OrderedDict(linear=nn.Linear(channels, classes)))
    return nn.Sequential(
        OrderedDict(
            hidden=nn.Linear(channels, hidden),
            norm=nn.BatchNorm1d(hidden),
            relu=nn.ReLU(inplace=True),
            linear=nn.Linear(hidden, classes),
        )
    )
