"""Selection: from scores to exactly n channels. Shape suffix: C = channels of one group."""

from __future__ import annotations

import torch
from torch import Tensor

from regrow.errors import PruningError


def keep_highest(scores_C: Tensor, n_drop: int) -> Tensor:
    """Keep all but exactly `n_drop` channels; returns a boolean keep_C on the CPU.

    Drops by rank, never by threshold: `scores > t` drops every channel that ties with t, so equal scores would empty the layer or
    leave it whole. Ties go by position, lowest index first, so the result is reproducible. Raises `PruningError` where no channel
    would be left and where a score is not a number.

    >>> keep_highest(torch.tensor([1.0, 1.0, 1.0, 2.0]), n_drop=2)
    tensor([False, False,  True,  True])
    """
    n_channels = len(scores_C)
    if not 0 <= n_drop < n_channels:
        raise PruningError(
            f"a group must keep at least one channel and cannot drop fewer than none; asked to drop {n_drop} of {n_channels}. "
            "Lower prune.fraction, or put the group into prune.skip."
        )
    unknown = int(scores_C.isnan().sum())
    if unknown:
        raise PruningError(
            f"the scores of {unknown} of {n_channels} channels are not a number (NaN), so they have no rank. "
            "The weights or statistics they come from are NaN: look for a diverged training."
        )
    order_C = torch.argsort(scores_C.cpu(), stable=True)
    keep_C = torch.ones(n_channels, dtype=torch.bool)
    keep_C[order_C[:n_drop]] = False
    return keep_C
