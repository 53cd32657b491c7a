"""Architectures from two networks: a dense one and one that was built small by hand, compared axis by axis."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from regrow.channels.architecture import Architecture, Correction, KeptChannels
from regrow.networks.groups import Slice


def between(dense: nn.Module, small: nn.Module, corrections: tuple[Correction, ...] = ()) -> Architecture:
    """The architecture that makes `small` of `dense`: every axis that differs is a group of its own, its kept indices spread evenly.

    Even spreading leaves something of every head and of every group of a grouped convolution.
    """
    small_tensors = named_tensors(small)
    kept = []
    for name, tensor in named_tensors(dense).items():
        for axis, (many, few) in enumerate(zip(tensor.shape, small_tensors[name].shape, strict=True)):
            if many != few:
                indices = tuple(index * many // few for index in range(few))
                part = Slice(name, axis)
                kept.append(KeptChannels(group=f"{name}.{axis}", channels=many, indices=indices, slices=(part,)))
    return Architecture(dense=None, kept=tuple(kept), corrections=corrections, fingerprint="0" * 64, regrow="test")


def named_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by their first names."""
    return dict([*network.named_parameters(), *network.named_buffers()])


def shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor by its first name."""
    return {name: tuple(tensor.shape) for name, tensor in named_tensors(network).items()}


def unlike(found: nn.Module, expected: nn.Module, *, large: int = 2000, slack: float = 5.0) -> list[str]:
    """Tensors of at least `large` numbers whose mean or standard deviation differs by more than chance, with the numbers.

    `slack` counts standard errors of the difference; constants must be equal.
    """
    others = named_tensors(expected)
    different = []
    for name, tensor in named_tensors(found).items():
        if tensor.numel() < large or not tensor.is_floating_point():
            continue
        std, mean = spread(tensor)
        other_std, other_mean = spread(others[name])
        allowed = slack * other_std / tensor.numel() ** 0.5
        if abs(std - other_std) > allowed or abs(mean - other_mean) > 2**0.5 * allowed:
            different.append(f"{name}: mean {mean:.5f} std {std:.5f}, by hand {other_mean:.5f} {other_std:.5f}")
    return different


def spread(tensor: Tensor) -> tuple[float, float]:
    """Standard deviation and mean, without the one number in a million that `trunc_normal_` throws to its far bounds."""
    values = tensor.detach().double().flatten()
    values = values[values.abs() <= 12 * values.abs().median() + 1e-12]
    std, mean = torch.std_mean(values)
    return float(std), float(mean)
