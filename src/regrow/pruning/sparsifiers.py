"""Sparsifiers by name: from a study's words to the intervention that takes a hand in a method's own training."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from torch import nn

from regrow.channels.blocks import Block
from regrow.errors import PruningError, UnknownNameError
from regrow.networks.groups import Group
from regrow.pruning.shares import matches
from regrow.pruning.slimming import Slimming
from regrow.pruning.soft import SoftPruning
from regrow.pruning.structure import structure_of_blocks, structure_of_channels
from regrow.training.interventions import Intervention


def sparsifier(
    name: str,
    settings: Mapping[str, Any],
    network: nn.Module,
    groups: Sequence[Group],
    blocks: Sequence[Block] = (),
    example: Any = None,
) -> Intervention:
    """The intervention called `name`.

    Args:
        name: slimming, sss or soft.
        settings: plain JSON values; what a method has no use for is not looked at.
            slimming: `strength`, `step` ("subgradient", "proximal"), `skip`;
            sss: `strength`, `momentum`, `of` ("channels", "blocks"), `skip`;
            soft: `widths` of all groups, `every`, `silence`.
            `skip` holds patterns of groups (or of blocks) that are left alone: they get no scales.
        network: what will be trained.
        groups: its prunable groups, in forward order.
        blocks: its residual blocks, for sss on blocks.
        example: an input. With it, sss tries before the training whether its factors can be multiplied into the weights afterwards.

    Raises `PruningError` where the method cannot be applied to the network, `UnknownNameError` for another name.
    """
    if name not in _MAKERS:
        raise UnknownNameError("sparsifier", name, NAMES)
    return _MAKERS[name](settings, network, groups, blocks, example)


def _slimming(
    settings: Mapping[str, Any], network: nn.Module, groups: Sequence[Group], blocks: Sequence[Block], example: Any
) -> Intervention:
    del network, blocks, example
    return Slimming(_left(groups, settings), **_given(settings, "strength", "step"))


def _sss(
    settings: Mapping[str, Any], network: nn.Module, groups: Sequence[Group], blocks: Sequence[Block], example: Any
) -> Intervention:
    how = _given(settings, "strength", "momentum")
    if settings.get("of") != "blocks":
        return structure_of_channels(network, _left(groups, settings), example, **how)
    left = [block for block in blocks if not any(_means(pattern, block) for pattern in settings.get("skip", ()))]
    return structure_of_blocks(network, {block.name: block.ends for block in left}, example, **how)


def _soft(
    settings: Mapping[str, Any], network: nn.Module, groups: Sequence[Group], blocks: Sequence[Block], example: Any
) -> Intervention:
    del network, blocks, example
    if "widths" not in settings:
        raise PruningError(
            'soft pruning zeroes a fixed number of filters after every epoch, so it needs the width of every group: use scope = "group".'
        )
    return SoftPruning(groups, settings["widths"], **_given(settings, "every", "silence"))


_MAKERS: Final[dict[str, Callable[..., Intervention]]] = {"slimming": _slimming, "sss": _sss, "soft": _soft}

NAMES: Final = tuple(_MAKERS)


def _given(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: settings[name] for name in names if settings.get(name) is not None}


def _left(groups: Sequence[Group], settings: Mapping[str, Any]) -> tuple[Group, ...]:
    """The groups that no pattern of `skip` means."""
    skip = [str(pattern) for pattern in settings.get("skip", ())]
    return tuple(group for group in groups if not any(matches(pattern, group) for pattern in skip))


def _means(pattern: Any, block: Block) -> bool:
    return fnmatch.fnmatchcase(block.name, str(pattern))
