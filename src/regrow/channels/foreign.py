"""Networks from elsewhere at any widths: their groups by tracing, their fresh small copies by replaying the factory.

A study knows such a network as a specification (`timm:vit_small_patch16_224`, its options, widths). Here the specification becomes
modules: dense or small, freshly drawn, or cut as an architecture says. Networks of the zoo build themselves, and pass through.
"""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass, replace

import torch
from torch import nn

from regrow.channels.architecture import Architecture, KeptChannels, regrow_version
from regrow.channels.blocks import Blocks, find_blocks
from regrow.channels.carve import carve
from regrow.channels.redraw import RedrawWarning
from regrow.channels.replay import regrow
from regrow.channels.trace import Tracing, trace
from regrow.errors import PruningError, did_you_mean
from regrow.networks.build import build
from regrow.networks.foreign import Factory, check_network, factory_of, made_up_images
from regrow.networks.layouts import GroupInfo
from regrow.networks.prunable import Prunable
from regrow.networks.sources import Access, is_foreign
from regrow.networks.spec import NetworkSpec
from regrow.networks.without import remove_blocks
from regrow.randomness import seeded_everywhere

_UNKNOWN = "0" * 64
"""The fingerprint of an architecture that was made from no weights."""


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    """A dense network from elsewhere, as far as it has to be known to build it at other widths."""

    factory: Factory
    tracing: Tracing
    label: str
    """Class of the network, `module:name`."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of every group of the dense network."""
        return tuple(group.channels for group in self.tracing.groups)


def traced(spec: NetworkSpec, access: Access) -> Traced:
    """The network of a specification, traced; remembered, because every stage of a study asks again.

    Raises `ConfigError` where it cannot be built, or does not turn the study's images into one row of logits each.
    """
    return _traced(replace(spec, widths=(), removed=()), access)


@functools.lru_cache(maxsize=4)
def _traced(spec: NetworkSpec, access: Access) -> Traced:
    factory = factory_of(spec, access)
    with seeded_everywhere(0, "trace"), torch.device("cpu"):
        network = factory()
    check_network(network, spec)
    tracing = trace(network, made_up_images(spec))
    return Traced(factory, tracing, f"{type(network).__module__}:{type(network).__qualname__}")


def blocks_of(spec: NetworkSpec, access: Access) -> Blocks:
    """The residual blocks of a dense network, of the zoo or from elsewhere, that can go whole; remembered."""
    return _blocks(replace(spec, widths=spec.widths if not is_foreign(spec.name) else (), removed=()), access)


@functools.lru_cache(maxsize=4)
def _blocks(spec: NetworkSpec, access: Access) -> Blocks:
    return find_blocks(network_at(spec, access, 0, "blocks"), made_up_images(spec))


def prunable_of(spec: NetworkSpec, access: Access) -> Prunable:
    """What of a network from elsewhere can be pruned."""
    tracing = traced(spec, access).tracing
    return Prunable(
        groups=tuple(
            GroupInfo(name=group.name, position=position, stage=0, channels=group.channels)
            for position, group in enumerate(tracing.groups, start=1)
        ),
        heads=frozenset(group.name for group in tracing.groups if group.role == "heads"),
        links=tracing.links,
        notes=(*(f"{one.what}: {one.reason}" for one in tracing.frozen), *tracing.notes),
    )


def network_at(spec: NetworkSpec, access: Access, *seed: int | str) -> nn.Module:
    """The network with fresh float32 weights on the CPU; equal specification and seed give equal bits.

    A small copy of a network from elsewhere is drawn as its author would draw it at those widths, see `regrow.channels.replay`.
    """
    if not is_foreign(spec.name):
        return build(spec, *seed)
    known = traced(spec, access)
    _check_removed(spec, access)
    if spec.widths in ((), known.widths):
        with seeded_everywhere(*seed), torch.device("cpu"):
            network = known.factory()
        remove_blocks(network, spec.removed)
        return network
    with warnings.catch_warnings():  # what was mended is the same for every seed, and is told once, see `mended`
        warnings.simplefilter("ignore", RedrawWarning)
        return regrow(first_channels(spec, known), known.factory, *seed)


def _check_removed(spec: NetworkSpec, access: Access) -> None:
    """Refuse to remove what is no residual block of the dense network: `PruningError`."""
    known = [block.name for block in blocks_of(spec, access).blocks] if spec.removed else []
    for name in spec.removed:
        if name not in known:
            raise PruningError(
                f"{name} is no block of {spec.name} that can go whole, so it cannot be removed. {did_you_mean(name, known)}"
            )


def mended(spec: NetworkSpec, access: Access) -> tuple[str, ...]:
    """What had to be mended to draw the small copy of a specification afresh, in words; empty where the replay was whole."""
    known = traced(spec, access)
    if spec.widths in ((), known.widths):
        return ()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", RedrawWarning)
        regrow(first_channels(spec, known), known.factory, 0, "mended")
    return tuple(str(one.message) for one in told if issubclass(one.category, RedrawWarning))


def first_channels(spec: NetworkSpec, known: Traced) -> Architecture:
    """The architecture that keeps the first channels of every group, and removes the specification's blocks.

    Shapes and numbers follow from the widths alone.

    Raises `PruningError` where the widths are not those of the traced groups.
    """
    groups = known.tracing.groups
    if len(spec.widths) != len(groups):
        raise PruningError(
            f"{spec.name} has {len(groups)} prunable groups and needs one width for each; found {len(spec.widths)}. "
            "It was traced by another version of its code or of regrow."
        )
    return Architecture(
        dense=replace(spec, widths=known.widths, removed=()),
        kept=tuple(
            KeptChannels(group=group.name, channels=group.channels, indices=tuple(range(width)), slices=group.slices)
            for group, width in zip(groups, spec.widths, strict=True)
        ),
        corrections=known.tracing.corrections(spec.widths),
        removed=spec.removed,
        network=known.label,
        fingerprint=_UNKNOWN,
        regrow=regrow_version(),
    )


def carved_shell(architecture: Architecture, access: Access) -> nn.Module:
    """The small network as carving makes it, its weights to be overwritten. What carving keeps from the dense network and no
    state holds (tables of positions, scales) is in it, which a freshly drawn copy would compute anew."""
    dense = architecture.dense
    if dense is None:
        raise PruningError("the architecture does not say how its dense network is built")
    return carve(network_at(dense, access, 0, "to be overwritten"), architecture, other_weights=True)
