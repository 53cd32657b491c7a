"""Fingerprints: which weights is this network holding?"""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def fingerprint(network: nn.Module) -> str:
    """SHA-256 over names, types, shapes and bits of all parameters and buffers, 64 hexadecimal digits.

    Independent of device, memory layout, mode and the order in which modules were registered. Of a tensor on the meta device, which
    has no bits, only name, type and shape count; extra state that is not a tensor does not count.
    """
    state = network.state_dict()
    total = hashlib.sha256()
    for name in sorted(state):
        if not isinstance(state[name], torch.Tensor):
            continue
        tensor = state[name].detach()
        total.update(f"{name}\x1f{tensor.dtype}\x1f{tuple(tensor.shape)}\x1f".encode())
        if tensor.is_meta:
            continue
        total.update(memoryview(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy()))
    return total.hexdigest()
