"""Small networks whose speed is asked about."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu


class Separable(nn.Module):
    """A dense, a depthwise and a 1x1 convolution, a norm, a residual sum, and a linear layer."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, channels, 3, padding=1)
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm = nn.BatchNorm2d(channels)
        self.pointwise = nn.Conv2d(channels, channels, 1)
        self.head = nn.Linear(channels, 4)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, 4]."""
        x = relu(self.stem(images))
        x = x + self.pointwise(self.norm(self.depthwise(x)))
        return self.head(x.mean((2, 3)))


class Attention(nn.Module):
    """PyTorch's own attention, which may run as a single operation."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(channels, 2, batch_first=True)

    def forward(self, tokens: Tensor, scale: Tensor) -> Tensor:
        """Tokens as they came in, [B, T, C]."""
        attended: Tensor = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return attended * scale


class Branching(nn.Module):
    """Looks at the values of its inputs, so it cannot run without numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8, bias=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Rows [B, 8]."""
        return self.layer(rows) if rows.sum() > -1e9 else rows


def images(batch: int = 1, size: int = 8) -> Tensor:
    """Images [batch, 3, size, size]."""
    return torch.linspace(-1, 1, batch * 3 * size * size).view(batch, 3, size, size)
