"""Scales of norm layers, per channel of a group."""

from __future__ import annotations

from torch import Tensor

from regrow.pruning.evidence_look import Look
from regrow.pruning.norm_scales import absolute_scales, require_norms


def scale(look: Look) -> dict[str, Tensor]:
    """scale_C = mean over the group's norm layers of |gamma|, by name of the group, float64 on the CPU.

    Raises `PruningError` that names the groups which no norm layer follows.
    """
    norms = require_norms(look.network, look.groups, look.criterion)
    tensors = dict(look.network.named_parameters())
    return absolute_scales(tensors, look.groups, norms)
