"""Whether a block whose branches are silent gives its input back, and whether an identity can stand in its place: tried with numbers.

A block may add its branches and then do more: a ReLU, which changes nothing where the input comes from another ReLU, or a norm, which
changes everything. So nothing is concluded from its code. Every block is called a second time, on the very input that it got inside
the network, with the ends of its branches giving zeros, and what comes out must be its input, number for number. Then the
network runs without the blocks, and must give what it gives with their branches silent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from regrow.channels.labels import tensors_in
from regrow.networks.without import remove_blocks
from regrow.randomness import seeded_everywhere

Run = Callable[[nn.Module], Any]
"""Calls a network on the example inputs."""

Ends = Mapping[str, Sequence[str]]
"""For each block, the modules whose outputs are added to its shortcut."""

_TOLERANCE: Final = 1e-5
"""Of the largest number of an output: other kernels may run where fewer hooks hang."""


def no_identities(network: nn.Module, run: Run, ends: Ends) -> dict[str, str]:
    """The blocks that change their input even when their branches give zeros, each with a sentence that says so.

    `network` is a copy that may be hooked, in eval mode. Costs one forward pass, and one more of each block.
    """
    silent = _Silent(network, ends)
    found: dict[str, str] = {}
    for name in ends:
        _Again(name, silent, found).hang_on(network.get_submodule(name))
    _ran(network, run)
    return found


def no_stand_ins(copied: Callable[[], nn.Module], run: Run, ends: Ends) -> dict[str, str]:
    """The blocks without which the network does not compute what it computes with their branches silent; why, for each.

    `copied` gives a new copy each time, in eval mode. Costs two forward passes, and two for each block where something is found.
    """
    if not ends or not _apart(copied, run, ends):
        return {}
    found = {name: reason for name in ends if (reason := _apart(copied, run, {name: ends[name]}))}
    left = {name: own for name, own in ends.items() if name not in found}
    reason = _apart(copied, run, left) if left else ""
    return found | {name: f"together with others: {reason}" for name in left if reason}


class _Silent:
    """Hooks that make the ends of some blocks' branches give zeros."""

    def __init__(self, network: nn.Module, ends: Ends) -> None:
        self.ends = ends
        self.now: set[str] = set()
        for end in {end for own in ends.values() for end in own}:
            network.get_submodule(end).register_forward_hook(self._hook(end))

    def _hook(self, end: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
            del module, args
            return torch.zeros_like(output) if end in self.now else None

        return hook


class _Again:
    """Calls a block once more when it was called, with its branches silent, and looks at what comes out."""

    def __init__(self, name: str, silent: _Silent, found: dict[str, str]) -> None:
        self.name, self.silent, self.found = name, silent, found
        self.given: Tensor | None = None

    def hang_on(self, module: nn.Module) -> None:
        """Hook the block."""
        module.register_forward_pre_hook(self._keep, prepend=True, with_kwargs=True)
        module.register_forward_hook(self._look, with_kwargs=True)

    def _keep(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        del module, kwargs
        if not self.silent.now:
            self.given = args[0].clone()  # the block may write over it

    def _look(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        del output
        if self.silent.now or self.given is None:
            return
        given, self.given = self.given, None
        self.silent.now = set(self.silent.ends[self.name])
        try:
            again = module(given.clone(), *args[1:], **kwargs)
        finally:
            self.silent.now = set()
        if not torch.equal(again, given):
            apart = float((again.double() - given.double()).abs().max())
            self.found[self.name] = f"it changes its input by up to {apart:.1e} even when its branches give zeros"


def _apart(copied: Callable[[], nn.Module], run: Run, ends: Ends) -> str:
    """How the network without the blocks differs from the one whose branches are silent; empty where it does not."""
    silenced, without = copied(), copied()
    _Silent(silenced, ends).now = {end for own in ends.values() for end in own}
    remove_blocks(without, ends)
    expected = tensors_in(_ran(silenced, run))
    try:
        found = tensors_in(_ran(without, run))
    except Exception as error:  # whatever the network's own code says when it looks for what is gone
        return f"the network cannot run without it ({type(error).__name__}: {str(error).strip().partition(chr(10))[0]})"
    same = len(expected) == len(found) and all(_alike(one, other) for one, other in zip(expected, found, strict=True))
    return "" if same else "the network computes something else without it than with its branches silent"


def _alike(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    first, second = one.double(), other.double()
    largest = float(first.nan_to_num().abs().max()) if first.numel() else 0.0
    return torch.allclose(first, second, rtol=0.0, atol=_TOLERANCE * largest, equal_nan=True)


def _ran(network: nn.Module, run: Run) -> Any:
    with seeded_everywhere(0, "blocks"), torch.no_grad():
        return run(network)


def lively(values: Any) -> Any:
    """Example inputs on which something happens: noise in the place of every tensor that has one number throughout, such as zeros."""
    if isinstance(values, Tensor):
        return _noise(values) if values.is_floating_point() and _is_constant(values) else values
    if isinstance(values, dict):
        return {name: lively(value) for name, value in values.items()}
    if isinstance(values, (tuple, list)) and not hasattr(values, "_fields"):
        return type(values)(lively(value) for value in values)
    return values


def _is_constant(tensor: Tensor) -> bool:
    return tensor.numel() > 0 and bool((tensor == tensor.flatten()[0]).all())


def _noise(tensor: Tensor) -> Tensor:
    numbers = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(0))
    return numbers.to(tensor)
