"""Guided widths: the share that every group of a network keeps, by what a guide says of the group's stage. Imports no torch.

    width_g = max(1, nearest(C_g * min(1, factor * share of g's stage)))          C_g: channels of group g of the dense network

The factor is one for the whole network, and found by `regrow.pruning.targets.widths_for`, so that MACs (or parameters, or channels) come
within 1 % of what was asked: two designs of equal cost differ in the proportions of their widths alone.
Source: "Guided Pruning" and its transfer from VGG-16 to VGG-19 in Liu et al. 2019, arXiv:1810.05270, section 5.
"""

from __future__ import annotations

from collections.abc import Sequence

from regrow.errors import PruningError
from regrow.networks.layouts import GroupInfo
from regrow.networks.prunable import prunable_of_zoo
from regrow.networks.spec import NetworkSpec
from regrow.pruning.guide import Guide, misfit


def guided_shares(guide: Guide, dense: NetworkSpec) -> dict[str, float]:
    """The share of channels that every group of a network of the zoo keeps, before the common factor, by the group's name.

    Raises `PruningError` where the guide is of weights, or of another number of stages.
    """
    groups = fitting_groups(guide, dense)
    if guide.channels is None:
        raise PruningError(
            f"the guide holds shares of weights, found by {guide.source.method}, and widths need shares of channels. Make one from a "
            "method that removes channels, e.g. slimming."
        )
    return {group.name: guide.channels[group.stage] for group in groups}


def fitting_groups(guide: Guide, dense: NetworkSpec) -> Sequence[GroupInfo]:
    """The groups of a network that a guide has a share for. Raises `PruningError` where the numbers of stages differ."""
    groups = prunable_of_zoo(dense).groups
    if wrong := misfit(guide, dense.name, 1 + max(group.stage for group in groups)):
        raise PruningError(f"{wrong}. Use a guide of the same family of networks.")
    return groups
