"""Layers that read channels: what they read for one output value, and their weights as matrices.

A linear layer or a convolution computes each output value from a few input values, its patch. Where patches and weights are laid
out alike, every such layer is one matrix product, and what is said about channels holds for all of them:

    output[n, o] = sum over taps k and input columns i of  patches[n, k, i] * weight[o, k, i]   (+ bias[o])

A tap is one place of the kernel; a linear layer has one. Values at rows of the output are addressed by one flat number,
example * places + place, where places counts the positions of the output map (or the tokens) of one example.

Shape suffixes: B = examples, N = sampled rows, K = taps, I = input columns, O = outputs.
"""

from __future__ import annotations

import itertools
import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

CONVOLUTIONS: Final = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED: Final = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_FORWARDS: Final = tuple(kind.forward for kind in (nn.Linear, *CONVOLUTIONS, *TRANSPOSED))


def is_layer(module: nn.Module) -> bool:
    """Whether a module computes what the equation above says: a linear layer or a convolution of PyTorch with one group.

    Subclasses with a forward of their own (standardised weights, padding that depends on the size) and weights that are computed
    anew in every pass (parametrisations) are not: changing the stored weight does something else there.
    """
    if type(module).forward not in _FORWARDS or "weight" not in module._parameters:
        return False
    return getattr(module, "groups", 1) == 1


def input_axis(module: nn.Module) -> int:
    """The axis of the weight along which the input columns stand."""
    return 0 if isinstance(module, TRANSPOSED) else 1


def weight_matrix(module: nn.Module) -> Tensor:
    """The weight as outputs x taps x input columns; shares memory where it can."""
    weight = module.get_parameter("weight").detach()
    if isinstance(module, nn.Linear):
        return weight.unsqueeze(1)
    flat = weight.flatten(2)
    return flat.permute(1, 2, 0) if isinstance(module, TRANSPOSED) else flat.transpose(1, 2)


def write_columns(module: nn.Module, columns: Tensor, block_OKI: Tensor) -> None:
    """Put new numbers into the given input columns of the weight."""
    weight = module.get_parameter("weight").detach()
    order = (2, 0, 1) if isinstance(module, TRANSPOSED) else (0, 2, 1)
    shape = list(weight.shape)
    shape[input_axis(module)] = len(columns)
    block = block_OKI.permute(order).reshape(shape).to(weight)
    weight.index_copy_(input_axis(module), columns.to(weight.device), block)


def places(module: nn.Module, output: Tensor) -> tuple[int, int]:
    """Examples and places of an output: a convolution's map, a linear layer's tokens."""
    if isinstance(module, nn.Linear):
        return (output.shape[0], math.prod(output.shape[1:-1])) if output.ndim > 1 else (1, 1)
    return output.shape[0], math.prod(output.shape[2:])


def rows_of(module: nn.Module, output: Tensor, rows_N: Tensor) -> Tensor:
    """Output values, values_NO, at the given rows; also of any tensor that is shaped like the output."""
    if isinstance(module, nn.Linear):
        return output.reshape(-1, output.shape[-1])[rows_N]
    flat = output.flatten(2)
    return flat[rows_N // flat.shape[2], :, rows_N % flat.shape[2]]


def patches(module: nn.Module, given: Tensor, output: Tensor, rows_N: Tensor, columns: Tensor) -> Tensor:
    """patches_NKI: what the layer reads of the given input columns for each of the output rows."""
    if isinstance(module, nn.Linear):
        return given.reshape(-1, given.shape[-1])[rows_N][:, columns].unsqueeze(1)
    taken = given.index_select(1, columns)
    if isinstance(module, CONVOLUTIONS):
        taken = _padded(module, taken)
    count = math.prod(output.shape[2:])
    index_NK, inside_NK = _places_read(module, _coordinates(rows_N % count, output.shape[2:]), taken.shape[2:])
    flat_BLI = taken.flatten(2).transpose(1, 2)
    found = flat_BLI[(rows_N // count).unsqueeze(1), index_NK]
    return found * inside_NK.unsqueeze(2)


def _padded(module: nn.Module, images: Tensor) -> Tensor:
    """The input with the module's padding around it; PyTorch keeps it in this attribute for every kind of padding."""
    amounts = module._reversed_padding_repeated_twice
    mode = getattr(module, "padding_mode", "zeros")
    assert isinstance(amounts, (list, tuple))
    return functional.pad(images, list(amounts), mode="constant" if mode == "zeros" else str(mode))


def _coordinates(flat_N: Tensor, sizes: torch.Size) -> list[Tensor]:
    """The coordinates of flat places in a map of these sizes."""
    found = []
    for size in reversed(sizes):
        found.append(flat_N % size)
        flat_N = flat_N // size
    return found[::-1]


def _places_read(module: nn.Module, at: list[Tensor], sizes: torch.Size) -> tuple[Tensor, Tensor]:
    """Flat places of the input that each tap reads for the outputs at these coordinates, and whether they lie inside the input."""
    taps = list(itertools.product(*(range(size) for size in _numbers(module, "kernel_size"))))
    index_NK = torch.zeros(len(at[0]), len(taps), dtype=torch.int64, device=at[0].device)
    inside_NK = torch.ones_like(index_NK, dtype=torch.bool)
    stride, dilation = _numbers(module, "stride"), _numbers(module, "dilation")
    for axis, (place_N, size) in enumerate(zip(at, sizes, strict=True)):
        tap_K = torch.tensor([tap[axis] for tap in taps], device=place_N.device) * dilation[axis]
        if isinstance(module, TRANSPOSED):
            reach_NK = place_N.unsqueeze(1) + _numbers(module, "padding")[axis] - tap_K
            inside_NK &= reach_NK % stride[axis] == 0
            read_NK = reach_NK.div(stride[axis], rounding_mode="floor")
        else:
            read_NK = place_N.unsqueeze(1) * stride[axis] + tap_K
        inside_NK &= (read_NK >= 0) & (read_NK < size)
        index_NK = index_NK * size + read_NK.clamp(0, size - 1)
    return index_NK, inside_NK


def _numbers(module: nn.Module, attribute: str) -> tuple[int, ...]:
    value = getattr(module, attribute)
    assert isinstance(value, tuple)
    return value
