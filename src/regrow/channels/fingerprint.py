"""Fingerprints: which weights is this network holding?"""

from __future__ import annotations

import hashlib
from typing import Final

import torch
from torch import Tensor, nn

SAMPLE: Final = 4096
"""Elements of every tensor that are hashed in their order."""

_INTEGERS: Final = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def fingerprint(network: nn.Module) -> str:
    """SHA-256 over names, types, shapes and contents of all parameters and buffers, 64 hexadecimal digits.

    Of the contents, the sum of all elements' bits and up to `SAMPLE` evenly spaced elements in their order are hashed: reading every
    bit of a large network takes longer than pruning it. A step of training, another seed, another order of channels or one changed
    number give another fingerprint; it tells networks apart, and is no protection against somebody who wants two to look alike.
    Independent of device, memory layout, mode and the order in which modules were registered.
    """
    state = network.state_dict()
    total = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach()
        total.update(f"{name}\x1f{tensor.dtype}\x1f{tuple(tensor.shape)}\x1f".encode())
        if tensor.device.type != "meta" and tensor.numel():
            total.update(_contents(tensor))
    return total.hexdigest()


def _contents(tensor: Tensor) -> bytes:
    plain = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    bits = plain.contiguous().reshape(-1).view(_INTEGERS[plain.element_size()])
    sample = bits[:: max(1, -(-len(bits) // SAMPLE))].to(torch.int64).cpu()
    return _sum(bits).to_bytes(8, "little", signed=True) + sample.numpy().tobytes()


def _sum(bits: Tensor) -> int:
    """The sum of all bits, eight bytes at a time; what is left over is added as it is."""
    step = 8 // bits.element_size()
    whole = len(bits) // step * step
    return int(bits[:whole].view(torch.int64).sum()) ^ int(bits[whole:].sum(dtype=torch.int64))
