"""Example inputs of a network, and random ones like them at any batch size.

A network is called with a tensor, a tuple of positional arguments or a dictionary of keyword arguments. Tensors may stand anywhere
inside. Its batch size is the length of the first axis of the first tensor that has one; every tensor whose first axis is as long
counts as a batch.

Shape suffix:  B = examples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from regrow.errors import ConfigError
from regrow.randomness import generator

Inputs: TypeAlias = Tensor | tuple[Any, ...] | dict[str, Any]


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a network is called with."""

    positional: tuple[Any, ...]
    keywords: dict[str, Any]

    @property
    def tensors(self) -> list[Tensor]:
        """Every tensor among them, in order."""
        leaves = pytree.tree_leaves((self.positional, self.keywords))
        return [leaf for leaf in leaves if isinstance(leaf, Tensor)]

    @property
    def batched(self) -> list[Tensor]:
        """The tensors that hold one row an example."""
        with_axis = [tensor for tensor in self.tensors if tensor.ndim]
        return [tensor for tensor in with_axis if len(tensor) == len(with_axis[0])]

    @property
    def batch(self) -> int:
        """Examples in them."""
        return len(self.batched[0])


def arguments(example_inputs: Inputs) -> Arguments:
    """The call that `example_inputs` stands for; raises `ConfigError` where no tensor is in it."""
    if isinstance(example_inputs, dict):
        call = Arguments((), dict(example_inputs))
    else:
        call = Arguments(example_inputs if isinstance(example_inputs, tuple) else (example_inputs,), {})
    if not call.batched:
        raise ConfigError(
            "example_inputs must hold a tensor with at least one axis: a tensor, a tuple of positional arguments or a dictionary of "
            f"keyword arguments; found {type(example_inputs).__name__} without one"
        )
    return call


def drawn(call: Arguments, batch: int, *seed: int | str) -> Arguments:
    """Random inputs like those of `call`, for `batch` examples; equal seeds give equal numbers.

    Floating numbers come from a normal distribution; integers and booleans (token ids, masks) from those of the example, so they are
    as valid as they were there. What is no tensor stays.
    """
    numbers, batched = generator(*seed), {id(tensor) for tensor in call.batched}

    def draw(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        shape = (batch, *leaf.shape[1:]) if id(leaf) in batched else tuple(leaf.shape)
        return _random(leaf, shape, numbers)

    return _mapped(call, draw)


def with_batch(call: Arguments, batch: int) -> Arguments:
    """Copies of the inputs of `call` for `batch` examples: its own, repeated or cut.

    A tensor that stands in two places becomes two: an exporter would take it for one input.
    """
    batched = {id(tensor) for tensor in call.batched}

    def resize(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        if id(leaf) not in batched:
            return leaf.detach().clone()
        rows_B = torch.arange(batch, device=leaf.device) % len(leaf)
        return leaf.detach()[rows_B]

    return _mapped(call, resize)


def _mapped(call: Arguments, change: Any) -> Arguments:
    positional, keywords = pytree.tree_map(change, (call.positional, call.keywords))
    return replace(call, positional=positional, keywords=keywords)


def _random(like: Tensor, shape: tuple[int, ...], numbers: torch.Generator) -> Tensor:
    if like.is_floating_point() or like.is_complex():
        return torch.randn(shape, generator=numbers, dtype=torch.float32).to(like)
    values = like.detach().reshape(-1)
    places = torch.randint(len(values), shape, generator=numbers)
    return values[places.to(values.device)]
