"""Toy networks of convolutions and norms, one construct each. Sizes differ, so that no two are mixed up by chance."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm


def conv(inside: int, outside: int, kernel: int = 3, **more: int | bool) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, kernel, padding=kernel // 2, **more)  # type: ignore[arg-type]


class Around(nn.Module):
    """Stem, construct, head: the construct's channels lie between two ordinary convolutions."""

    def __init__(self, *middle: nn.Module, stem: int = 16, head: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, stem), nn.BatchNorm2d(stem), nn.ReLU())
        self.middle = nn.Sequential(*middle)
        self.head = nn.Linear(head, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.middle(self.stem(x)).mean((2, 3)))


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def depthwise() -> nn.Module:
    return Around(conv(16, 16, groups=16), nn.ReLU(), conv(16, 24, 1), head=24)


def depthwise_multiplier() -> nn.Module:
    return Around(conv(16, 32, groups=16), nn.ReLU(), conv(32, 24, 1), head=24)


def grouped() -> nn.Module:
    return Around(conv(16, 24, groups=4), nn.BatchNorm2d(24), nn.ReLU(), conv(24, 20), head=20)


def groups_equal_out() -> nn.Module:
    return Around(conv(16, 4, groups=4), nn.ReLU(), conv(4, 20), head=20)


def transposed() -> nn.Module:
    return Around(nn.ConvTranspose2d(16, 24, 2, stride=2), nn.ReLU(), conv(24, 20), head=20)


def transposed_grouped() -> nn.Module:
    return Around(nn.ConvTranspose2d(16, 24, 2, stride=2, groups=4), nn.ReLU(), conv(24, 20), head=20)


def transposed_depthwise() -> nn.Module:
    return Around(nn.ConvTranspose2d(16, 16, 2, stride=2, groups=16), nn.ReLU(), conv(16, 20), head=20)


def dilated_strided() -> nn.Module:
    return Around(nn.Conv2d(16, 24, 3, stride=2, dilation=2, padding="valid"), nn.ReLU6(), conv(24, 20, 1), head=20)


def padded_reflect() -> nn.Module:
    return Around(
        nn.ReflectionPad2d(1), nn.Conv2d(16, 24, 3, padding=1, padding_mode="circular"), nn.ReplicationPad2d(1), head=24
    )


class SharedTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body, self.head = conv(3, 16), conv(16, 16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(self.body(self.stem(x)).relu())
        return self.head(x.mean((2, 3)))


class TiedConvolutions(nn.Module):
    """Two modules, one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.first, self.second, self.head = conv(3, 16), conv(16, 16), conv(16, 16), nn.Linear(16, 5)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(self.stem(x)).relu())
        return self.head(x.mean((2, 3)))


class FlattenLinear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.hidden, self.head = conv(3, 16), nn.Linear(16 * 16, 40), nn.Linear(40, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(torch.flatten(F.max_pool2d(self.stem(x).relu(), 2), 1)).relu())


class LinearViewConv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.project, self.conv, self.head = nn.Linear(10, 12 * 16), conv(12, 24), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.project(x).view(-1, 12, 4, 4)
        return self.head(self.conv(x).relu().mean((2, 3)))


class BatchNorm1dAfterFlatten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = conv(3, 16), nn.BatchNorm1d(16 * 16)
        self.hidden, self.norm2, self.head = nn.Linear(16 * 16, 40), nn.BatchNorm1d(40), nn.Linear(40, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(F.avg_pool2d(self.stem(x), 2).flatten(1)).relu()
        return self.head(self.norm2(self.hidden(x)).relu())


class SqueezeExcite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = conv(3, 32), nn.Linear(32, 5)
        self.down, self.up = conv(32, 8, 1), conv(8, 32, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        gate = self.up(self.down(x.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return self.head((x * gate).mean((2, 3)))


class Cbam(nn.Module):
    """Spatial attention from mean and maximum over channels: quantities of the axis that is pruned."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.hidden, self.spatial = conv(3, 16), conv(16, 24), conv(2, 1)
        self.last, self.head = conv(24, 20), nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.hidden(self.stem(x).relu()).relu()
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        x = self.last(x * self.spatial(pooled).sigmoid()).relu()
        return self.head(x.mean((2, 3)))


class GlobalResponse(nn.Module):
    """GRN of ConvNeXt V2: divides by a mean over channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.zeros(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        size = x.norm(p=2, dim=(1, 2), keepdim=True)
        return x + self.gamma * (x * size / (size.mean(-1, keepdim=True) + 1e-6)) + self.beta


class GrnBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner, self.head = conv(3, 16), nn.Linear(16, 8), nn.Linear(16, 5)
        self.up, self.grn, self.down = nn.Linear(16, 32), GlobalResponse(32), nn.Linear(32, 16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).permute(0, 2, 3, 1)
        x = x + self.down(self.grn(F.gelu(self.up(x))))
        return self.head(x.mean((1, 2)))


class StandardisedConv(nn.Conv2d):
    """Weight standardisation: mean and variance over the fan-in."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        mean = weight.mean((1, 2, 3), keepdim=True)
        weight = (weight - mean) / (weight.var((1, 2, 3), keepdim=True, unbiased=False) + 1e-6).sqrt()
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


def weight_standardised() -> nn.Module:
    return Around(StandardisedConv(16, 24, 3, padding=1), nn.ReLU(), conv(24, 20), head=20)


def weight_normed() -> nn.Module:
    return Around(weight_norm(conv(16, 24)), nn.ReLU(), weight_norm(conv(24, 20)), head=20)


def group_norm() -> nn.Module:
    return Around(conv(16, 24), nn.GroupNorm(4, 24), nn.ReLU(), conv(24, 20), nn.GroupNorm(1, 20), nn.SiLU(), head=20)


def instance_norm() -> nn.Module:
    return Around(conv(16, 24), nn.InstanceNorm2d(24, affine=True), nn.ReLU(), conv(24, 20), head=20)


def batch_norm_bare() -> nn.Module:
    return Around(conv(16, 24), nn.BatchNorm2d(24, affine=False), nn.ReLU(), conv(24, 20), head=20)


def prelu() -> nn.Module:
    return Around(conv(16, 24), nn.PReLU(24), conv(24, 20), nn.PReLU(), head=20)


class LayerNorm2d(nn.Module):
    """Over channels of NCHW, written out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.eps = 1e-6

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(variance + self.eps)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


def layer_norm_2d() -> nn.Module:
    return Around(conv(16, 24), LayerNorm2d(24), nn.GELU(), conv(24, 20), head=20)


class ChannelScale(nn.Module):
    """A learned (C, 1, 1) factor and shift, as layer scale of NCHW networks."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(channels, 1, 1)), nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift


def channel_scale() -> nn.Module:
    return Around(conv(16, 24), ChannelScale(24), nn.ReLU(), conv(24, 20), head=20)


class ScaleFromShape(nn.Module):
    """A factor whose view asks for its own shape, as PoolFormer's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shape = (channels, 1, 1)
        self.scale = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale.view(self.shape)


def scale_with_kept_shape() -> nn.Module:
    return Around(conv(16, 24), ScaleFromShape(24), nn.ReLU(), conv(24, 20), head=20)


class SpatialParameter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return x * (1 + self.position)


def spatial_parameter() -> nn.Module:
    return Around(conv(16, 24), SpatialParameter(), nn.ReLU(), conv(24, 20), head=20)


class StochasticDepth(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x)
        if self.training:
            keep = torch.bernoulli(torch.full((x.shape[0], 1, 1, 1), 0.8, dtype=x.dtype, device=x.device))
            y = y * keep / 0.8
        return x + y


def stochastic_depth() -> nn.Module:
    inner = nn.Sequential(conv(16, 40), nn.BatchNorm2d(40), nn.ReLU(), conv(40, 16), nn.BatchNorm2d(16))
    return Around(StochasticDepth(inner), nn.Dropout(0.1), conv(16, 20), nn.Dropout2d(0.1), head=20)


class Unet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = conv(3, 12), conv(12, 24), conv(24, 40)
        self.up2, self.up1 = nn.ConvTranspose2d(40, 24, 2, stride=2), nn.ConvTranspose2d(20, 12, 2, stride=2)
        self.merge2, self.merge1, self.head = conv(48, 20), conv(24, 16), conv(16, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = self.one(x).relu()
        two = self.two(F.max_pool2d(one, 2)).relu()
        three = self.three(F.max_pool2d(two, 2)).relu()
        two = self.merge2(torch.cat([two, self.up2(three)], 1)).relu()
        return self.head(self.merge1(torch.cat([one, self.up1(two)], 1)).relu())


class Fpn(nn.Module):
    """Three scales, lateral convolutions, summed from the top down; one head for all."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList([conv(3, 12), conv(12, 24), conv(24, 40)])
        self.lateral = nn.ModuleList([conv(width, 16, 1) for width in (12, 24, 40)])
        self.smooth = nn.ModuleList([conv(16, 16) for _ in range(3)])
        self.tower, self.head = conv(16, 20), conv(20, 4)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for place, stage in enumerate(self.stages):
            x = stage(F.max_pool2d(x, 2) if place else x).relu()
            maps.append(x)
        merged = [self.lateral[2](maps[2])]
        for place in (1, 0):
            above = F.interpolate(merged[0], size=maps[place].shape[-2:], mode="nearest")
            merged.insert(0, self.lateral[place](maps[place]) + above)
        return [self.head(self.tower(smooth(level)).relu()) for smooth, level in zip(self.smooth, merged, strict=True)]


class Conv1dNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(4, 16, 5, padding=2),
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(16, 24, 3),
            nn.ELU(),
        )
        self.head = nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.adaptive_avg_pool1d(self.body(x), 1).squeeze(-1))


class Conv3dNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(2, 12, 3, padding=1),
            nn.BatchNorm3d(12),
            nn.ReLU(),
            nn.AvgPool3d(2),
            nn.Conv3d(12, 16, 1),
            nn.Hardswish(),
        )
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.adaptive_max_pool3d(self.body(x), 1).flatten(1))


class ConvLstmCell(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = 12
        self.gates, self.head = conv(3 + 12, 4 * 12), conv(12, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        batch, steps, _, height, width = x.shape
        h = x.new_zeros(batch, self.hidden, height, width)
        c = x.new_zeros(batch, self.hidden, height, width)
        for step in range(steps):
            i, f, o, g = torch.split(self.gates(torch.cat([x[:, step], h], 1)), self.hidden, dim=1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        return self.head(h)


class CropAndPool(nn.Module):
    """Spatial operations of all kinds: they leave channels alone."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.middle, self.head = conv(3, 16), conv(16, 24), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(self.stem(x), (1, 0, 2, 1), value=0.5)[:, :, 1:, :-1]
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False).roll(1, 2).flip(3)
        x = F.adaptive_avg_pool2d(self.middle(x), (3, 2)) + F.adaptive_max_pool2d(self.middle(x), 1)
        x = F.grid_sample(x, torch.zeros(x.shape[0], 2, 2, 2, dtype=x.dtype, device=x.device), align_corners=False)
        return self.head(F.leaky_relu(x).amax((2, 3)))


def images(size: int = 8, batch: int = 2, channels: int = 3) -> Callable[[int], Tensor]:
    return numbers(batch, channels, size, size)


def numbers(*shape: int) -> Callable[[int], Tensor]:
    return lambda seed=0: torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


CONVOLUTION = {
    "grouped convolution": (grouped, images()),
    "depthwise": (depthwise, images()),
    "depthwise multiplier 2": (depthwise_multiplier, images()),
    "groups == out < in": (groups_equal_out, images()),
    "conv_transpose": (transposed, images()),
    "conv_transpose grouped": (transposed_grouped, images()),
    "conv_transpose depthwise": (transposed_depthwise, images()),
    "dilated, strided": (dilated_strided, images(12)),
    "reflect and circular padding": (padded_reflect, images()),
    "shared conv twice": (SharedTwice, images()),
    "tied conv weights": (TiedConvolutions, images()),
    "flatten -> linear": (FlattenLinear, images()),
    "linear -> view -> conv": (LinearViewConv, numbers(2, 10)),
    "BatchNorm1d after flatten": (BatchNorm1dAfterFlatten, images(batch=3)),
    "squeeze-excite": (SqueezeExcite, images()),
    "CBAM": (Cbam, images()),
    "GRN block": (GrnBlock, images()),
    "weight standardisation": (weight_standardised, images()),
    "weight norm": (weight_normed, images()),
    "GroupNorm": (group_norm, images()),
    "InstanceNorm affine": (instance_norm, images()),
    "BatchNorm affine=False": (batch_norm_bare, images()),
    "PReLU per channel": (prelu, images()),
    "custom LayerNorm2d": (layer_norm_2d, images()),
    "per-channel scale (C,1,1)": (channel_scale, images()),
    "scale viewed by a stored shape": (scale_with_kept_shape, images()),
    "parameter on spatial axes": (spatial_parameter, images()),
    "stochastic depth": (stochastic_depth, images()),
    "U-Net": (Unet, images()),
    "FPN": (Fpn, images()),
    "Conv1d": (Conv1dNet, numbers(2, 4, 20)),
    "Conv3d": (Conv3dNet, numbers(2, 2, 4, 6, 6)),
    "ConvLSTM cell": (ConvLstmCell, numbers(2, 3, 3, 6, 6)),
    "pad, crop, resize, roll, sample": (CropAndPool, images()),
}
"""Name -> (factory, inputs by seed)."""
