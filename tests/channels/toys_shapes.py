"""Toy networks whose channels are cut, joined, shuffled and indexed, one construct each."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tests.channels.toys_convolution import Apply, Around, conv, images, numbers


class CatTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.join, self.head = conv(3, 16), conv(32, 24), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        return self.head(self.join(torch.cat([x, x], 1)).relu().mean((2, 3)))


class CatResidual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.over = conv(3, 12), conv(3, 20), conv(32, 32)
        self.last, self.head = conv(32, 24), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        joined = torch.cat([self.one(x), self.two(x)], 1)
        return self.head(self.last(joined + self.over(joined.relu())).relu().mean((2, 3)))


class TwoOrders(nn.Module):
    """The same two branches, concatenated in two orders and added."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.last, self.head = conv(3, 16), conv(3, 16), conv(32, 24), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.one(x), self.two(x)
        return self.head(self.last(torch.cat([a, b], 1) + torch.cat([b, a], 1).relu()).relu().mean((2, 3)))


class Glu(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.gate, self.head = conv(3, 16), conv(16, 48), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.gate(self.stem(x).relu()).chunk(2, dim=1)
        return self.head((a * b.sigmoid()).mean((2, 3)))


class FunctionalGlu(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.gate, self.head = conv(3, 16), conv(16, 48), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.glu(self.gate(self.stem(x).relu()), dim=1).mean((2, 3)))


class SplitByAttribute(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.sizes = [8, 16]
        self.stem, self.left, self.right, self.head = conv(3, 24), conv(8, 20), conv(16, 20), nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        a, b = torch.split(self.stem(x).relu(), self.sizes, dim=1)
        return self.head((self.left(a) + self.right(b)).relu().mean((2, 3)))


class SplitByLiteral(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.left, self.right, self.head = conv(3, 24), conv(8, 20), conv(16, 20), nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        a, b = torch.split(self.stem(x).relu(), [8, 16], dim=1)
        return self.head((self.left(a) + self.right(b)).relu().mean((2, 3)))


class SliceHalf(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.left, self.right, self.head = conv(3, 24), conv(12, 20), conv(12, 20), nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        half = x.shape[1] // 2
        return self.head((self.left(x[:, :half]) * self.right(x[:, half:]).tanh()).relu().mean((2, 3)))


class Res2Net(nn.Module):
    """Channels in four pieces, each passed on to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 6
        self.stem, self.out, self.head = conv(3, 24), conv(24, 20), nn.Linear(20, 5)
        self.steps = nn.ModuleList([conv(6, 6) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        pieces = torch.split(self.stem(x).relu(), self.width, 1)
        done = [pieces[0]]
        for piece, step in zip(pieces[1:], self.steps, strict=True):
            done.append(step(piece + done[-1]).relu())
        return self.head(self.out(torch.cat(done, 1)).relu().mean((2, 3)))


def _shuffle(x: Tensor, groups: int = 4) -> Tensor:
    batch, channels, height, width = x.shape
    x = x.view(batch, groups, channels // groups, height, width).transpose(1, 2).contiguous()
    return x.view(batch, channels, height, width)


def channel_shuffle() -> nn.Module:
    return Around(conv(16, 24, groups=4), Apply(_shuffle), nn.ReLU(), conv(24, 24, groups=4), conv(24, 20), head=20)


def native_channel_shuffle() -> nn.Module:
    return Around(
        conv(16, 24, groups=4), nn.ChannelShuffle(4), nn.ReLU(), conv(24, 24, groups=4), conv(24, 20), head=20
    )


def pixel_shuffle() -> nn.Module:
    return Around(conv(16, 48), nn.PixelShuffle(2), nn.ReLU(), conv(12, 20), head=20)


def pixel_unshuffle() -> nn.Module:
    return Around(conv(16, 8), nn.PixelUnshuffle(2), nn.ReLU(), conv(32, 20), head=20)


def pixel_functions() -> nn.Module:
    up, down = Apply(lambda x: F.pixel_shuffle(x, 2)), Apply(lambda x: F.pixel_unshuffle(x, 2))
    return Around(conv(16, 48), up, nn.ReLU(), conv(12, 8), down, conv(32, 20), head=20)


class SpaceToDepth(nn.Module):
    """Patch merging: four shifted copies side by side, a norm over all, a projection."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.reduce, self.head = (
            conv(3, 16),
            nn.LayerNorm(64),
            nn.Linear(64, 24),
            nn.Linear(24, 5),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).permute(0, 2, 3, 1)
        parts = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
        return self.head(self.reduce(self.norm(torch.cat(parts, -1))).relu().mean((1, 2)))


class UnfoldFold(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.mix, self.head = conv(3, 16), nn.Linear(16 * 4, 12 * 4), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.unfold(self.stem(x).relu(), 2, stride=2)
        x = F.fold(self.mix(x.transpose(1, 2)).transpose(1, 2), (8, 8), 2, stride=2)
        return self.head(x.relu().mean((2, 3)))


class StackSum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branches, self.last, self.head = (
            nn.ModuleList([conv(3, 24) for _ in range(3)]),
            conv(24, 20),
            nn.Linear(20, 5),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = torch.stack([branch(x).relu() for branch in self.branches]).sum(0)
        return self.head(self.last(x).relu().mean((2, 3)))


class Maxout(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.pairs, self.head = conv(3, 16), conv(16, 48), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pairs(self.stem(x).relu())
        x = x.view(x.shape[0], x.shape[1] // 2, 2, *x.shape[2:]).amax(2)
        return self.head(x.mean((2, 3)))


class SoftmaxOverChannels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.logits, self.last, self.head = conv(3, 16), conv(16, 12), conv(12, 20), nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.last(self.logits(self.stem(x).relu()).softmax(1)).relu().mean((2, 3)))


class GumbelSelect(nn.Module):
    """Selective kernels: a softmax over two branches, per channel."""

    def __init__(self) -> None:
        super().__init__()
        self.small, self.large, self.squeeze = conv(3, 24), conv(3, 24, 5), conv(24, 8, 1)
        self.choose, self.last, self.head = conv(8, 48, 1), conv(24, 20), nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.stack([self.small(x).relu(), self.large(x).relu()], 1)
        weights = self.choose(self.squeeze(both.sum(1).mean((2, 3), keepdim=True)).relu())
        weights = weights.view(x.shape[0], 2, both.shape[2], 1, 1).softmax(1)
        return self.head(self.last((both * weights).sum(1)).relu().mean((2, 3)))


class IndexSelectChannels(nn.Module):
    """A fixed permutation of channels, kept as a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.other, self.last, self.head = conv(3, 24), conv(3, 24), conv(24, 20), nn.Linear(20, 5)
        self.hidden = conv(20, 32)
        self.back = conv(32, 20)
        self.register_buffer("order", torch.randperm(24, generator=torch.Generator().manual_seed(1)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu().index_select(1, self.order) + self.other(x)
        return self.head(self.back(self.hidden(self.last(x)).relu()).mean((2, 3)))


class GatherChannels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.last, self.hidden, self.head = conv(3, 24), conv(6, 20), nn.Linear(20, 40), nn.Linear(40, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        best = x.mean((2, 3)).topk(6, dim=1).indices[:, :, None, None].expand(-1, -1, *x.shape[2:])
        return self.head(self.hidden(self.last(x.gather(1, best)).mean((2, 3))).relu())


class PartialInPlace(nn.Module):
    """`x += y`, and a write into the first channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.other, self.part, self.last = conv(3, 16), conv(3, 16), conv(3, 4), conv(16, 24)
        self.head = nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        y += self.other(x)
        y[:, :4] = self.part(x)
        y.relu_()
        return self.head(self.last(y).relu_().mean((2, 3)))


class PartialConvolution(nn.Module):
    """FasterNet: a convolution over a quarter of the channels, the rest passed by."""

    def __init__(self) -> None:
        super().__init__()
        self.moved, self.rest = 6, 18
        self.stem, self.partial, self.last, self.head = conv(3, 24), conv(6, 6), conv(24, 40), nn.Linear(40, 5)

    def forward(self, x: Tensor) -> Tensor:
        a, b = torch.split(self.stem(x).relu(), [self.moved, self.rest], dim=1)
        return self.head(self.last(torch.cat([self.partial(a), b], 1)).relu().mean((2, 3)))


class Where(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.last, self.head = conv(3, 24), conv(3, 24), conv(24, 20), nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.one(x), self.two(x)
        x = torch.where(a > b, a, b.masked_fill(b < -1, 0.0)).clamp(-3, 3)
        return self.head(self.last(x).relu().mean((2, 3)))


class ExpandRepeat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.project, self.last, self.head = conv(3, 12), nn.Linear(12, 12), conv(36, 20), nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        whole = self.project(x.mean((2, 3)))[:, :, None, None].expand_as(x)
        return self.head(self.last(torch.cat([x.repeat(1, 2, 1, 1), whole], 1)).relu().mean((2, 3)))


class RepeatInterleave(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.last, self.head = conv(3, 12), conv(24, 20), nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.last(self.stem(x).relu().repeat_interleave(2, dim=1)).relu().mean((2, 3)))


class UnbindStack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.last, self.head = conv(3, 24), conv(8, 20), nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        a, b, c = self.stem(x).unflatten(1, (3, 8)).unbind(1)
        return self.head(self.last(torch.stack([a * b, c], -1).sum(-1)).relu().mean((2, 3)))


class MoveAxes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.mix, self.head = conv(3, 16), nn.Linear(16, 24), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mix(self.stem(x).flatten(2).movedim(1, -1).relu())
        return self.head(x.swapaxes(1, 2).unsqueeze(-1).squeeze(-1).mean(-1))


class RawLinear(nn.Module):
    """F.linear on raw parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(24, 16) / 4), nn.Parameter(torch.zeros(24))
        self.stem, self.head = nn.Linear(10, 16), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.linear(self.stem(x).relu(), self.weight, self.bias).relu())


class RawMatmul(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(torch.randn(10, 16) / 4), nn.Parameter(torch.randn(16, 24) / 4)
        self.head = nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.matmul((x @ self.first).relu(), self.second).relu())


class Einsum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.weight, self.head = nn.Linear(10, 16), nn.Parameter(torch.randn(24, 16) / 4), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.einsum("bi,oi->bo", self.stem(x).relu(), self.weight).relu())


class BilinearForm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.join, self.head = (
            nn.Linear(10, 16),
            nn.Linear(10, 12),
            nn.Bilinear(16, 12, 20),
            nn.Linear(20, 5),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.join(self.one(x).relu(), self.two(x).relu()).relu())


class InputResidual(nn.Module):
    """Channels that are added to the input cannot go."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down, self.head = nn.Linear(10, 40), nn.Linear(40, 10), nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x + self.down(self.up(x).relu()))


class CumulativeOverChannels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner, self.last, self.head = (
            nn.Linear(10, 48),
            nn.Linear(48, 12),
            nn.Linear(12, 40),
            nn.Linear(40, 5),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.last(self.inner(self.stem(x).relu()).cumsum(1)).relu())


class SortOverChannels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner, self.last, self.head = (
            nn.Linear(10, 48),
            nn.Linear(48, 12),
            nn.Linear(12, 40),
            nn.Linear(40, 5),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.last(self.inner(self.stem(x).relu()).sort(1).values).relu())


class ComplexSpectrum(nn.Module):
    """Global filter: a Fourier transform over space, a learned complex factor per channel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.last, self.head = conv(3, 16), conv(16, 24), nn.Linear(24, 5)
        self.filter = nn.Parameter(torch.randn(16, 8, 5, 2) * 0.3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        spectrum = torch.fft.rfft2(x, dim=(2, 3), norm="ortho") * torch.view_as_complex(self.filter)
        x = torch.fft.irfft2(spectrum, s=x.shape[2:], dim=(2, 3), norm="ortho")
        return self.head(self.last(x).relu().mean((2, 3)))


SHAPES = {
    "cat(x, x)": (CatTwice, images()),
    "cat + residual over cat": (CatResidual, images()),
    "two branches added in other orders": (TwoOrders, images()),
    "chunk gate": (Glu, images()),
    "F.glu": (FunctionalGlu, images()),
    "uneven split by attribute": (SplitByAttribute, images()),
    "uneven split by literal": (SplitByLiteral, images()),
    "slice first half": (SliceHalf, images()),
    "res2net split": (Res2Net, images()),
    "channel shuffle": (channel_shuffle, images()),
    "nn.ChannelShuffle": (native_channel_shuffle, images()),
    "pixel_shuffle": (pixel_shuffle, images()),
    "pixel_unshuffle": (pixel_unshuffle, images()),
    "pixel_shuffle functions": (pixel_functions, images()),
    "patch merging": (SpaceToDepth, images()),
    "unfold and fold": (UnfoldFold, images()),
    "stack + sum": (StackSum, images()),
    "maxout over pairs": (Maxout, images()),
    "softmax over channels": (SoftmaxOverChannels, images()),
    "selective kernels": (GumbelSelect, images()),
    "index_select over channels": (IndexSelectChannels, images()),
    "gather over channels": (GatherChannels, images()),
    "in place: +=, relu_, x[:, :4] =": (PartialInPlace, images()),
    "partial convolution": (PartialConvolution, images()),
    "where, masked_fill, clamp": (Where, images()),
    "expand and repeat": (ExpandRepeat, images()),
    "repeat_interleave over channels": (RepeatInterleave, images()),
    "unflatten, unbind, stack": (UnbindStack, images()),
    "movedim, swapaxes, squeeze": (MoveAxes, images()),
    "F.linear on a raw parameter": (RawLinear, numbers(3, 10)),
    "x @ raw parameter": (RawMatmul, numbers(3, 10)),
    "einsum": (Einsum, numbers(3, 10)),
    "nn.Bilinear": (BilinearForm, numbers(3, 10)),
    "residual onto the input": (InputResidual, numbers(3, 10)),
    "cumsum over channels": (CumulativeOverChannels, numbers(3, 10)),
    "sort over channels": (SortOverChannels, numbers(3, 10)),
    "Fourier filter": (ComplexSpectrum, images()),
}
"""Name -> (factory, inputs by seed)."""
