"""Build networks from their specifications: with seeded fresh weights, or on the meta device, without any."""

from __future__ import annotations

import torch
from torch import nn

from regrow.networks.spec import NetworkSpec
from regrow.networks.without import remove_blocks
from regrow.networks.zoo import NETWORKS, check
from regrow.randomness import seeded
from regrow.table import load


def build(spec: NetworkSpec, *seed: int | str) -> nn.Module:
    """The network with fresh float32 weights on the CPU; equal specification and seed give equal bits.

    `seed` says what the weights are for, e.g. `build(spec, 3, "dense")`; see `regrow.randomness.derive_seed`.
    Blocks that the specification removes are drawn like all others and then dropped, so what is left has the bits it would have with them.
    Raises `ConfigError` for a specification that cannot be built.
    """
    with seeded(*seed), torch.device("cpu"):
        return _construct(spec)


def blueprint(spec: NetworkSpec) -> nn.Module:
    """The network on the meta device: modules, names and shapes, but no memory and no numbers."""
    with torch.device("meta"):
        return _construct(spec)


def _construct(spec: NetworkSpec) -> nn.Module:
    check(spec)
    row = NETWORKS[spec.name]
    network: nn.Module = load(row.target)(
        **row.arguments,
        **row.options,
        width=spec.width,
        widths=spec.widths,
        classes=spec.classes,
        shape=spec.shape,
    )
    remove_blocks(network, spec.removed)
    return network
