"""Random widths: architectures by chance, the control of every architecture that pruning found or a person designed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import nn

from regrow.networks.groups import Group
from regrow.pruning.allocation import Allocation
from regrow.pruning.targets import widths_for
from regrow.randomness import generator

LOWEST: Final = 0.1
"""Smallest share that is drawn; as the default floor of methods that find widths, so that chance is not handed bottlenecks they avoid."""


def random_widths(
    network: nn.Module,
    groups: Sequence[Group],
    links: Sequence[Sequence[int]],
    example_inputs: Any,
    of: str,
    fraction: float,
    skip: Sequence[str] = (),
    *,
    seed: int,
    name: str,
) -> Allocation:
    """Widths drawn by chance at which the network loses `fraction` of its MACs, parameters or channels. No weight is looked at.

        share_g ~ uniform on [0.1, 1], independent for every group
        width_g = max(1, nearest(C_g * min(1, factor * share_g)))

    with one factor for all groups, found so that the cost comes within 1 % of what was asked (`regrow.pruning.targets.widths_for`,
    which says what it raises). Where little goes the factor is above 1 and the widest groups stay whole; where much goes it is below 1,
    and widths fall below a tenth. The shares depend on `seed` and the network's `name` alone: the designs of one seed at several
    fractions have the same shares and other factors.

    Source: chance as the control of architecture search, Li and Talwalkar 2019, arXiv:1902.07638; of pruned widths, Liu et al. 2019,
    arXiv:1810.05270, which compare with uniform ones only.
    """
    kept = drawn_shares(groups, seed, name)
    return widths_for(network, groups, links, example_inputs, of, fraction, skip, kept=kept)


def drawn_shares(groups: Sequence[Group], seed: int, name: str) -> dict[str, float]:
    """One share per group name, uniform on [LOWEST, 1]."""
    numbers = torch.rand(len(groups), dtype=torch.float64, generator=generator(seed, "random-widths", name))
    shares = (LOWEST + (1 - LOWEST) * numbers).tolist()
    return {group.name: share for group, share in zip(groups, shares, strict=True)}
