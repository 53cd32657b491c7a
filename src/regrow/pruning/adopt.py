"""Adopt: a small network that was pruned elsewhere, as an architecture of the dense network and a network of our own making.

Given the dense network and any smaller one with the same tensor names, three things are found: how many channels every group kept (from
shapes, `adopt_widths`), which ones (from numbers, `adopt_matching`), and what the network is then called here: an `Architecture`, so
that the same small network can be carved, regrown from scratch, rewound and judged like any other. The carved network is given the small
one's tensors, and must then compute what the small one computes on the example inputs; where it does not, nothing is adopted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from regrow.channels.architecture import Architecture, KeptChannels, regrow_version
from regrow.channels.blocks import residual_blocks
from regrow.channels.carve import carve
from regrow.channels.fingerprint import fingerprint
from regrow.channels.groups import channel_groups
from regrow.channels.masks import named_tensors
from regrow.channels.pauses import no_collection
from regrow.channels.trace import trace
from regrow.errors import PruningError
from regrow.networks.groups import Group
from regrow.networks.removed import inside
from regrow.networks.spec import NetworkSpec
from regrow.networks.zoo import NETWORKS
from regrow.pruning.adopt_check import largest_difference
from regrow.pruning.adopt_kept import Kept, kept_channels
from regrow.pruning.adopt_widths import widths_of
from regrow.pruning.choice import Traced

FRESH = "fresh weights: no channel of {} is recognised in the dense network, so its first ones count as kept"


@dataclass(frozen=True, kw_only=True, slots=True)
class Adopted:
    """A network from elsewhere, as if it had been pruned here."""

    architecture: Architecture

    network: nn.Module
    """The dense network's class at the small sizes, with the small network's tensors: it computes what the small network does."""

    inherited: bool
    """Whether every group's channels were recognised: the small network's weights come from this dense network."""

    trained: bool
    """Whether its numbers differ from those that carving the architecture gives: it was trained, or recalibrated, since."""

    notes: tuple[str, ...]
    """How the channels were recognised where they were not found bit for bit, and what was not compared."""


@no_collection()
def adopt(
    network: nn.Module,
    small: nn.Module | Mapping[str, Tensor],
    example_inputs: Any,
    *,
    dense: NetworkSpec | None = None,
    traced: Traced | None = None,
) -> Adopted:
    """The small network as an architecture of `network` and a network that computes the same; both given networks are left as they are.

    Args:
        network: the dense network that the small one was made of.
        small: any module with the same tensor names and smaller shapes; residual blocks that went whole are left out. Or its
            `state_dict()` where its code is not at hand; then its outputs cannot be compared, and a note says so.
        example_inputs: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        dense: how a study builds the dense network. A network of the zoo declares its groups; every other one is traced.
        traced: what tracing found, where that was done before.

    Raises `PruningError` where names differ, where shapes contradict each other (with the tensor, what was expected and what was found)
    and where the two compute different things (with the first module at which they part).
    """
    declared = dense is not None and dense.name in NETWORKS
    if not declared and traced is None:
        traced = trace(network, example_inputs)
    groups = channel_groups(network) if traced is None or declared else traced.groups
    ours, found = _tensors(network), _tensors(small)
    aliases = set(ours) - set(named_tensors(network))
    ours, found = ({name: one[name] for name in one if name not in aliases} for one in (ours, found))
    removed = _removed(network, example_inputs, ours, found)
    ours = {name: tensor for name, tensor in ours.items() if not inside(name, removed)}
    left = _left(groups, ours)
    shapes = [{name: tuple(tensor.shape) for name, tensor in one.items()} for one in (ours, found)]
    first: PruningError | None = None
    for widths in widths_of(left, *shapes):
        kept = kept_channels(left, widths, ours, found)
        try:
            architecture = _architecture(network, groups, kept, removed, dense, None if declared else traced)
            ready, trained = _filled(network, architecture, kept)
            notes = _compared(ready, small, example_inputs)
        except PruningError as error:
            first = first or error
            continue
        inherited = "unknown" not in kept.how.values()
        told = (*_recognised(kept), *notes)
        return Adopted(architecture=architecture, network=ready, inherited=inherited, trained=trained, notes=told)
    assert first is not None
    raise first


def _tensors(small: nn.Module | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What is saved of a network."""
    state = small.state_dict() if isinstance(small, nn.Module) else small
    return {name: tensor.detach() for name, tensor in state.items() if isinstance(tensor, Tensor)}


def _removed(
    network: nn.Module, example_inputs: Any, ours: Mapping[str, Tensor], found: Mapping[str, Tensor]
) -> tuple[str, ...]:
    """Residual blocks of which the small network has no tensor; they must explain all that it lacks."""
    missing = set(ours) - set(found)
    if not missing or set(found) - set(ours):
        return ()
    blocks = [block.name for block in residual_blocks(network, example_inputs)]
    gone = tuple(block for block in blocks if {name for name in ours if inside(name, (block,))} <= missing)
    return gone if all(inside(name, gone) for name in missing) else ()


def _left(groups: Sequence[Group], ours: Mapping[str, Tensor]) -> tuple[Group, ...]:
    """The groups without what lay in removed blocks; a group that vanished with one keeps all its channels, by agreement."""
    parts = {group.name: tuple(part for part in group.slices if part.tensor in ours) for group in groups}
    return tuple(replace(group, slices=parts[group.name]) for group in groups if parts[group.name])


def _architecture(
    network: nn.Module,
    groups: Sequence[Group],
    kept: Kept,
    removed: tuple[str, ...],
    dense: NetworkSpec | None,
    traced: Traced | None,
) -> Architecture:
    entries = tuple(
        KeptChannels(
            group=group.name,
            channels=group.channels,
            indices=kept.indices.get(group.name, tuple(range(group.channels))),
            slices=group.slices if traced is not None else (),
        )
        for group in groups
    )
    widths = [len(entry.indices) for entry in entries]
    return Architecture(
        dense=dense,
        kept=entries,
        removed=removed,
        corrections=traced.corrections(widths) if traced is not None else (),
        network=f"{type(network).__module__}:{type(network).__qualname__}" if traced is not None else "",
        fingerprint=fingerprint(network),
        regrow=regrow_version(),
    )


def _filled(network: nn.Module, architecture: Architecture, kept: Kept) -> tuple[nn.Module, bool]:
    """The carved network with the small one's tensors, and whether that changed any number."""
    # Other weights are allowed, because these were fingerprinted a moment ago.
    ready = carve(network, architecture, other_weights=True)
    trained = False
    tensors = ready.state_dict()
    for name, given in kept.tensors.items():
        tensor = tensors[name]
        if given.shape != tensor.shape:
            raise PruningError(
                f"{name}: the shape {tuple(tensor.shape)} was expected of a network with these widths, found {tuple(given.shape)}"
            )
        trained = trained or not torch.equal(given.to(tensor.device, tensor.dtype), tensor)
    ready.load_state_dict(kept.tensors, strict=False)  # all but second names of tied tensors
    return ready, trained


def _compared(ready: nn.Module, small: nn.Module | Mapping[str, Tensor], example_inputs: Any) -> tuple[str, ...]:
    if not isinstance(small, nn.Module):
        return ("the small network came as tensors without code, so its outputs were not compared",)
    told = largest_difference(small, ready, example_inputs)
    return (told,) if told else ()


def _recognised(kept: Kept) -> tuple[str, ...]:
    """One sentence per kind of group that was not recognised bit for bit."""
    notes = []
    near = [name for name, how in kept.how.items() if how == "nearest"]
    lost = [name for name, how in kept.how.items() if how == "unknown"]
    if near:
        least = min(kept.cosines[name] for name in near)
        notes.append(
            f"the kept channels of {len(near)} of {len(kept.how)} groups were recognised by the direction of their weights, which were "
            f"trained since (median cosine at least {least:.2f})"
        )
    if lost:
        notes.append(
            FRESH.format(
                f"{len(lost)} of {len(kept.how)} groups ({', '.join(lost[:3])}{', ...' if len(lost) > 3 else ''})"
            )
        )
    if kept.reordered:
        notes.append(
            f"channels of {', '.join(kept.reordered)} stood in another order and were put back into the dense network's"
        )
    return tuple(notes)
