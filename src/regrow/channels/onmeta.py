"""Copies of a network to be traced: on the meta device, where tensors have shapes and no numbers, or around its own tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from regrow.channels.duplicate import duplicate
from regrow.channels.values import know


def meta_copy(network: nn.Module) -> tuple[nn.Module, dict[str, Tensor]]:
    """A copy whose tensors have no numbers, and its tensors by their first names."""
    return _copied(network, _without_numbers)


def sharing_copy(network: nn.Module) -> tuple[nn.Module, dict[str, Tensor]]:
    """A copy that holds the network's own parameters' numbers, without a second set of them; buffers are copied, as they may change."""
    return _copied(network, _same_numbers)


def _copied(network: nn.Module, convert: Any) -> tuple[nn.Module, dict[str, Tensor]]:
    memo: dict[int, Any] = {}
    tensors: dict[str, Tensor] = {}
    for name, tensor in named_tensors(network):
        memo[id(tensor)] = tensors[name] = convert(tensor)
    shell = duplicate(network, memo)
    forget(shell)
    return shell, tensors


def forget(network: nn.Module) -> None:
    """Empty the caches of tensors that modules keep between calls: what is in them has the dense sizes."""
    for module in network.modules():
        for name, value in vars(module).items():
            if "cache" in name and isinstance(value, dict) and all(isinstance(item, Tensor) for item in value.values()):
                value.clear()


def named_tensors(network: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and buffers, those that no state dict holds included, each once, by its first name."""
    return [*network.named_parameters(), *network.named_buffers()]


def _without_numbers(tensor: Tensor) -> Tensor:
    empty = torch.empty_like(tensor, device="meta")
    if not tensor.is_floating_point() and not tensor.is_complex():
        know(empty, tensor)
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty


def _same_numbers(tensor: Tensor) -> Tensor:
    return (
        nn.Parameter(tensor.detach(), tensor.requires_grad)
        if isinstance(tensor, nn.Parameter)
        else tensor.detach().clone()
    )


def moved(value: Any, device: torch.device | str) -> Any:
    """Nested tuples, lists and dicts with their tensors on another device."""
    if isinstance(value, Tensor):
        there = value.to(device)
        if there.is_meta and not value.is_meta and not value.is_floating_point():
            know(there, value)
        return there
    if isinstance(value, dict):
        return {key: moved(item, device) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [moved(item, device) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def as_call(example_inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments: of a tensor, a tuple of arguments, or a dict of keywords."""
    if isinstance(example_inputs, dict):
        return (), dict(example_inputs)
    if isinstance(example_inputs, (tuple, list)) and not hasattr(example_inputs, "_fields"):
        return tuple(example_inputs), {}
    return (example_inputs,), {}
