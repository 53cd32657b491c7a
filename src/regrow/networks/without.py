"""A network without some of its blocks: an identity stands in each one's place, and every other tensor keeps its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import nn

from regrow.errors import PruningError, did_you_mean
from regrow.networks.removed import inside, removed_faults


def remove_blocks(network: nn.Module, removed: Iterable[str]) -> None:
    """Put an `nn.Identity` in the place of each named block, in this network itself.

    Raises `PruningError`, before anything is changed, for what `stand_ins` refuses.
    """
    for name, stand_in in stand_ins(network, removed).items():
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, stand_in)


def stand_ins(network: nn.Module, removed: Iterable[str]) -> dict[str, nn.Identity]:
    """What takes the place of each block, in the mode (train or eval) that the block is in.

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
    return {name: nn.Identity().train(modules[name].training) for name in names}


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
