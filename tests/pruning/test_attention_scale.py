from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from regrow.errors import PruningError
from regrow.pruning.anything import prune_network

WIDTH, HEADS, SIZE = 16, 2, 8
TOKENS = torch.randn(2, 5, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Attention(nn.Module):
    """Attention with separate projections; the head size is read off the weight."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.q, self.k, self.v = (nn.Linear(WIDTH, HEADS * SIZE) for _ in range(3))
        self.qkv = nn.Linear(WIDTH, 3 * HEADS * SIZE)
        self.q_norm, self.k_norm = nn.LayerNorm(SIZE), nn.LayerNorm(SIZE)
        self.out = nn.Linear(HEADS * SIZE, WIDTH)
        for name in ("q", "k", "v", "qkv", "q_norm", "k_norm"):
            if name not in self.parts():
                delattr(self, name)

    def parts(self) -> set[str]:
        """The layers of this kind."""
        kinds = {"fused": {"qkv"}, "normed": {"q", "k", "v", "q_norm", "k_norm"}}
        return kinds.get(self.kind, {"q", "k", "v"})

    def projected(self, tokens: Tensor) -> list[Tensor]:
        """Queries, keys and values [N, heads, length, head size]."""
        rows = (
            self.qkv(tokens).chunk(3, dim=-1)
            if self.kind == "fused"
            else [self.q(tokens), self.k(tokens), self.v(tokens)]
        )
        return [row.unflatten(-1, (HEADS, -1)).transpose(1, 2) for row in rows]

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [N, length, width] plus what they read of each other."""
        q, k, v = self.projected(tokens)
        if self.kind == "normed":
            q, k = self.q_norm(q), self.k_norm(k)
        if self.kind == "own":
            heads = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1) @ v
        elif self.kind == "stored":
            heads = functional.scaled_dot_product_attention(q, k, v, scale=0.3)
        else:
            heads = functional.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.out(heads.transpose(1, 2).flatten(2))
        return tokens + out


def network(kind: str) -> nn.Module:
    torch.manual_seed(1)
    made = nn.Sequential(Attention(kind), Attention(kind)).double().eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(3 if parameter.ndim > 1 else 1).add_(0.1 * torch.randn_like(parameter))
    return made


def pruned(kind: str, **options: Any) -> Any:
    return prune_network(network(kind), TOKENS, ignore=("*.out",), **options)


def at_the_old_scale(small: nn.Module, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """What a small network gives when every attention divides by the square root of the dense head size."""
    plain = functional.scaled_dot_product_attention
    monkeypatch.setattr(functional, "scaled_dot_product_attention", lambda q, k, v: plain(q, k, v, scale=SIZE**-0.5))
    found: Tensor = small(TOKENS)
    monkeypatch.undo()
    return found


@pytest.mark.parametrize("kind", ["separate", "fused", "normed"])
def test_the_old_scale_comes_out_wherever_queries_come_from(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, kept = pruned(kind), pruned(kind, keep_attention_scale=True)
    assert plain.architecture == kept.architecture
    with torch.no_grad():
        expected = at_the_old_scale(plain.network, monkeypatch)
        assert float((plain.network(TOKENS) - expected).abs().max()) > 1e-3
        torch.testing.assert_close(kept.network(TOKENS), expected, rtol=1e-9, atol=1e-9)
    (note,) = [note for note in kept.notes if "folded" in note]
    layer = {
        "separate": "0.q.weight, 0.q.bias, 1.q.weight",
        "fused": "0.qkv.weight, 0.qkv.bias",
        "normed": "0.q_norm.weight",
    }[kind]
    assert f"folded into {layer}" in note
    assert kept.verification.verified


def test_only_what_the_note_names_is_changed() -> None:
    plain, kept = pruned("fused"), pruned("fused", keep_attention_scale=True)
    before, after = plain.network.state_dict(), kept.network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"0.qkv.weight", "0.qkv.bias", "1.qkv.weight", "1.qkv.bias"}
    size = plain.network[0].qkv.out_features // 3
    torch.testing.assert_close(after["0.qkv.weight"][:size], before["0.qkv.weight"][:size] * 0.5**0.5)
    assert torch.equal(after["0.qkv.weight"][size:], before["0.qkv.weight"][size:])


def test_a_stored_scale_needs_nothing() -> None:
    plain, kept = pruned("stored"), pruned("stored", keep_attention_scale=True)
    assert kept.notes == plain.notes
    assert torch.equal(plain.network(TOKENS), kept.network(TOKENS))


def test_values_may_shrink_without_touching_the_scale() -> None:
    kept = prune_network(network("separate"), TOKENS, ignore=("*.q", "*.out"), keep_attention_scale=True)
    assert [entry.group for entry in kept.architecture.kept if len(entry.indices) < entry.channels] == ["0.v", "1.v"]
    assert not any("folded" in note for note in kept.notes)


def test_a_scale_that_the_network_computes_itself_cannot_be_folded() -> None:
    with pytest.raises(PruningError, match="keep_attention_scale: no change of weights gives back"):
        pruned("own", keep_attention_scale=True)
