"""Check that two networks compute the same, and say at which module they part where they do not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from regrow.channels.duplicate import duplicate
from regrow.channels.onmeta import as_call, moved
from regrow.errors import PruningError
from regrow.networks.modes import evaluating

TOLERANCE: Final = {torch.float64: 1e-10, torch.float32: 1e-5, torch.float16: 1e-2, torch.bfloat16: 1e-1}
"""Largest difference that counts as none, relative to the largest number of the output; only the order of sums may differ."""

_Trail = list[tuple[str, list[Tensor]]]


def largest_difference(theirs: nn.Module, ours: nn.Module, example_inputs: Any) -> str:
    """Run both in evaluation mode; a note where equal outputs say nothing, else an empty text. Modes are left as they were.

    Raises `PruningError` where one cannot run, and where outputs differ by more than rounding: it names the first module of the
    same name whose outputs differ.
    """
    trails: tuple[_Trail, _Trail] = ([], [])
    expected = _run(theirs, example_inputs, trails[0], "the small network")
    found = _run(ours, example_inputs, trails[1], "the network of its widths that was built here")
    apart = _apart(expected, found)
    if apart > _tolerance(expected) or (apart > 0 and _stays_in_double_precision(theirs, ours, example_inputs)):
        raise PruningError(
            f"the dense network's code at the small network's widths computes something else than the small network: outputs differ by "
            f"{apart:.1e} of their largest number, from {_place(*trails)} on. The small network's own code differs from the dense "
            "network's there (another number of heads, a layer without its activation, a changed attribute); nothing was adopted."
        )
    if not any(bool((tensor != 0).any()) for tensor in expected):
        return "all outputs are zero on the example inputs, so that they are equal says nothing"
    return ""


def _stays_in_double_precision(theirs: nn.Module, ours: nn.Module, example_inputs: Any) -> bool:
    """Whether a small difference is one where rounding would vanish: other heads of an untrained attention change the sixth digit only."""
    wide = [duplicate(one, {}).double() for one in (theirs, ours)]
    inputs = tree_map(_in_double, _varied(example_inputs))
    try:
        expected, found = (_run(one, inputs, [], "") for one in wide)
    except PruningError:  # code that insists on another precision cannot be looked at again
        return False
    return _apart(expected, found) > TOLERANCE[torch.float64]


def _in_double(leaf: Any) -> Any:
    return leaf.double() if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf


def _run(network: nn.Module, example_inputs: Any, trail: _Trail, what: str) -> list[Tensor]:
    device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
    args, kwargs = as_call(_varied(moved(example_inputs, device)))
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), evaluating(network), _watched(network, trail):
            torch.manual_seed(0)
            result = network(*args, **kwargs)
    except Exception as error:  # whatever code of somebody else's raises
        raise PruningError(f"{what} cannot run on the example inputs: {type(error).__name__}: {error}") from error
    return _numbers(result)


def _varied(inputs: Any) -> Any:
    """Inputs that are all one number, such as zeros, hide differences: a wave is added to them."""
    return tree_map(_with_wave, inputs)


def _with_wave(leaf: Any) -> Any:
    if (
        not isinstance(leaf, Tensor)
        or not leaf.is_floating_point()
        or leaf.numel() < 2
        or bool((leaf != leaf.flatten()[0]).any())
    ):
        return leaf
    wave = torch.linspace(0, 31, leaf.numel(), dtype=torch.float64).square().sin()
    return leaf + wave.view(leaf.shape).to(leaf.device, leaf.dtype)


@contextlib.contextmanager
def _watched(network: nn.Module, trail: _Trail) -> Iterator[None]:
    """Write down what every module that holds no other returned."""

    def write(name: str) -> Any:
        return lambda _module, _inputs, output: trail.append((name, [tensor.clone() for tensor in _numbers(output)]))

    leaves = [(name, module) for name, module in network.named_modules() if name and not any(module.children())]
    handles = [module.register_forward_hook(write(name)) for name, module in leaves]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _numbers(output: Any) -> list[Tensor]:
    return [
        leaf.detach().cpu() for leaf in tree_leaves(output) if isinstance(leaf, Tensor) and leaf.is_floating_point()
    ]


def _apart(expected: Sequence[Tensor], found: Sequence[Tensor]) -> float:
    """Largest difference relative to the largest expected number; NaN equals NaN."""
    if [tensor.shape for tensor in expected] != [tensor.shape for tensor in found]:
        return float("inf")
    return max((_apart_of(*pair) for pair in zip(expected, found, strict=True)), default=0.0)


def _apart_of(one: Tensor, other: Tensor) -> float:
    if one.numel() == 0 or torch.equal(one, other):
        return 0.0
    difference = (one.double() - other.double()).abs()
    difference[one.isnan() & other.isnan()] = 0
    scale = float(one.double().abs().nan_to_num().max()) or 1.0
    largest = float(difference.max()) / scale
    return largest if largest == largest else float("inf")


def _tolerance(outputs: Sequence[Tensor]) -> float:
    return max((TOLERANCE.get(tensor.dtype, 1e-1) for tensor in outputs), default=0.0)


def _place(theirs: _Trail, ours: _Trail) -> str:
    for (name, expected), (other, found) in zip(theirs, ours, strict=False):
        if name != other:
            return f"{name}, where the dense network's code runs {other}"
        if _apart(expected, found) > 0.1 * _tolerance(expected):
            return name
    return "the network's own code between its modules"
