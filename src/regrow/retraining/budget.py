"""Budgets of the plainest pipeline: train, prune once by weights alone, fine-tune."""

from __future__ import annotations

from regrow.retraining.conventions import CONVENTIONS, scratch_epochs
from regrow.retraining.ledger import (
    FORWARD_FLOPS_PER_MAC,
    TRAINING_FLOPS_PER_MAC,
    Ledger,
    LedgerStage,
    Spent,
    fine_tuning,
    trained,
    training_flops,
)

__all__ = [
    "CONVENTIONS",
    "FORWARD_FLOPS_PER_MAC",
    "TRAINING_FLOPS_PER_MAC",
    "Ledger",
    "LedgerStage",
    "Spent",
    "pipeline_ledger",
    "scratch_epochs",
    "training_flops",
]


def pipeline_ledger(
    *,
    dense_macs: int,
    small_macs: int,
    dense_epochs: int,
    retrain_epochs: int,
    examples: int,
    dense_is_free: bool = False,
) -> Ledger:
    """What it takes to train the dense network and to fine-tune the small one; scoring by weights costs nothing worth counting.

    >>> flops = pipeline_ledger(dense_macs=300, small_macs=200, dense_epochs=10, retrain_epochs=4, examples=50)
    >>> [scratch_epochs(c, flops, small_macs=200, examples=50, dense_epochs=10) for c in ("E", "B0", "B0-cap", "B1")]
    [10, 15, 15, 19]
    """
    dense = trained("dense training", dense_macs, examples, 0 if dense_is_free else dense_epochs)
    return dense, fine_tuning(small_macs, examples, retrain_epochs)
