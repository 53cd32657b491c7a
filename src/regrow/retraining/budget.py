"""Budgets: how long a network is trained from scratch, derived from what the pruning pipeline spent.

A ledger holds the training FLOPs of the pipeline by stage. A convention names the stages that count, and a cap:

    epochs = floor( training FLOPs of the stages that count / training FLOPs of one epoch of the small network )

With K1 dense epochs, K2 retraining epochs, F1 and F2 the MACs of the dense and of the small network, that is K1·F1/F2 when
dense training alone counts and K1·F1/F2 + K2 when fine-tuning counts too. All arithmetic is in integers, so floors are exact.

Units: MACs are multiply-accumulates of one forward of one example. Training costs 6 FLOPs per MAC: 2 FLOPs per MAC, once
forward and twice backward. Norms, activations and the optimiser's own arithmetic are not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from regrow.errors import ProtocolError
from regrow.table import Table

TRAINING_FLOPS_PER_MAC: Final = 6
FORWARD_FLOPS_PER_MAC: Final = 2

LedgerStage = Literal["dense training", "scoring", "fine-tuning"]


def training_flops(macs: int, examples: int, epochs: int) -> int:
    """FLOPs to train a network of `macs` MACs for `epochs` epochs of `examples` examples.

    >>> training_flops(macs=10, examples=100, epochs=3)
    18000
    """
    return TRAINING_FLOPS_PER_MAC * macs * examples * epochs


@dataclass(frozen=True, kw_only=True, slots=True)
class Convention:
    """A named answer to "what is an equal budget?"."""

    summary: str
    """One line of help."""

    formula: str
    """The epochs of the scratch arm, in K1, K2, F1, F2 (see the top of this module)."""

    counts: tuple[LedgerStage, ...]
    """Ledger stages whose FLOPs the scratch arm may spend; empty means K1 epochs, whatever they cost."""

    cap: int | None = None
    """At most this many times the dense epochs."""

    source: str
    """Who has used it."""


CONVENTIONS: Final[Table[Convention]] = Table(
    "convention",
    {
        "E": Convention(
            summary="equal epochs: as many as the dense network had (Scratch-E)",
            formula="K1",
            counts=(),
            source="Liu et al. 2019, arXiv:1810.05270",
        ),
        "B0": Convention(
            summary="equal compute, fine-tuning not counted (the paper's Scratch-B on CIFAR)",
            formula="floor(K1 * F1 / F2)",
            counts=("dense training", "scoring"),
            source="Liu et al. 2019, arXiv:1810.05270",
        ),
        "B0-cap": Convention(
            summary="as B0, but at most twice the dense epochs (the paper's Scratch-B on ImageNet)",
            formula="min(2 * K1, floor(K1 * F1 / F2))",
            counts=("dense training", "scoring"),
            cap=2,
            source="Liu et al. 2019, arXiv:1810.05270",
        ),
        "B1": Convention(
            summary="equal compute, fine-tuning counted",
            formula="floor(K1 * F1 / F2 + K2)",
            counts=("dense training", "scoring", "fine-tuning"),
            source="Wang et al. 2023, arXiv:2301.05219",
        ),
    },
)


def pipeline_ledger(
    *,
    dense_macs: int,
    small_macs: int,
    dense_epochs: int,
    retrain_epochs: int,
    examples: int,
    dense_is_free: bool = False,
) -> dict[LedgerStage, int]:
    """FLOPs of the pruning pipeline by stage: train the dense network, score its channels, fine-tune the small one.

    Scoring reads weights only, for the methods of this table's conventions so far, and costs nothing worth counting.
    """
    return {
        "dense training": 0 if dense_is_free else training_flops(dense_macs, examples, dense_epochs),
        "scoring": 0,
        "fine-tuning": training_flops(small_macs, examples, retrain_epochs),
    }


def scratch_epochs(
    name: str, ledger: Mapping[LedgerStage, int], *, small_macs: int, examples: int, dense_epochs: int
) -> int:
    """Whole epochs that the scratch arm gets under the convention called `name`.

    Raises `ProtocolError` where the counted FLOPs do not pay for one epoch.

    >>> flops = pipeline_ledger(dense_macs=300, small_macs=200, dense_epochs=10, retrain_epochs=4, examples=50)
    >>> [scratch_epochs(c, flops, small_macs=200, examples=50, dense_epochs=10) for c in ("E", "B0", "B0-cap", "B1")]
    [10, 15, 15, 19]
    """
    convention = CONVENTIONS[name]
    if not convention.counts:
        return dense_epochs
    spent = sum(ledger[stage] for stage in convention.counts)
    epochs = spent // training_flops(small_macs, examples, 1)
    if convention.cap is not None:
        epochs = min(epochs, convention.cap * dense_epochs)
    if epochs < 1:
        raise ProtocolError(
            f"convention {name} counts {', '.join(convention.counts)}: {spent:,} training FLOPs, less than one epoch of the small "
            'network. Choose another retrain.convention, or charge the dense network (dense.price = "full").'
        )
    return epochs
