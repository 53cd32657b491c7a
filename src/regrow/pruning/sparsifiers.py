"""Sparsifiers by name: from a study's words to the intervention that takes a hand in a method's own training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from regrow.channels.blocks import Block
from regrow.errors import UnknownNameError
from regrow.networks.groups import Group
from regrow.pruning import slimming, structure
from regrow.pruning.soft import SoftPruning
from regrow.training.interventions import Intervention

NAMES = ("slimming", "sss", "soft")


def sparsifier(
    name: str,
    settings: Mapping[str, Any],
    network: nn.Module,
    groups: Sequence[Group],
    blocks: Sequence[Block] = (),
) -> Intervention:
    """The intervention called `name`.

    Args:
        name: slimming, sss or soft.
        settings: plain values: `strength` of a penalty, `widths` of every group for soft, `of = "blocks"` for sss on blocks; what a
            method has no use for is not looked at.
        network: what will be trained.
        groups: its prunable groups, in forward order.
        blocks: its residual blocks, for sss on blocks.

    Raises `PruningError` where the method cannot be applied to the network, `UnknownNameError` for another name.
    """
    if name == "slimming":
        return slimming.Slimming(groups, settings.get("strength", slimming.STRENGTH))
    if name == "soft":
        return SoftPruning(groups, settings["widths"])
    if name != "sss":
        raise UnknownNameError("sparsifier", name, NAMES)
    strength = settings.get("strength", structure.STRENGTH)
    if settings.get("of") == "blocks":
        return structure.structure_of_blocks(network, {block.name: block.ends for block in blocks}, strength=strength)
    return structure.structure_of_channels(network, groups, strength=strength)
