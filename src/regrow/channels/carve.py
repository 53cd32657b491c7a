"""Carve: an architecture and trained dense weights give the small network that inherits them.

Every tensor of the small network is an exact sub-block of the dense network's tensor of the same name: an index-select per axis,
no arithmetic. Its output therefore equals the dense network's with the removed channels silenced where they are read.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from regrow.channels.architecture import Architecture
from regrow.channels.fingerprint import fingerprint
from regrow.channels.groups import channel_groups, keep_masks
from regrow.errors import PruningError
from regrow.networks.build import blueprint
from regrow.networks.groups import Group


def carve(network: nn.Module, architecture: Architecture, *, other_weights: bool = False) -> nn.Module:
    """The small network, with copies of the dense network's weights and norm statistics; `network` is left as it is.

    Device, dtype, `requires_grad` and train or eval mode are inherited, module by module. Raises `PruningError` where the network
    is not the one that was pruned: other groups, or, unless `other_weights` allows them (rewinding does), other weights.
    """
    groups = channel_groups(network)
    _check_same_network(groups, architecture)
    if not other_weights and fingerprint(network) != architecture.fingerprint:
        raise PruningError(
            "the network does not hold the weights that this architecture was made from: their fingerprints differ. "
            "Pass the dense network that was pruned, or other_weights=True to carve the same channels from these weights."
        )
    tensors = network.state_dict()
    masks = keep_masks(groups, architecture.indices, tensors)
    small = blueprint(architecture.pruned_spec())
    small.load_state_dict({name: _cut(tensor, masks.get(name, {})) for name, tensor in tensors.items()}, assign=True)
    _inherit(small, network)
    return small


def _cut(tensor: Tensor, masks: Mapping[int, Tensor]) -> Tensor:
    """The kept sub-block, as a copy that shares no memory with `tensor`."""
    block = tensor.detach()
    for axis, keep in masks.items():
        block = block.index_select(axis, keep.nonzero().flatten().to(block.device))
    return block.clone() if not masks else block


def _inherit(small: nn.Module, network: nn.Module) -> None:
    """Modes and `requires_grad`, by name."""
    for name, module in network.named_modules():
        small.get_submodule(name).training = module.training
    for name, parameter in network.named_parameters():
        small.get_parameter(name).requires_grad_(parameter.requires_grad)


def _check_same_network(groups: tuple[Group, ...], architecture: Architecture) -> None:
    found = [(group.name, group.channels) for group in groups]
    expected = [(entry.group, entry.channels) for entry in architecture.kept]
    for here, there in zip(found, expected, strict=False):
        if here != there:
            raise PruningError(
                f"the architecture was made from another network: it expects group {there[0]} with {there[1]} channels "
                f"where this one has {here[0]} with {here[1]}. Pass the dense network, not a pruned one."
            )
    if len(found) != len(expected):
        raise PruningError(f"the architecture has {len(expected)} channel groups, this network {len(found)}")
