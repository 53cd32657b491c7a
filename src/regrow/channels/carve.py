"""Carve: an architecture and trained dense weights give the small network that inherits them.

Every tensor of the small network is an exact sub-block of the dense network's tensor of the same name: an index-select per axis,
no arithmetic. Its output therefore equals the dense network's with the removed channels silenced where they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from regrow.channels.architecture import Architecture, Correction
from regrow.channels.duplicate import duplicate
from regrow.channels.fingerprint import fingerprint
from regrow.channels.groups import channel_groups, keep_masks
from regrow.channels.masks import axis_masks, named_tensors
from regrow.channels.module_sizes import correct, leaf_sizes, write_size
from regrow.channels.onmeta import forget
from regrow.channels.pauses import no_collection
from regrow.errors import PruningError
from regrow.networks.build import blueprint
from regrow.networks.groups import Group
from regrow.networks.removed import inside
from regrow.networks.without import stand_ins


@no_collection()
def carve(network: nn.Module, architecture: Architecture, *, other_weights: bool = False) -> nn.Module:
    """The small network, with copies of the dense network's weights and norm statistics; `network` is left as it is.

    Whatever the caller owned stays: class, hooks, device, dtype, `requires_grad`, tied weights, buffers, train or eval mode, module by
    module. Blocks that the architecture removes are left out, an identity in their place. Raises `PruningError` where the network is
    not the one that was pruned: other groups, or, unless `other_weights` allows them (rewinding does), other weights.
    """
    if architecture.dense is not None and architecture.kept and not architecture.kept[0].slices:
        return _carve_declared(network, architecture, other_weights)
    if not other_weights:
        _check_weights(network, architecture)
    return carve_tensors(network, architecture, _cut)


def carve_tensors(
    network: nn.Module, architecture: Architecture, cut: Callable[[Tensor, Mapping[int, Tensor]], Tensor]
) -> nn.Module:
    """A copy of the network whose tensors went through `cut(tensor, keep)`; `keep` says per axis which indices stay.

    Tensors of which nothing goes are given with an empty `keep`, those of removed blocks not at all. The numbers that modules hold
    are corrected.
    """
    masks = axis_masks(network, architecture)
    modules = dict(network.named_modules(remove_duplicate=False))
    memo: dict[int, Any] = {id(modules[name]): one for name, one in stand_ins(network, architecture.removed).items()}
    for name, tensor in named_tensors(network).items():
        if not inside(name, architecture.removed):
            memo[id(tensor)] = _as_before(cut(tensor, masks.get(name, {})), tensor)
    try:
        small = duplicate(network, memo)
    except Exception as error:
        raise PruningError(
            f"{type(network).__name__} cannot be copied ({type(error).__name__}: {error}), and the small network is a copy of it "
            "with smaller tensors. Give the class a __deepcopy__ method, or remove what cannot be copied before pruning."
        ) from error
    forget(small)
    corrections = [one for one in architecture.corrections if not inside(one.module, architecture.removed)]
    _resize(network, small, masks, corrections)
    return small


def _as_before(block: Tensor, tensor: Tensor) -> Tensor:
    """What the network held there: a parameter, or a plain buffer."""
    if not isinstance(tensor, nn.Parameter):
        return block
    parameter = nn.Parameter(block, requires_grad=tensor.requires_grad)
    parameter.__dict__.update(tensor.__dict__)
    return parameter


def _cut(tensor: Tensor, masks: Mapping[int, Tensor]) -> Tensor:
    """The kept sub-block, as a copy that shares no memory with `tensor`."""
    block = tensor.detach()
    for axis, keep in masks.items():
        block = block.index_select(axis, keep.nonzero().flatten().to(block.device))
    return block.clone() if not masks else block


def _resize(
    network: nn.Module,
    small: nn.Module,
    masks: Mapping[str, Mapping[int, Tensor]],
    corrections: Sequence[Correction],
) -> None:
    """The numbers that modules hold follow the new sizes: those that forward reads, and those that layers of PyTorch show."""
    corrected = {(one.module, one.attribute) for one in corrections}
    dense = dict(network.named_modules())
    first = {
        id(tensor): name for name, tensor in named_tensors(network).items()
    }  # masks know tied tensors by their first names
    for name, module in small.named_modules():
        if isinstance(module, nn.Identity):  # it has no sizes, and stands perhaps where a block was
            continue
        cuts = {
            key: masks.get(first[id(tensor)], {}) for key, tensor in _own_tensors(dense[name]) if id(tensor) in first
        }
        if not any(cuts.values()):
            continue
        kept = {key: axes[0] for key, axes in cuts.items() if 0 in axes}
        shapes = {key: tuple(tensor.shape) for key, tensor in _own_tensors(module)}
        for attribute, size in leaf_sizes(dense[name], shapes, kept).items():
            if (name, attribute) not in corrected:
                write_size(module, attribute, size)
    correct(small, corrections)


def _own_tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]


def _check_weights(network: nn.Module, architecture: Architecture) -> None:
    if fingerprint(network) != architecture.fingerprint:
        raise PruningError(
            "the network does not hold the weights that this architecture was made from: their fingerprints differ. "
            "Pass the dense network that was pruned, or other_weights=True to carve the same channels from these weights."
        )


def _carve_declared(network: nn.Module, architecture: Architecture, other_weights: bool) -> nn.Module:
    """A network of the zoo: its blueprint at the small widths, filled."""
    groups = channel_groups(network)
    _check_same_network(groups, architecture)
    if not other_weights:
        _check_weights(network, architecture)
    tensors = network.state_dict()
    masks = keep_masks(groups, architecture.indices, tensors)
    small = blueprint(architecture.pruned_spec())
    left = {name: tensor for name, tensor in tensors.items() if not inside(name, architecture.removed)}
    small.load_state_dict({name: _cut(tensor, masks.get(name, {})) for name, tensor in left.items()}, assign=True)
    _inherit(small, network)
    return small


def _inherit(small: nn.Module, network: nn.Module) -> None:
    """Modes and `requires_grad`, by name."""
    modules, parameters = dict(network.named_modules()), dict(network.named_parameters())
    for name, module in small.named_modules():
        module.training = modules[name].training
    for name, parameter in small.named_parameters():
        parameter.requires_grad_(parameters[name].requires_grad)


def _check_same_network(groups: tuple[Group, ...], architecture: Architecture) -> None:
    found = [(group.name, group.channels) for group in groups]
    gone = architecture.dense.removed if architecture.dense else ()
    expected = [(entry.group, entry.channels) for entry in architecture.kept if not inside(entry.group, gone)]
    for here, there in zip(found, expected, strict=False):
        if here != there:
            raise PruningError(
                f"the architecture was made from another network: it expects group {there[0]} with {there[1]} channels "
                f"where this one has {here[0]} with {here[1]}. Pass the dense network, not a pruned one."
            )
    if len(found) != len(expected):
        raise PruningError(f"the architecture has {len(expected)} channel groups, this network {len(found)}")
