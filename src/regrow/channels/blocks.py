"""Residual blocks: the parts of a network that can go whole, because what is left of them is their shortcut.

A block maps one tensor x to another of the same shape, x + f(x), where f is a branch with layers of its own; a transformer's block does
so twice. Where the branch gives zeros, the block gives its input back, so it can be left out: that is what sparse structure
selection does (Huang & Wang 2018, arXiv:1707.01213, section 3). A block behind whose sum a ReLU stands gives its input back where
that input came from a ReLU. A block whose shortcut is computed, to make the image smaller or the stream wider, cannot go.

Blocks are found by running the network, never by their class or name: `regrow.channels.additions` sees the additions, and
`regrow.channels.identities` tries with numbers what each block does without its branches.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from regrow.channels.additions import Additions, Call
from regrow.channels.duplicate import duplicate
from regrow.channels.identities import lively, no_identities, no_stand_ins
from regrow.channels.onmeta import as_call, forget, meta_copy, moved, sharing_copy
from regrow.errors import PruningError, did_you_mean
from regrow.networks.removed import inside
from regrow.networks.without import shared_tensors, stand_ins


@dataclass(frozen=True, slots=True)
class Block:
    """A module that gives its input back, plus what its branches add to it."""

    name: str
    """Dotted path of the module: `layer1.1`."""

    ends: tuple[str, ...]
    """Dotted paths of the modules whose outputs are added to the shortcut, in forward order: one for each addition.

    Each is the innermost module that computed what is added: `layer1.1.bn2`, or the module behind a product with a parameter."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """What was found in a network."""

    blocks: tuple[Block, ...]
    """Blocks that can go whole, in forward order; none lies inside another."""

    notes: tuple[str, ...] = ()
    """For people: which modules add to their input and cannot go all the same, and why."""


def residual_blocks(network: nn.Module, example_inputs: Any) -> tuple[Block, ...]:
    """The blocks of a network that can go whole, in forward order; see `find_blocks`, which also says what cannot go, and why.

    [block.name for block in residual_blocks(torchvision.models.resnet18(), torch.zeros(2, 3, 224, 224))]
    ['layer1.0', 'layer1.1', 'layer2.1', 'layer3.1', 'layer4.1']
    """
    return find_blocks(network, example_inputs).blocks


def find_blocks(network: nn.Module, example_inputs: Any) -> Blocks:
    """Run a network, and find the modules in whose place an identity computes what they compute when their branches give zeros.

    Of blocks inside each other, the innermost that can go are listed. The network runs on copies, in eval mode; nothing of it is
    changed. Costs about five forward passes.

    Args:
        network: an `nn.Module` with numbers, on any device.
        example_inputs: a tensor, a tuple of positional arguments, or a dict of keyword arguments; one or two examples are enough.
            Noise takes the place of a tensor of zeros, on which no two layers can be told apart.

    Raises `PruningError` where the network cannot be copied, cannot run on the inputs, or is on the meta device.
    """
    device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
    if device.type == "meta":
        raise PruningError(
            f"{type(network).__name__} is on the meta device and holds no numbers, and whether a block gives its input back is tried "
            "with numbers. Build it on the CPU, with any weights."
        )
    inputs = moved(lively(example_inputs), device)
    run = functools.partial(_run, inputs=inputs)
    calls = _watched(network, inputs, run)
    found, notes = _sorted_out(network, calls)
    ends = {call.name: call.ends for call in found}
    refused = _sharing(network, ends)
    ends = {name: own for name, own in ends.items() if name not in refused}
    refused |= no_identities(_copy(network), run, ends)
    ends = _innermost({name: own for name, own in ends.items() if name not in refused}, refused)
    refused |= no_stand_ins(lambda: _copy(network), run, ends)
    blocks = tuple(Block(name, tuple(own)) for name, own in ends.items() if name not in refused)
    return Blocks(blocks, (*notes, *(f"{name}: {reason}" for name, reason in refused.items())))


def drop_blocks(network: nn.Module, names: Iterable[str], example_inputs: Any) -> nn.Module:
    """A deep copy of a network with an identity in the place of each named block; every other tensor keeps its name.

    Raises `PruningError` for a name that is no residual block of this network.
    """
    names = tuple(names)
    found = find_blocks(network, example_inputs)
    known = [block.name for block in found.blocks]
    for name in names:
        if name not in known:
            reason = next((note for note in found.notes if note.startswith(f"{name}: ")), _no_adder(network, name))
            raise PruningError(
                f"only a residual block can go whole, and {reason}. "
                + (did_you_mean(name, known) if known else f"{type(network).__name__} has no block that can.")
            )
    return without_blocks(network, names)


def _no_adder(network: nn.Module, name: str) -> str:
    there = name in dict(network.named_modules())
    return f"{name} adds nothing to its input" if there else f"{type(network).__name__} has no module {name}"


def without_blocks(network: nn.Module, names: Iterable[str]) -> nn.Module:
    """As `drop_blocks`, of names that are known to be residual blocks; refuses only what is no module of the network."""
    modules = dict(network.named_modules())
    memo: dict[int, Any] = {id(modules[name]): stand_in for name, stand_in in stand_ins(network, names).items()}
    small = duplicate(network, memo)
    forget(small)
    return small


def _copy(network: nn.Module) -> nn.Module:
    """A copy around the network's own weights, in eval mode."""
    try:
        return sharing_copy(network)[0].eval()
    except Exception as error:
        raise PruningError(
            f"{type(network).__name__} cannot be copied ({type(error).__name__}: {error}), and what is watched is a copy of it. "
            "Give the class a __deepcopy__ method, or remove what cannot be copied before pruning."
        ) from error


def _run(network: nn.Module, inputs: Any) -> Any:
    args, kwargs = as_call(inputs)
    return network(*args, **kwargs)


def _watched(network: nn.Module, inputs: Any, run: Callable[[nn.Module], Any]) -> list[Call]:
    """The calls of all modules: on the meta device, where nothing is computed, or else, for code that looks at numbers, with them."""
    try:
        return _calls(meta_copy(network)[0].eval(), lambda shell: _run(shell, moved(inputs, "meta")))
    except Exception:
        shell = _copy(network)
    try:
        return _calls(shell, run)
    except Exception as error:
        raise PruningError(f"the network cannot run on the example inputs. {type(error).__name__}: {error}") from error


def _calls(shell: nn.Module, run: Callable[[nn.Module], Any]) -> list[Call]:
    watch = Additions(shell)
    with torch.inference_mode(False), torch.no_grad(), watch:
        run(shell)
    return watch.calls


def _sorted_out(network: nn.Module, calls: list[Call]) -> tuple[list[Call], list[str]]:
    """The calls of modules that may be blocks, and a note for each module that adds and is none."""
    times = Counter(call.name for call in calls)
    names = Counter(id(module) for _, module in network.named_modules(remove_duplicate=False))
    modules = dict(network.named_modules())
    found: dict[str, Call] = {}
    notes: dict[str, str] = {}
    for call in calls:
        adds = call.ends or (call.computed and call.stream is not None and call.stream.is_floating_point())
        if not call.name or not adds or call.name in found or call.name in notes:
            continue
        if reason := _no_block(call, times[call.name], names[id(modules[call.name])]):
            notes[call.name] = f"{call.name}: {reason}"
        else:
            found[call.name] = call
    return list(found.values()), list(notes.values())


def _no_block(call: Call, times: int, names: int) -> str:
    """Why a module that adds is no block that can go whole; empty where it may be one."""
    if not call.ends:
        return f"its shortcut is computed, not passed through: it adds {' and '.join(call.computed)}"
    if not call.same_shape:
        return "what it gives has another shape or type than what it is given"
    if call.strange:
        return "it adds something to its shortcut that none of its modules computed"
    if times > 1:
        return f"it runs {times} times in one forward pass"
    return f"it is registered under {names} names" if names > 1 else ""


def _sharing(network: nn.Module, names: Iterable[str]) -> dict[str, str]:
    """Blocks whose tensors are used outside them, too."""
    found = {}
    for name in names:
        if shared := shared_tensors(network, (name,)):
            own, other = next(iter(shared.items()))
            found[name] = f"its {own.removeprefix(name + '.')} is the same tensor as {other}, which stays"
    return found


def _innermost(ends: dict[str, list[str]], refused: dict[str, str]) -> dict[str, list[str]]:
    """The blocks that hold no other; for the others, why they are left out."""
    for name in ends:
        held = [other for other in ends if other != name and inside(other, [name])]
        if held:
            refused[name] = f"it holds {held[0]}, which can go by itself"
    return {name: own for name, own in ends.items() if name not in refused}
