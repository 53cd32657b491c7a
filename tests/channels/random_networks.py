"""Networks by chance: a few steps, each drawn from the table below, each reading what one or two earlier ones returned.

    network = random_network(seed=3, steps=5)      # from (N, 4, 5) to (N, 3), in double precision, every number its own

Everything in between has the shape (N, tokens, width), so that steps fit in any order; every step is made for the widths that it gets.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from .traced import Small

TOKENS, INPUTS, OUTPUTS = 4, 5, 3

Step = Callable[[int, int], nn.Module]
"""From the widths of the two tensors that a step reads to the module that reads them."""


def alone(call: Callable[[Any, Tensor], Tensor], **parts: Callable[[int], Any]) -> Step:
    """A step that reads one tensor."""
    return lambda width, _: Small(lambda n, y, _: call(n, y), **{name: make(width) for name, make in parts.items()})


def both(call: Callable[[Any, Tensor, Tensor], Tensor]) -> Step:
    """A step that reads two tensors, the second one as wide as the first."""
    return lambda width, other: Small(lambda n, y, z: call(n, y, n.fit(z)), fit=nn.Linear(other, width))


def over_tokens(make: Callable[[int], nn.Module]) -> Step:
    """A layer for (N, width, tokens)."""
    return alone(lambda n, y: n.layer(y.mT).mT, layer=make)


def attention(n: Any, y: Tensor) -> Tensor:
    """Two heads of size four from one projection, both as numbers of the module."""
    batch, tokens, _ = y.shape
    q, k, v = n.qkv(y).view(batch, tokens, 3, n.heads, n.size).permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, tokens, -1)


def grouped_query(n: Any, y: Tensor) -> Tensor:
    """Four heads of queries, two of keys and values."""
    batch, tokens, _ = y.shape
    q = n.q(y).view(batch, tokens, n.heads, n.size).transpose(1, 2)
    k, v = (
        layer(y).view(batch, tokens, -1, n.size).transpose(1, 2).repeat_interleave(n.times, 1) for layer in (n.k, n.v)
    )
    return ((q @ k.mT * q.shape[-1] ** -0.5).softmax(-1) @ v).transpose(1, 2).flatten(2)


def linear_attention(n: Any, y: Tensor) -> Tensor:
    """Without softmax, with a feature map that does not vanish at zero."""
    return (F.elu(n.q(y)) + 1) @ ((F.elu(n.k(y)) + 1).mT @ n.v(y))


def shuffled(n: Any, y: Tensor) -> Tensor:
    """The channels of two blocks in turn."""
    batch, tokens, width = y.shape
    return y.view(batch, tokens, n.blocks, width // n.blocks).mT.reshape(batch, tokens, width)


def halves(call: Callable[[Tensor, Tensor], Tensor]) -> Step:
    """A step on two halves."""
    return alone(lambda _, y: call(*y.chunk(2, -1)))


def rotated(n: Any, y: Tensor) -> Tensor:
    """Rotary positions."""
    del n
    angles = torch.arange(y.shape[1], dtype=y.dtype)[:, None]
    a, b = y.chunk(2, -1)
    return torch.cat([a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()], -1)


def number(value: int) -> Callable[[int], int]:
    """A number that a module holds."""
    return lambda _: value


STEPS: dict[str, Step] = {
    "linear": alone(lambda n, y: n.a(y), a=lambda width: nn.Linear(width, 12)),
    "relu": alone(lambda _, y: y.relu()),
    "sigmoid": alone(lambda _, y: y.sigmoid()),
    "exponential": alone(lambda _, y: y.tanh().exp()),
    "plus one": alone(lambda _, y: y + 1),
    "in place": alone(lambda _, y: y.clone().mul_(2).add_(y)),
    "layer norm": alone(lambda n, y: n.g(y), g=nn.LayerNorm),
    "rms norm": alone(lambda n, y: n.g(y), g=nn.RMSNorm),
    "batch norm": over_tokens(nn.BatchNorm1d),
    "group norm": over_tokens(lambda width: nn.GroupNorm(2, width)),
    "convolution": over_tokens(lambda width: nn.Conv1d(width, 8, 3, padding=1)),
    "depthwise": over_tokens(lambda width: nn.Conv1d(width, width, 3, padding=1, groups=width)),
    "grouped": over_tokens(lambda width: nn.Conv1d(width, 8, 1, groups=2)),
    "attention": alone(attention, qkv=lambda width: nn.Linear(width, 24), heads=number(2), size=number(4)),
    "grouped query": alone(
        grouped_query,
        q=lambda width: nn.Linear(width, 12),
        k=lambda width: nn.Linear(width, 6),
        v=lambda width: nn.Linear(width, 6),
        heads=number(4),
        size=number(3),
        times=number(2),
    ),
    "linear attention": alone(
        linear_attention,
        q=lambda width: nn.Linear(width, 4),
        k=lambda width: nn.Linear(width, 4),
        v=lambda width: nn.Linear(width, 6),
    ),
    "multi-head": alone(
        lambda n, y: n.m(y, y, y)[0], m=lambda width: nn.MultiheadAttention(width, 2, batch_first=True)
    ),
    "encoder": alone(lambda n, y: n.m(y), m=lambda width: nn.TransformerEncoderLayer(width, 2, 10, batch_first=True)),
    "lstm": alone(lambda n, y: n.m(y)[0], m=lambda width: nn.LSTM(width, 6, batch_first=True)),
    "tokens mixed": alone(lambda n, y: y + n.a(y.mT).mT, a=lambda _: nn.Linear(TOKENS, TOKENS)),
    "tokens rolled": alone(lambda _, y: y.roll(1, 1).cumsum(1)),
    "mean added": alone(lambda _, y: y + y.mean(1, keepdim=True)),
    "gate": halves(lambda a, b: a * b.sigmoid()),
    "halves swapped": halves(lambda a, b: torch.cat([b, a], -1)),
    "half": alone(lambda n, y: y[..., : n.n], n=lambda width: width // 2),
    "rotated": alone(rotated),
    "shuffled": alone(shuffled, blocks=number(2)),
    "blocks turned": alone(lambda n, y: y.unflatten(-1, (n.blocks, -1)).mT.flatten(-2), blocks=number(2)),
    "repeated": alone(lambda _, y: y.repeat_interleave(2, -1)),
    "padded": alone(lambda _, y: F.pad(y, (1, 1))),
    "sum": alone(lambda _, y: y * y.sum(-1, keepdim=True).tanh()),
    "unit length": alone(lambda _, y: F.normalize(y, dim=-1)),
    "spread": alone(lambda n, y: n.g(y).expand_as(y) + y, g=lambda width: nn.Linear(width, 1)),
    "squeezed": alone(lambda n, y: y * n.g(y.mean(1)).sigmoid()[:, None], g=lambda width: nn.Linear(width, width)),
    "added": both(lambda _, y, z: y + z),
    "multiplied": both(lambda _, y, z: y * z),
    "attended": both(lambda _, y, z: (y @ z.mT).softmax(-1) @ z),
    "beside": lambda _, __: Small(lambda _, y, z: torch.cat([y, z], -1)),
}


class RandomNetwork(nn.Module):
    """Steps in a row: module, and which results it reads."""

    def __init__(self, seed: int, steps: int) -> None:
        super().__init__()
        draw, value = random.Random(seed), torch.zeros(1, TOKENS, INPUTS)
        self.stem, self.steps, self.reads, self.names = nn.Linear(INPUTS, 8), nn.ModuleList(), [], []
        results = [self.stem(value)]
        for _ in range(steps):
            first, second = draw.randrange(len(results)), draw.randrange(len(results))
            widths = results[first].shape[-1], results[second].shape[-1]
            name = draw.choice(
                [name for name in STEPS if widths[0] % 2 == 0 or name in {"linear", "layer norm", "added"}]
            )
            self.steps.append(STEPS[name](*widths))
            self.reads.append((first, second))
            self.names.append(name)
            results.append(self.steps[-1].eval()(results[first], results[second]))
        self.head = nn.Linear(results[-1].shape[-1], OUTPUTS)

    def forward(self, value: Tensor) -> Tensor:
        """From (N, TOKENS, INPUTS) to (N, OUTPUTS)."""
        results = [self.stem(value)]
        for step, (first, second) in zip(self.steps, self.reads, strict=True):
            results.append(step(results[first], results[second]))
        result: Tensor = self.head(results[-1]).mean(1)
        return result


def random_network(seed: int, steps: int) -> RandomNetwork:
    """A network in double precision, in inference mode, with no two numbers alike."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = RandomNetwork(seed, steps).double().eval()
        with torch.no_grad():
            for tensor in [*network.parameters(), *network.buffers()]:
                if tensor.is_floating_point():
                    tensor.add_(0.2 * torch.rand_like(tensor))
    return network
