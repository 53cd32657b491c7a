"""Rewind: an architecture and the dense run's state of step k give the small network as it would have been at step k.

Step 0 is the lottery ticket. Source: Frankle and Carbin, ICLR 2019, arXiv:1803.03635; with k > 0, Frankle et al., ICML 2020,
arXiv:1912.05671; for whole channels, Liu et al., ICLR 2019, arXiv:1810.05270, section 6.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

from torch import Tensor, nn

from regrow.channels.architecture import Architecture
from regrow.channels.carve import carve
from regrow.errors import PruningError


def rewind(architecture: Architecture, network: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """The small network with the dense run's weights and buffers of an earlier step.

    `network` is the dense network with any weights; it lends its modules and is left as it is. `state` is its `state_dict()` of the
    step. Optimiser state and place in the stream of examples are not part of it: an arm of a study rewinds those too. Raises
    `PruningError` where `state` is not one of this network.
    """
    dense = copy.deepcopy(network)
    try:
        dense.load_state_dict(dict(state))
    except RuntimeError as error:
        raise PruningError(
            f"the state does not fit the dense {type(network).__name__}; take the state_dict() of the same network at an "
            f"earlier step. {_first_lines(error)}"
        ) from None
    return carve(dense, architecture, other_weights=True)


def _first_lines(error: RuntimeError, most: int = 3) -> str:
    """PyTorch lists every tensor; a few are enough to see what is wrong."""
    lines = [line.strip() for line in str(error).splitlines()]
    more = f" ... and {len(lines) - most} more" if len(lines) > most else ""
    return " ".join(lines[:most]) + more
