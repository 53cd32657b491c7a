"""Pruning to given widths in one line, for tests that need an architecture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from regrow.channels.architecture import Architecture
from regrow.channels.groups import channel_groups
from regrow.networks.spec import NetworkSpec
from regrow.pruning import prune as pruning
from regrow.pruning.decide import Amount, Subject


def prune(network: nn.Module, dense: NetworkSpec, method: str, widths: Sequence[int], seed: int) -> Architecture:
    """Of a network of the zoo."""
    subject = Subject(network=network, groups=channel_groups(network), example=torch.zeros(2, *dense.shape))
    return pruning.prune(subject, dense, method, Amount(widths=tuple(widths)), seed=seed)[0]


def prune_traced(
    network: nn.Module, traced: Any, dense: NetworkSpec, method: str, widths: Sequence[int], seed: int
) -> Architecture:
    """Of a network whose groups were traced."""
    example = torch.zeros(2, *dense.shape)
    subject = Subject(network=network, groups=traced.groups, links=traced.links, example=example, tracing=traced)
    return pruning.prune(subject, dense, method, Amount(widths=tuple(widths)), seed=seed)[0]
