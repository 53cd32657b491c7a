"""Toy networks of other kinds: recurrent, sparse, state-space, and Python that a tracer must survive. One construct each."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tests.channels.toys_convolution import conv, images, numbers


class TiedEmbedding(nn.Module):
    """A small language model whose output head is its embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.up, self.down, self.norm = (
            nn.Embedding(20, 24),
            nn.Linear(24, 56),
            nn.Linear(56, 24),
            nn.LayerNorm(24),
        )
        self.out = nn.Linear(24, 20, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        return self.out(self.norm(x + self.down(F.gelu(self.up(x)))))


class PositionedEmbedding(nn.Module):
    """Words, positions by arange, segment types, padding mask."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places, self.types = (
            nn.Embedding(20, 24, padding_idx=0),
            nn.Embedding(9, 24),
            nn.Embedding(2, 24),
        )
        self.norm, self.hidden, self.head = nn.LayerNorm(24), nn.Linear(24, 40), nn.Linear(40, 5)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        x = self.words(ids) + self.places(torch.arange(ids.shape[1])) + self.types(torch.zeros_like(ids))
        x = self.hidden(self.norm(x)).relu() * mask.unsqueeze(-1)
        return self.head(x.sum(1) / mask.sum(1, keepdim=True))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], layers: int = 1, both: bool = False, batch_first: bool = True) -> None:
        super().__init__()
        self.batch_first, self.embed = batch_first, nn.Linear(10, 12)
        self.body = kind(12, 16, num_layers=layers, bidirectional=both, batch_first=batch_first)  # type: ignore[call-arg]
        self.head = nn.Linear(32 if both else 16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).relu()
        out, _ = self.body(x if self.batch_first else x.transpose(0, 1))
        return self.head(out if self.batch_first else out.transpose(0, 1))


class LastState(nn.Module):
    """The classifier reads the hidden state, not the outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.body, self.head = nn.Embedding(20, 12), nn.LSTM(12, 16, batch_first=True), nn.Linear(16, 5)

    def forward(self, ids: Tensor) -> Tensor:
        _, (hidden, _) = self.body(self.embed(ids))
        return self.head(hidden[-1])


class CellLoop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.size, self.lstm, self.gru = 16, nn.LSTMCell(10, 16), nn.GRUCell(16, 12)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        h, c, g = x.new_zeros(x.shape[0], self.size), x.new_zeros(x.shape[0], self.size), None
        for step in range(x.shape[1]):
            h, c = self.lstm(x[:, step], (h, c))
            g = self.gru(h, g)
        return self.head(g)


class Lists(nn.Module):
    """Parameters in a list and in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.randn(16, 10) / 3), nn.Parameter(torch.randn(24, 16) / 4)])
        self.more = nn.ParameterDict({"bias": nn.Parameter(torch.zeros(24)), "scale": nn.Parameter(torch.ones(24))})
        self.head = nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        for weight in self.weights:
            x = F.linear(x, weight).relu()
        return self.head(x * self.more["scale"] + self.more["bias"])


class Mixer(nn.Module):
    """Token mixing: an MLP over the tokens' axis, one over the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm1, self.norm2 = nn.Linear(10, 24), nn.LayerNorm(24), nn.LayerNorm(24)
        self.t1, self.t2, self.c1, self.c2 = nn.Linear(7, 18), nn.Linear(18, 7), nn.Linear(24, 56), nn.Linear(56, 24)
        self.head = nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        x = x + self.t2(F.gelu(self.t1(self.norm1(x).transpose(1, 2)))).transpose(1, 2)
        x = x + self.c2(F.gelu(self.c1(self.norm2(x))))
        return self.head(x.mean(1))


class DenseMixture(nn.Module):
    """Four experts, all computed, weighted by a softmax over experts."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.gate, self.head = nn.Linear(10, 20), nn.Linear(20, 4), nn.Linear(20, 5)
        self.up, self.down = nn.Parameter(torch.randn(4, 20, 40) / 4), nn.Parameter(torch.randn(4, 40, 20) / 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        weights = self.gate(x).softmax(-1)
        y = torch.einsum("btd,edh->bteh", x, self.up).relu()
        y = torch.einsum("bteh,ehd->bted", y, self.down)
        return self.head(x + (y * weights.unsqueeze(-1)).sum(2))


class RoutedMixture(nn.Module):
    """Each token goes to its two best experts; which tokens an expert gets depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.gate, self.head = nn.Linear(10, 20), nn.Linear(20, 3, bias=False), nn.Linear(20, 5)
        self.experts = nn.ModuleList([nn.Sequential(nn.Linear(20, 40), nn.SiLU(), nn.Linear(40, 20)) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(0, 1)
        weights, chosen = self.gate(x).softmax(-1).topk(2, dim=-1)
        out = torch.zeros_like(x)
        for place, expert in enumerate(self.experts):
            rows, which = torch.where(chosen == place)
            if rows.numel():
                out.index_add_(0, rows, expert(x[rows]) * weights[rows, which, None])
        return self.head(x + out)


class StateSpace(nn.Module):
    """As Mamba: gate, causal depthwise convolution, a selective scan with einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.states, self.rank = 24, 4, 3
        self.embed, self.into, self.out = (
            nn.Linear(10, 12),
            nn.Linear(12, 48, bias=False),
            nn.Linear(24, 12, bias=False),
        )
        self.conv = nn.Conv1d(24, 24, 3, groups=24, padding=2)
        self.project, self.step = nn.Linear(24, 3 + 8, bias=False), nn.Linear(3, 24)
        self.a_log, self.d = nn.Parameter(torch.log(torch.arange(1.0, 5).repeat(24, 1))), nn.Parameter(torch.ones(24))
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        hidden, gate = self.into(x).chunk(2, -1)
        hidden = F.silu(self.conv(hidden.transpose(1, 2))[..., : x.shape[1]])
        step, b, c = torch.split(self.project(hidden.transpose(1, 2)), [self.rank, self.states, self.states], -1)
        delta = F.softplus(self.step(step)).transpose(1, 2)
        decay = torch.exp(torch.einsum("bdl,dn->bdln", delta, -self.a_log.exp()))
        drive = torch.einsum("bdl,bln,bdl->bdln", delta, b, hidden)
        state = x.new_zeros(x.shape[0], self.inner, self.states)
        ys = []
        for place in range(x.shape[1]):
            state = decay[:, :, place] * state + drive[:, :, place]
            ys.append(torch.einsum("bdn,bn->bd", state, c[:, place]))
        y = torch.stack(ys, 2) + hidden * self.d[:, None]
        return self.head(x + self.out(y.transpose(1, 2) * F.silu(gate)))


class DataDependent(nn.Module):
    """Python looks at values."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.yes, self.no, self.head = (
            nn.Linear(10, 24),
            nn.Linear(24, 20),
            nn.Linear(24, 20),
            nn.Linear(20, 5),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x).relu()
        y = self.yes(y) if x.sum() > -1e9 else self.no(y)
        scale = 1 + 0.1 * float(x[0, 0].abs() < 1e9)
        return self.head(y.relu() * scale)


class TrainOnlyHead(nn.Module):
    """An auxiliary head that only train mode uses."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body, self.head = conv(3, 16), conv(16, 24), nn.Linear(24, 5)
        self.aux = nn.Sequential(
            conv(16, 20), nn.BatchNorm2d(20), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(20, 5)
        )

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = self.stem(x).relu()
        out = self.head(self.body(x).relu().mean((2, 3)))
        return (out, self.aux(x)) if self.training else out


class Unused(nn.Module):
    """Parameters and modules that no forward touches."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.forgotten, self.head = nn.Linear(10, 24), nn.Linear(24, 40), nn.Linear(24, 5)
        self.loose = nn.Parameter(torch.zeros(7, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stem(x).relu())


class ManyOutputs(nn.Module):
    """A dict with a tuple in it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body = nn.Linear(10, 24), nn.Linear(24, 40)
        self.one, self.two, self.three = nn.Linear(40, 5), nn.Linear(40, 3), nn.Linear(24, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor | tuple[Tensor, Tensor]]:
        y = self.stem(x).relu()
        z = self.body(y).relu()
        return {"a": self.one(z), "rest": (self.two(z).softmax(-1), self.three(y))}


class Argmax(nn.Module):
    """Class indices beside logits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.codes, self.book = nn.Linear(10, 24), nn.Linear(24, 6), nn.Embedding(6, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.codes(self.stem(x).relu())
        return self.head(
            self.book(logits.argmax(-1)).relu() * logits.softmax(-1).amax(-1, keepdim=True)
        ), logits.argmax(-1)


class KeywordInputs(nn.Module):
    """Two inputs by name, the second optional."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(10, 24), nn.Linear(8, 24)
        self.hidden, self.head = nn.Linear(24, 40), nn.Linear(40, 5)

    def forward(self, *, first: Tensor, second: Tensor | None = None) -> Tensor:
        x = self.left(first)
        if second is not None:
            x = x + self.right(second)
        return self.head(self.hidden(x.relu()).relu())


class Checkpointed(nn.Module):
    """Activation checkpointing in train mode."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block, self.head = (
            nn.Linear(10, 24),
            nn.Sequential(nn.Linear(24, 40), nn.GELU(), nn.Linear(40, 24)),
            nn.Linear(24, 5),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        if self.training:
            from torch.utils.checkpoint import checkpoint

            return self.head(x + checkpoint(self.block, x, use_reentrant=False))
        return self.head(x + self.block(x))


class GramMatrix(nn.Module):
    """Second-order pooling: products of channels with each other."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.hidden, self.head = conv(3, 12), nn.Linear(144, 40), nn.Linear(40, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2)
        gram = x @ x.transpose(1, 2) / x.shape[2]
        return self.head(self.hidden(gram.flatten(1)).relu())


class HyperNetwork(nn.Module):
    """Convolution kernels mixed from a bank by the input, as CondConv."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.route, self.head = conv(3, 12), nn.Linear(12, 3), nn.Linear(20, 5)
        self.bank = nn.Parameter(torch.randn(3, 20 * 12 * 9) / 10)
        self.inside, self.outside = 12, 20

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        weights = self.route(x.mean((2, 3))).sigmoid() @ self.bank
        weights = weights.view(x.shape[0] * self.outside, self.inside, 3, 3)
        y = F.conv2d(x.reshape(1, -1, *x.shape[2:]), weights, padding=1, groups=x.shape[0])
        return self.head(y.view(x.shape[0], self.outside, *x.shape[2:]).relu().mean((2, 3)))


def ids(*shape: int) -> Callable[[int], Tensor]:
    return lambda seed=0: torch.randint(1, 20, shape, generator=torch.Generator().manual_seed(seed))


def masked_ids(seed: int = 0) -> tuple[Tensor, Tensor]:
    mask = torch.ones(2, 7)
    mask[1, 5:] = 0
    return ids(2, 7)(seed), mask


def named(seed: int = 0) -> dict[str, Tensor]:
    return {"first": numbers(3, 10)(seed), "second": numbers(3, 8)(seed + 100)}


steps = numbers(2, 7, 10)

SEQUENCE = {
    "embedding tied with the output head": (TiedEmbedding, ids(2, 7)),
    "word, place and type embeddings, mask": (PositionedEmbedding, masked_ids),
    "LSTM": (lambda: Recurrent(nn.LSTM), steps),
    "bidirectional LSTM of 2 layers": (lambda: Recurrent(nn.LSTM, 2, True), steps),
    "GRU": (lambda: Recurrent(nn.GRU), steps),
    "GRU of 2 layers, batch second": (lambda: Recurrent(nn.GRU, 2, batch_first=False), steps),
    "RNN": (lambda: Recurrent(nn.RNN), steps),
    "LSTM, last hidden state": (LastState, ids(2, 7)),
    "LSTMCell and GRUCell in a loop": (CellLoop, steps),
    "ParameterList and ParameterDict": (Lists, numbers(3, 10)),
    "token mixing": (Mixer, steps),
    "mixture of experts, dense": (DenseMixture, steps),
    "mixture of experts, routed": (RoutedMixture, steps),
    "state space with depthwise conv1d": (StateSpace, steps),
    "data-dependent control flow": (DataDependent, numbers(3, 10)),
    "train-mode-only head": (TrainOnlyHead, images()),
    "unused parameters": (Unused, numbers(3, 10)),
    "dict and tuple outputs": (ManyOutputs, numbers(3, 10)),
    "argmax and a code book": (Argmax, numbers(3, 10)),
    "inputs by keyword": (KeywordInputs, named),
    "activation checkpointing": (Checkpointed, numbers(3, 10)),
    "Gram matrix of channels": (GramMatrix, images()),
    "kernels mixed by the input": (HyperNetwork, images()),
}
"""Name -> (factory, inputs by seed)."""
