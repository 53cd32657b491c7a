"""Small residual networks, each with one peculiarity, and the plain way to silence a module."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 6
IMAGES = torch.zeros(2, 3, 8, 8)


class Plain(nn.Module):
    """x + branch(x)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(WIDTH)
        self.conv = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)

    def branch(self, x: Tensor) -> Tensor:
        made: Tensor = self.conv(self.norm(x).relu())
        return made

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


class Deep(Plain):
    """With channels of its own, inside the branch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * WIDTH, WIDTH, 3, padding=1)
        self.first = nn.Conv2d(WIDTH, 2 * WIDTH, 3, padding=1)

    def branch(self, x: Tensor) -> Tensor:
        made: Tensor = self.conv(self.first(self.norm(x)).relu())
        return made


class InPlace(Plain):
    """The shortcut is added into the branch's own memory."""

    def forward(self, x: Tensor) -> Tensor:
        made = self.branch(x)
        made += x
        return made


class IntoInput(Plain):
    """The branch is added into the memory of the block's input."""

    def forward(self, x: Tensor) -> Tensor:
        return x.add_(self.branch(x))


class Called(Plain):
    """The function, with the operands the other way round."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(self.branch(x), x)


class Rectified(Plain):
    """A ReLU behind the sum: the identity where the input comes from another ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(super().forward(x), inplace=True)


class Handed(Plain):
    """What is added was handed on by modules that do nothing in eval mode, after a product with a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(WIDTH, 1, 1))
        self.drop = nn.Dropout(0.5)
        self.path = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = x + self.path(self.drop(self.scale * self.branch(x)))
        return made


class Turned(Plain):
    """Two branches, the second with channels last, on views of the running sum."""

    def __init__(self) -> None:
        super().__init__()
        self.mlp = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.branch(x)
        last = x.permute(0, 2, 3, 1)
        return (last + self.mlp(last)).permute(0, 3, 1, 2)


class Normed(Plain):
    """A norm behind the sum: no identity."""

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norm(super().forward(x))
        return normed


class Widening(Plain):
    """The shortcut is a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(WIDTH, WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.shortcut(x) + self.branch(x)
        return made


class Shifted(Plain):
    """A parameter is added to the shortcut, too."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.ones(WIDTH, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.shift


class Asking(Plain):
    """It is told something besides its input."""

    def forward(self, x: Tensor, times: int = 1) -> Tensor:
        return x + times * self.branch(x)


class Outer(nn.Module):
    """A block around a block."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.conv = nn.Conv2d(WIDTH, WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = x + self.conv(self.inner(x))
        return made


class Around(nn.Module):
    """A stem with a ReLU or without, blocks, a head."""

    def __init__(self, *blocks: nn.Module, relu: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTH, 3, padding=1)
        self.relu = relu
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(WIDTH, 4)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        x = x.relu() if self.relu else x
        for block in self.blocks:
            x = self.call(block, x)
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits

    def call(self, block: nn.Module, x: Tensor) -> Tensor:
        """How a block is called."""
        made: Tensor = block(x)
        return made


class Telling(Around):
    """It tells its blocks more than their input."""

    def call(self, block: nn.Module, x: Tensor) -> Tensor:
        made: Tensor = block(x, times=2)
        return made


class Repeating(Around):
    """It runs every block twice."""

    def call(self, block: nn.Module, x: Tensor) -> Tensor:
        made: Tensor = block(block(x))
        return made


class Looking(Around):
    """It looks at its blocks, so it cannot do without them."""

    def call(self, block: nn.Module, x: Tensor) -> Tensor:
        made: Tensor = block(x) * block.norm.num_features
        return made


class Counting(Around):
    """It looks at numbers, so it cannot run without them."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * (2 if float(images.sum()) > 0 else 1)


@contextlib.contextmanager
def silent(network: nn.Module, names: Iterable[str]) -> Iterator[None]:
    """Modules give zeros inside the block."""

    def zeros(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        return torch.zeros_like(output)

    handles = [network.get_submodule(name).register_forward_hook(zeros) for name in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
