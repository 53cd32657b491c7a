"""Methods: the ways to choose which channels go. Imports no torch; rows hold the address of their criterion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from regrow.table import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """One pruning method."""

    summary: str
    """One line of help."""

    target: str
    """`module:attribute` of its criterion, see `regrow.pruning.criteria`."""

    needs_data: bool = False
    """Whether it looks at training examples."""

    seeded: bool = False
    """Whether the choice depends on the study's seed beyond the weights."""

    source: str
    """Where it was proposed."""


METHODS: Final[Table[Method]] = Table(
    "method",
    {
        "l1": Method(
            summary="in each group, the channels with the smallest sum of absolute weights go",
            target="regrow.pruning.criteria:l1",
            source="Li et al. 2017, arXiv:1608.08710",
        ),
        "l2": Method(
            summary="in each group, the channels with the smallest Euclidean norm of weights go",
            target="regrow.pruning.criteria:l2",
            source="He et al. 2018, arXiv:1808.06866",
        ),
        "random": Method(
            summary="in each group, channels go by chance: the control for every other method",
            target="regrow.pruning.criteria:random",
            seeded=True,
            source="Le and Hua 2021, arXiv:2105.03193",
        ),
    },
)
