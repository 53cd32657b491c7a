"""Toy networks with attention, one construct each. Heads, head sizes and widths are numbers that differ."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tests.channels.toys_convolution import numbers

WIDTH, HEADS, HEAD = 24, 4, 6


class Tokens(nn.Module):
    """Embedding of 10 features into tokens, blocks with residuals and norms, mean, head."""

    def __init__(self, attention: nn.Module, width: int = WIDTH) -> None:
        super().__init__()
        self.embed, self.norm1, self.attention = nn.Linear(10, width), nn.LayerNorm(width), attention
        self.norm2, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 56), nn.Linear(56, width)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        x = x + self.attention(self.norm1(x))
        x = x + self.down(F.gelu(self.up(self.norm2(x))))
        return self.head(self.norm(x).mean(1))


class FusedQkv(nn.Module):
    """As timm: one qkv projection, head_dim, num_heads and scale as attributes."""

    def __init__(self, fused: bool = False) -> None:
        super().__init__()
        self.num_heads, self.head_dim = HEADS, HEAD
        self.scale, self.fused = self.head_dim**-0.5, fused
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        qkv = self.qkv(x).reshape(batch, length, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        x = F.scaled_dot_product_attention(q, k, v) if self.fused else self.plain(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(batch, length, -1))

    def plain(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return ((q * self.scale) @ k.transpose(-2, -1)).softmax(-1) @ v


class ByDivision(nn.Module):
    """As torchvision's Swin: every size is derived from the input's width."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads = HEADS
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        q = q * (c // self.num_heads) ** -0.5
        x = F.softmax(q.matmul(k.transpose(-2, -1)), dim=-1).matmul(v)
        return self.proj(x.transpose(1, 2).reshape(b, n, c))


class SeparateQkv(nn.Module):
    """As BERT: three projections, `view(..., heads, head_size)`, division by math.sqrt(head_size)."""

    def __init__(self) -> None:
        super().__init__()
        self.num_attention_heads, self.attention_head_size = HEADS, HEAD
        self.all_head_size = HEADS * HEAD
        self.query, self.key, self.value = (nn.Linear(WIDTH, self.all_head_size) for _ in range(3))
        self.dense = nn.Linear(self.all_head_size, WIDTH)

    def split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], self.num_attention_heads, self.attention_head_size).permute(0, 2, 1, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))
        scores = q @ k.transpose(-1, -2) / math.sqrt(self.attention_head_size)
        context = (scores.softmax(-1) @ v).permute(0, 2, 1, 3).contiguous()
        return self.dense(context.view(*context.shape[:-2], self.all_head_size))


class GroupedQuery(nn.Module):
    """GQA with rotary positions, as Llama: sizes as attributes, keys and values repeated."""

    def __init__(self, native: bool = False) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads, self.head_dim, self.native = 6, 2, 8, native
        self.num_key_value_groups = self.num_heads // self.num_kv_heads
        self.scaling = self.head_dim**-0.5
        self.q_proj = nn.Linear(WIDTH, 48, bias=False)
        self.k_proj, self.v_proj = nn.Linear(WIDTH, 16, bias=False), nn.Linear(WIDTH, 16, bias=False)
        self.o_proj = nn.Linear(48, WIDTH, bias=False)
        self.register_buffer("inv_freq", 1.0 / 100.0 ** (torch.arange(0, 8, 2).float() / 8), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        q = self.q_proj(x).view(batch, length, -1, self.head_dim).transpose(1, 2)
        k = self.k_proj(x).view(batch, length, -1, self.head_dim).transpose(1, 2)
        v = self.v_proj(x).view(batch, length, -1, self.head_dim).transpose(1, 2)
        angles = torch.arange(length, dtype=x.dtype)[:, None] * self.inv_freq[None].to(x.dtype)
        angles = torch.cat([angles, angles], -1)
        q, k = rotated(q, angles), rotated(k, angles)
        if self.native:
            x = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=self.scaling, enable_gqa=True)
        else:
            k, v = repeat_kv(k, self.num_key_value_groups), repeat_kv(v, self.num_key_value_groups)
            scores = q @ k.transpose(2, 3) * self.scaling
            mask = torch.full((length, length), float("-inf"), dtype=x.dtype).triu(1)
            x = (scores + mask).softmax(-1) @ v
        return self.o_proj(x.transpose(1, 2).reshape(batch, length, -1))


def rotated(x: Tensor, angles: Tensor) -> Tensor:
    half = torch.cat([-x[..., x.shape[-1] // 2 :], x[..., : x.shape[-1] // 2]], -1)
    return x * angles.cos() + half * angles.sin()


def repeat_kv(x: Tensor, times: int) -> Tensor:
    batch, heads, length, size = x.shape
    x = x[:, :, None].expand(batch, heads, times, length, size)
    return x.reshape(batch, heads * times, length, size)


class InterleavedRotary(nn.Module):
    """Rotary positions on neighbouring pairs, as GPT-J: x[..., ::2] and x[..., 1::2]."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads, self.head_dim = 3, 8
        self.q, self.k, self.v = (nn.Linear(WIDTH, 24, bias=False) for _ in range(3))
        self.out = nn.Linear(24, WIDTH)
        self.register_buffer("inv_freq", 1.0 / 100.0 ** (torch.arange(0, 8, 2).float() / 8))

    def heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)

    def turn(self, x: Tensor) -> Tensor:
        angles = torch.arange(x.shape[2], dtype=x.dtype)[:, None] * self.inv_freq.to(x.dtype)
        even, odd = x[..., ::2], x[..., 1::2]
        pairs = (even * angles.cos() - odd * angles.sin(), even * angles.sin() + odd * angles.cos())
        return torch.stack(pairs, -1).flatten(-2)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.turn(self.heads(self.q(x))), self.turn(self.heads(self.k(x))), self.heads(self.v(x))
        x = (q @ k.transpose(-1, -2) * 0.3).softmax(-1) @ v
        return self.out(x.transpose(1, 2).flatten(2))


class CosineAttention(nn.Module):
    """As Swin v2: normalised queries and keys, a learned temperature per head."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads = HEADS
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.logit_scale = nn.Parameter(torch.log(10 * torch.ones(HEADS, 1, 1)))

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        scores = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
        x = (scores * self.logit_scale.clamp(max=math.log(100)).exp()).softmax(-1) @ v
        return self.proj(x.transpose(1, 2).reshape(b, n, -1))


class EinsumAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.heads, self.scale = HEADS, HEAD**-0.5
        self.q, self.k, self.v, self.out = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).unflatten(-1, (self.heads, -1)) for layer in (self.q, self.k, self.v))
        weights = (torch.einsum("bihd,bjhd->bhij", q, k) * self.scale).softmax(-1)
        return self.out(torch.einsum("bhij,bjhd->bihd", weights, v).flatten(2))


class LinearAttention(nn.Module):
    """Keys and values are multiplied first; features are made positive."""

    def __init__(self) -> None:
        super().__init__()
        self.dim = HEAD
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        q, k, v = self.qkv(x).reshape(b, n, -1, 3 * self.dim).transpose(1, 2).chunk(3, -1)
        q, k = q.relu(), k.relu()
        v = F.pad(v, (0, 1), value=1.0)
        x = q @ (k.transpose(-1, -2) @ v)
        x = x[..., :-1] / (x[..., -1:] + 1e-6)
        return self.proj(x.transpose(1, 2).reshape(b, n, -1))


class CrossCovariance(nn.Module):
    """As XCiT: attention between the channels of a head, a softmax over them."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads = HEADS
        self.temperature = nn.Parameter(torch.ones(HEADS, 1, 1))
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 4, 1).unbind(0)
        scores = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1) * self.temperature
        return self.proj((scores.softmax(-1) @ v).permute(0, 3, 1, 2).reshape(b, n, -1))


class TalkingHeads(nn.Module):
    """Heads are mixed before and after the softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads, self.scale = HEADS, HEAD**-0.5
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.before, self.after = nn.Linear(HEADS, HEADS), nn.Linear(HEADS, HEADS)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        scores = self.before((q * self.scale @ k.transpose(-2, -1)).permute(0, 2, 3, 1)).permute(0, 3, 1, 2).softmax(-1)
        scores = self.after(scores.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.proj((scores @ v).transpose(1, 2).reshape(b, n, c))


class QkNorm(nn.Module):
    """Queries and keys pass an RMS norm over the head size."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads, self.head_dim = HEADS, HEAD
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.q_norm, self.k_norm = nn.RMSNorm(HEAD, eps=1e-6), nn.LayerNorm(HEAD)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        q, k, v = (part.view(*part.shape[:2], self.num_heads, self.head_dim).transpose(1, 2) for part in (q, k, v))
        x = F.scaled_dot_product_attention(self.q_norm(q), self.k_norm(k), v)
        return self.proj(x.transpose(1, 2).flatten(2))


class RelativeBias(nn.Module):
    """A table of biases per head, looked up by integer positions."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads = HEADS
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.table = nn.Parameter(torch.zeros(13, HEADS))
        place = torch.arange(7)
        self.register_buffer("index", place[:, None] - place[None] + 6, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.table[self.index.view(-1)].view(n, n, -1).permute(2, 0, 1).contiguous()
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.unsqueeze(0))
        return self.proj(x.transpose(1, 2).reshape(b, n, c))


class NativeSelf(nn.Module):
    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=batch_first)
        self.batch_first = batch_first

    def forward(self, x: Tensor) -> Tensor:
        if self.batch_first:
            return self.attention(x, x, x, need_weights=False)[0]
        x = x.transpose(0, 1)
        return self.attention(x, x, x)[0].transpose(0, 1)


class NativeCross(nn.Module):
    """Learned queries look at tokens of another width."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.embed, self.batch_first = nn.Linear(10, 20), batch_first
        self.queries = nn.Parameter(torch.randn(3, 24) * 0.5)
        self.attention = nn.MultiheadAttention(24, 4, kdim=20, vdim=20, batch_first=batch_first)
        self.norm, self.hidden, self.head = nn.LayerNorm(24), nn.Linear(24, 40), nn.Linear(40, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        queries = self.queries.unsqueeze(0).expand(x.shape[0], -1, -1)
        if self.batch_first:
            out, _ = self.attention(queries, x, x)
        else:
            out, _ = self.attention(queries.transpose(0, 1), x.transpose(0, 1), x.transpose(0, 1), need_weights=False)
            out = out.transpose(0, 1)
        return self.head(self.hidden(self.norm(queries + out)).relu())


class EncoderLayer(nn.Module):
    def __init__(self, norm_first: bool, batch_first: bool) -> None:
        super().__init__()
        self.batch_first, self.embed = batch_first, nn.Linear(10, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 56, norm_first=norm_first, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        x = self.encoder(x) if self.batch_first else self.encoder(x.transpose(0, 1)).transpose(0, 1)
        return self.head(x.mean(1))


class DecoderLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.targets = nn.Linear(10, WIDTH), nn.Parameter(torch.randn(1, 4, WIDTH) * 0.5)
        layer = nn.TransformerDecoderLayer(WIDTH, HEADS, 56, batch_first=True)
        self.decoder, self.head = nn.TransformerDecoder(layer, 1), nn.Linear(WIDTH, 5)

    def forward(self, x: Tensor) -> Tensor:
        memory = self.embed(x)
        return self.head(self.decoder(self.targets.expand(x.shape[0], -1, -1), memory))


class ClassToken(nn.Module):
    """Class token and positions as raw parameters, concatenated and added; the class token is read."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, WIDTH, 4, stride=4)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(torch.randn(1, 5, WIDTH) * 0.02)
        self.block, self.norm, self.head = FusedQkv(fused=True), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embed
        return self.head(self.norm(x + self.block(x))[:, 0])


class LearnedQueries(nn.Module):
    """As DETR: queries from an embedding's weight."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.queries = nn.Linear(10, WIDTH), nn.Embedding(3, WIDTH)
        self.q, self.k, self.v, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.classes, self.boxes = nn.Linear(WIDTH, 5), nn.Sequential(nn.Linear(WIDTH, 40), nn.ReLU(), nn.Linear(40, 4))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.embed(x)
        queries = self.queries.weight.unsqueeze(0).repeat(x.shape[0], 1, 1)
        scores = self.q(queries) @ self.k(x).transpose(1, 2) * 0.2
        x = queries + self.out(scores.softmax(-1) @ self.v(x))
        return {"logits": self.classes(x), "boxes": self.boxes(x).sigmoid()}


class PoolingAttention(nn.Module):
    """One learned query per head pools the tokens; the best tokens are chosen by score."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.score, self.value = nn.Linear(10, WIDTH), nn.Linear(WIDTH, 1), nn.Linear(WIDTH, 32)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).relu()
        best = self.score(x).squeeze(-1).topk(3, dim=1).indices
        x = x.gather(1, best.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
        return self.head(self.value(x).relu().mean(1))


class CustomRmsNorm(nn.Module):
    """As Llama's: x * rsqrt(mean(x^2)) * weight."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.variance_epsilon = nn.Parameter(torch.ones(width)), 1e-6

    def forward(self, x: Tensor) -> Tensor:
        variance = x.pow(2).mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(variance + self.variance_epsilon))


class RmsNormNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm, self.up, self.gate = (
            nn.Linear(10, 24),
            CustomRmsNorm(24),
            nn.Linear(24, 40),
            nn.Linear(24, 40),
        )
        self.down, self.norm2, self.head = nn.Linear(40, 24), nn.RMSNorm(24, eps=1e-6), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        y = self.norm(x)
        x = x + self.down(F.silu(self.gate(y)) * self.up(y))
        return self.head(self.norm2(x).mean(1))


class SpatialReduction(nn.Module):
    """As PVT and SegFormer: keys and values from a strided convolution over the tokens' grid."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads = HEADS
        self.scale = HEAD**-0.5
        self.q, self.kv, self.proj = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.sr, self.norm = nn.Conv2d(WIDTH, WIDTH, 2, stride=2), nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        side = math.isqrt(n)
        q = self.q(x).reshape(b, n, self.num_heads, -1).permute(0, 2, 1, 3)
        y = self.sr(x.permute(0, 2, 1).reshape(b, c, side, side)).reshape(b, c, -1).permute(0, 2, 1)
        kv = self.kv(self.norm(y)).reshape(b, -1, 2, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        x = (q @ kv[0].transpose(-2, -1) * self.scale).softmax(-1) @ kv[1]
        return self.proj(x.transpose(1, 2).reshape(b, n, c))


class Windows(nn.Module):
    """As Swin: a grid cut into shifted windows, and put together again."""

    def __init__(self) -> None:
        super().__init__()
        self.size, self.attention = 2, FusedQkv()

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        side, size = math.isqrt(n), self.size
        x = x.view(b, side, side, c).roll((-1, -1), (1, 2))
        x = x.view(b, side // size, size, side // size, size, c).permute(0, 1, 3, 2, 4, 5)
        x = self.attention(x.reshape(-1, size * size, c))
        x = x.view(b, side // size, side // size, size, size, c).permute(0, 1, 3, 2, 4, 5).reshape(b, side, side, c)
        return x.roll((1, 1), (1, 2)).reshape(b, n, c)


tokens = numbers(2, 7, 10)
grid = numbers(2, 16, 10)

ATTENTION = {
    "fused qkv (head_dim, scale attributes)": (lambda: Tokens(FusedQkv()), tokens),
    "fused qkv, default sdpa scale": (lambda: Tokens(FusedQkv(fused=True)), tokens),
    "fused qkv, C // num_heads": (lambda: Tokens(ByDivision()), tokens),
    "separate q k v, math.sqrt(head_size)": (lambda: Tokens(SeparateQkv()), tokens),
    "GQA, RoPE, repeat_kv": (lambda: Tokens(GroupedQuery()), tokens),
    "GQA in sdpa": (lambda: Tokens(GroupedQuery(native=True)), tokens),
    "interleaved RoPE": (lambda: Tokens(InterleavedRotary()), tokens),
    "cosine attention": (lambda: Tokens(CosineAttention()), tokens),
    "einsum attention": (lambda: Tokens(EinsumAttention()), tokens),
    "linear attention": (lambda: Tokens(LinearAttention()), tokens),
    "cross-covariance attention": (lambda: Tokens(CrossCovariance()), tokens),
    "talking heads": (lambda: Tokens(TalkingHeads()), tokens),
    "q and k norms": (lambda: Tokens(QkNorm()), tokens),
    "relative position bias": (lambda: Tokens(RelativeBias()), tokens),
    "nn.MultiheadAttention self, batch first": (lambda: Tokens(NativeSelf(True)), tokens),
    "nn.MultiheadAttention self, batch second": (lambda: Tokens(NativeSelf(False)), tokens),
    "nn.MultiheadAttention cross, batch first": (lambda: NativeCross(True), tokens),
    "nn.MultiheadAttention cross, batch second": (lambda: NativeCross(False), tokens),
    "nn.TransformerEncoderLayer": (lambda: EncoderLayer(False, True), tokens),
    "nn.TransformerEncoderLayer, norm first, batch second": (lambda: EncoderLayer(True, False), tokens),
    "nn.TransformerDecoderLayer": (DecoderLayer, tokens),
    "class token and positions": (ClassToken, numbers(2, 3, 8, 8)),
    "learned queries, dict output": (LearnedQueries, tokens),
    "topk over tokens": (PoolingAttention, tokens),
    "custom RMSNorm, gated MLP": (RmsNormNet, tokens),
    "spatial reduction attention": (lambda: Tokens(SpatialReduction()), grid),
    "shifted windows": (lambda: Tokens(Windows()), grid),
}
"""Name -> (factory, inputs by seed)."""
