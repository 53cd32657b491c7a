"""Small networks that hold every kind of layer, examples for them, and what must not change when they are looked at."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrow.networks.groups import Group, Slice
from regrow.randomness import generator

CLASSES = 3

GROUPS = (
    Group(
        "first", 6, (Slice("first.weight", 0), Slice("norm.weight", 0), Slice("norm.bias", 0), Slice("deep.weight", 0))
    ),
    Group("up", 4, (Slice("up.weight", 1), Slice("up.bias", 0), Slice("after.weight", 0), Slice("hidden.weight", 1))),
    Group("hidden", 5, (Slice("hidden.weight", 0), Slice("calm.weight", 0), Slice("head.weight", 1))),
)
NAMES = ("first.weight", "deep.weight", "grouped.weight", "up.weight", "hidden.weight", "head.weight")


class Kinds(nn.Module):
    """A convolution, a depthwise, a grouped and a transposed one, and linear layers; activations as modules and as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.deep = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.grouped = nn.Conv2d(6, 6, 3, stride=2, padding=1, groups=2)
        self.up = nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.after = nn.GroupNorm(1, 4)
        self.drop = nn.Dropout(0.5)
        self.hidden = nn.Linear(4, 5)
        self.calm = nn.LayerNorm(5)
        self.head = nn.Linear(5, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Scores [N, 3] for images [N, 2, H, W]."""
        maps = functional.relu(self.norm(self.first(images)), inplace=True)
        maps = torch.tanh(self.grouped(self.deep(maps)))
        maps = self.drop(self.after(self.up(maps)))
        scores: Tensor = self.head(functional.gelu(self.calm(self.hidden(maps.mean(dim=(2, 3))))))
        return scores


def kinds() -> Kinds:
    """The network in training mode, with norms that have seen something."""
    torch.manual_seed(0)
    network = Kinds()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
        network.norm.running_mean.normal_()
        network.norm.running_var.uniform_(0.5, 2)
    return network


def examples(batches: int = 2, size: int = 4, shape: tuple[int, ...] = (2, 8, 8)) -> list[tuple[Tensor, Tensor]]:
    """Batches of noise and labels, the same at every call."""
    numbers = generator(0, "examples")
    return [
        (torch.randn(size, *shape, generator=numbers), torch.randint(0, CLASSES, (size,), generator=numbers))
        for _ in range(batches)
    ]


def one_batch(batches: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """All batches as one."""
    return torch.cat([images for images, _ in batches]), torch.cat([labels for _, labels in batches])


def state_of(network: nn.Module) -> dict[str, Any]:
    """Everything of a network that looking at it must leave as it is."""
    return {
        "tensors": {name: (tensor.clone(), tensor.data_ptr()) for name, tensor in network.state_dict().items()},
        "ids": [id(parameter) for parameter in network.parameters()],
        "modes": [module.training for module in network.modules()],
        "requires_grad": [parameter.requires_grad for parameter in network.parameters()],
        "grad": [None if parameter.grad is None else parameter.grad.clone() for parameter in network.parameters()],
        "hooks": [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in network.modules()],
    }


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether two states are equal, bit by bit."""
    tensors = all(
        torch.equal(one, second["tensors"][name][0]) and place == second["tensors"][name][1]
        for name, (one, place) in first["tensors"].items()
    )
    grads = all(
        (one is None and two is None) or (one is not None and two is not None and torch.equal(one, two))
        for one, two in zip(first["grad"], second["grad"], strict=True)
    )
    return tensors and grads and all(first[key] == second[key] for key in ("ids", "modes", "requires_grad", "hooks"))
