"""Training and evaluation mode: a network is looked at in evaluation mode, and is left as it was found."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import nn


@contextlib.contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """The network in evaluation mode inside the block; afterwards every module is in the mode it was in, whatever happened.

    Modules are remembered one by one: part of a network may be frozen in evaluation mode while the rest trains.
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield network
    finally:
        for module, training in modes:
            module.training = training
