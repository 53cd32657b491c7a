"""Results: what a method of somebody else's may return, and what it becomes here.

a smaller module                          adopted: an architecture, and its weights
tensors of a smaller module, by name      the same, without a comparison of outputs
a module with masks, or with zeros        masks, and its weights
boolean tensors of full shape, by name    masks
kept indices by group, module or tensor   an architecture; groups that are not named stay whole
an Architecture, or what `regrow.prune` gives
nothing                                   the copy that it was handed, which it then changed
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from regrow.channels.architecture import Architecture, KeptChannels, regrow_version
from regrow.channels.carve import carve
from regrow.channels.duplicate import duplicate
from regrow.channels.fingerprint import fingerprint
from regrow.channels.masks import axis_masks
from regrow.errors import PruningError, did_you_mean
from regrow.networks.groups import Group
from regrow.networks.spec import NetworkSpec
from regrow.networks.zoo import NETWORKS
from regrow.pruning.adopt import Adopted, adopt
from regrow.pruning.anything import Pruned
from regrow.pruning.choice import Traced
from regrow.pruning.sparsity import Masks, masked_parameters
from regrow.pruning.torch_masks import from_torch_prune

ACCEPTED = (
    "a smaller torch.nn.Module or its state_dict(), a module with masks of torch.nn.utils.prune or with zeros, a dict of boolean masks, "
    "a dict of kept indices by name of a group or module, an Architecture, or None after changing the network that it was handed"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodResult:
    """What a method of somebody else's removed: either channels or single weights."""

    architecture: Architecture | None
    """Where channels went."""

    masks: Masks | None
    """Where weights went: True = kept, by name of the tensor."""

    weights: nn.Module | None
    """The pruned network with the method's own numbers, of the architecture's shape or, with masks, of the dense one; None where they
    are the dense network's."""

    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Case:
    """The network that the method worked on."""

    name: str
    network: nn.Module
    example_inputs: Any
    groups: Sequence[Group]
    dense: NetworkSpec | None
    traced: Traced | None

    @property
    def declared(self) -> bool:
        """Whether the groups are the zoo's."""
        return self.dense is not None and self.dense.name in NETWORKS


def understood(
    result: Any,
    name: str,
    network: nn.Module,
    example_inputs: Any,
    *,
    groups: Sequence[Group],
    dense: NetworkSpec | None = None,
    traced: Traced | None = None,
) -> MethodResult:
    """What the method called `name` made of the dense network `network`.

    Raises `PruningError` for a result of another kind, for one that removes nothing, and for one that does not fit the network.
    """
    case = _Case(name, network, example_inputs, groups, dense, traced)
    if isinstance(result, Pruned | Adopted):
        return _of_architecture(case, result.architecture)
    if isinstance(result, Architecture):
        return _of_architecture(case, result)
    if isinstance(result, nn.Module):
        return _of_module(case, result)
    if isinstance(result, Mapping) and result and all(isinstance(key, str) for key in result):
        return _of_mapping(case, result)
    found = "an empty dict" if isinstance(result, Mapping) and not result else f"a {type(result).__name__}"
    raise PruningError(f"{name} returned {found}. A method returns {ACCEPTED}")


def _of_module(case: _Case, module: nn.Module) -> MethodResult:
    found, shapes = _plain(module), _shapes(case.network.state_dict())
    if _shapes(found) != shapes:
        return _adopted(case, adopt(case.network, module, case.example_inputs, dense=case.dense, traced=case.traced))
    try:
        masks = from_torch_prune(module, zeros=not _has_masks(module))
    except PruningError:
        raise PruningError(
            f"{case.name} returned a network of the dense network's shapes without a mask or a zero in its weights: it removes nothing"
        ) from None
    weights = duplicate(case.network, {})
    weights.load_state_dict(found)
    return _masked(case, masks, weights if _differ(case.network, found, masks) else None)


def _plain(module: nn.Module) -> dict[str, Tensor]:
    """A module's tensors as they are once `torch.nn.utils.prune.remove` has made masks permanent."""
    tensors = {name: tensor.detach() for name, tensor in module.state_dict().items()}
    for name in [name for name in tensors if name.endswith("_mask") and f"{name[:-5]}_orig" in tensors]:
        tensors[name[:-5]] = tensors.pop(f"{name[:-5]}_orig") * tensors.pop(name)
    return tensors


def _has_masks(module: nn.Module) -> bool:
    names = dict(module.named_parameters())
    return any(name.endswith("_mask") and f"{name[:-5]}_orig" in names for name, _ in module.named_buffers())


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _differ(network: nn.Module, found: Mapping[str, Tensor], masks: Masks) -> bool:
    """Whether anything but what the masks remove is another number than in the dense network."""
    for name, tensor in network.state_dict().items():
        expected = tensor * masks[name].to(tensor.device) if name in masks else tensor
        if not torch.equal(expected, found[name].to(tensor.device)):
            return True
    return False


def _masked(case: _Case, masks: Masks, weights: nn.Module | None) -> MethodResult:
    masked_parameters(case.network, masks)  # refuses what does not fit
    if all(bool(mask.all()) for mask in masks.values()):
        raise PruningError(f"{case.name} returned masks that keep every weight: it removes nothing")
    return MethodResult(architecture=None, masks=dict(masks), weights=weights)


def _of_mapping(case: _Case, result: Mapping[str, Any]) -> MethodResult:
    tensors = {key: value for key, value in result.items() if isinstance(value, Tensor)}
    if len(tensors) == len(result):
        masks = {key: value.cpu() for key, value in tensors.items() if value.dtype == torch.bool and value.ndim > 1}
        if len(masks) == len(result):
            return _masked(case, masks, None)
        if any(value.is_floating_point() for value in tensors.values()):
            return _adopted(
                case, adopt(case.network, tensors, case.example_inputs, dense=case.dense, traced=case.traced)
            )
    return MethodResult(architecture=_of_indices(case, result), masks=None, weights=None)


def _adopted(case: _Case, adopted: Adopted) -> MethodResult:
    _refuse_whole(case, adopted.architecture)
    weights = adopted.network if adopted.trained else None
    return MethodResult(architecture=adopted.architecture, masks=None, weights=weights, notes=adopted.notes)


def _of_architecture(case: _Case, architecture: Architecture) -> MethodResult:
    """An architecture, as one of the network that the study names."""
    _refuse_whole(case, architecture)
    if architecture.dense != case.dense and case.declared:
        # It carries groups that were traced; the zoo's are found again in the network that it describes.
        small = carve(case.network, architecture, other_weights=True)
        return _adopted(case, adopt(case.network, small, case.example_inputs, dense=case.dense))
    architecture = replace(architecture, dense=case.dense, fingerprint=fingerprint(case.network))
    axis_masks(case.network, architecture)  # refuses what does not fit
    return MethodResult(architecture=architecture, masks=None, weights=None)


def _refuse_whole(case: _Case, architecture: Architecture) -> None:
    if not architecture.removed and all(len(entry.indices) == entry.channels for entry in architecture.kept):
        raise PruningError(f"{case.name} returned a network that keeps every channel: it removes nothing")


def _of_indices(case: _Case, result: Mapping[str, Any]) -> Architecture:
    chosen: dict[str, tuple[int, ...]] = {}
    names = {name: group for group in case.groups for name in _names_of(group)}
    for key, value in result.items():
        if key not in names:
            raise PruningError(
                f"{case.name} returned indices for {key!r}, which is no group that can be pruned, and no module or weight that computes "
                f"one's channels. {did_you_mean(key, names).partition('Known: ')[0]}Groups: {_some([group.name for group in case.groups])}"
            )
        group, kept = names[key], _indices(case.name, key, value, names[key].channels)
        if chosen.setdefault(group.name, kept) != kept:
            raise PruningError(
                f"{case.name} returned two choices for the group {group.name}, one of them as {key!r}; they differ"
            )
    declared = case.traced is None or case.declared
    kept_channels = tuple(
        KeptChannels(
            group=group.name,
            channels=group.channels,
            indices=chosen.get(group.name, tuple(range(group.channels))),
            slices=() if declared else group.slices,
        )
        for group in case.groups
    )
    widths = [len(entry.indices) for entry in kept_channels]
    architecture = Architecture(
        dense=case.dense,
        kept=kept_channels,
        corrections=() if declared or case.traced is None else case.traced.corrections(widths),
        network="" if declared else f"{type(case.network).__module__}:{type(case.network).__qualname__}",
        fingerprint=fingerprint(case.network),
        regrow=regrow_version(),
    )
    _refuse_whole(case, architecture)
    return architecture


def _names_of(group: Group) -> set[str]:
    """The group's own name, and the weights and modules that compute its channels."""
    weights = {part.tensor for part in group.slices[: group.producers]}
    return {group.name, *weights, *(weight.rpartition(".")[0] for weight in weights)}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


def _indices(name: str, key: str, value: Any, channels: int) -> tuple[int, ...]:
    """Kept indices, increasing; a boolean tensor says of every channel whether it stays."""
    if isinstance(value, Tensor):
        value = (
            value.nonzero().flatten().tolist()
            if value.dtype == torch.bool and len(value) == channels
            else value.tolist()
        )
    found = (
        sorted(value) if isinstance(value, Sequence | set | frozenset | range) and not isinstance(value, str) else None
    )
    whole = found is not None and all(isinstance(one, int) and not isinstance(one, bool) for one in found)
    if not found or not whole or len(set(found)) != len(found) or found[0] < 0 or found[-1] >= channels:
        raise PruningError(
            f"{name} must give for {key} the channels that stay: different whole numbers from 0 to {channels - 1}, at least one; "
            f"found {value!r:.80}"
        )
    return tuple(found)
