"""A network without some of its blocks: an identity stands in each one's place, and every other tensor keeps its name."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from regrow.errors import PruningError, did_you_mean
from regrow.networks.removed import inside, removed_faults


class PassThrough(nn.Identity):
    """An identity in the place of a block that is told more than its input (positions, masks), which does not concern it."""

    def forward(self, input: Tensor, *args: Any, **kwargs: Any) -> Tensor:  # noqa: A002 - the name that nn.Identity gives it
        """The input itself."""
        del args, kwargs
        return input


def remove_blocks(network: nn.Module, removed: Iterable[str]) -> None:
    """Put an `nn.Identity` in the place of each named block, in this network itself.

    Raises `PruningError`, before anything is changed, for what `stand_ins` refuses.
    """
    for name, stand_in in stand_ins(network, removed).items():
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, stand_in)


def stand_ins(network: nn.Module, removed: Iterable[str]) -> dict[str, nn.Identity]:
    """What takes the place of each block, in the mode (train or eval) that the block is in.

    It is a plain `nn.Identity`, or a `PassThrough` where the block's forward has more parameters than its input.

    Raises `PruningError` for a name that no module of the network has, for blocks inside each other, and for a block that shares
    a tensor with what stays. Whether a block's shortcut is the identity cannot be seen here: see `regrow.channels.blocks`.
    """
    names = tuple(removed)
    for _, rule in removed_faults(names):
        raise PruningError(rule)
    modules = dict(network.named_modules(remove_duplicate=False))
    for name in names:
        if name not in modules:
            raise PruningError(
                f"{type(network).__name__} has no module {name}, so it cannot be removed. {_near(name, modules)}"
            )
    for name, other in shared_tensors(network, names).items():
        raise PruningError(
            f"{name} is the same tensor as {other}, which stays, so its block cannot be removed. Untie the two, or keep the block."
        )
    return {name: _stand_in(modules[name]) for name in names}


def _stand_in(block: nn.Module) -> nn.Identity:
    parameters = inspect.signature(block.forward).parameters.values()
    takes_more = len(parameters) > 1 or any(one.kind is one.VAR_POSITIONAL for one in parameters)
    return (PassThrough() if takes_more else nn.Identity()).train(block.training)


def shared_tensors(network: nn.Module, names: tuple[str, ...]) -> dict[str, str]:
    """Tensors inside the named blocks that are registered outside them as well: one name in there, and one out here."""
    if not names:
        return {}
    named = [*network.named_parameters(remove_duplicate=False), *network.named_buffers(remove_duplicate=False)]
    staying = {id(tensor): name for name, tensor in named if not inside(name, names)}
    return {name: staying[id(tensor)] for name, tensor in named if id(tensor) in staying and inside(name, names)}


def _near(name: str, modules: Mapping[str, nn.Module]) -> str:
    """What stands where the name looks for its module."""
    parent = name
    while parent not in modules:
        parent = parent.rpartition(".")[0]
    start = f"{parent}." if parent else ""
    return did_you_mean(name, [start + child for child, _ in modules[parent].named_children()])
