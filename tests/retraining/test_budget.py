"""The plainest pipeline: two entries, whose sums are those of the paper."""

from __future__ import annotations

from regrow.retraining.budget import pipeline_ledger
from regrow.retraining.conventions import scratch_epochs
from regrow.retraining.ledger import Spent


def test_it_trains_the_dense_network_and_fine_tunes_the_small_one() -> None:
    ledger = pipeline_ledger(dense_macs=300, small_macs=200, dense_epochs=10, retrain_epochs=4, examples=50)
    assert ledger == (
        Spent(stage="dense training", flops=6 * 300 * 10 * 50, what="10 epochs", seen=500),
        Spent(stage="fine-tuning", flops=6 * 200 * 4 * 50, what="4 epochs", seen=200),
    )


def test_a_free_dense_network_leaves_fine_tuning() -> None:
    ledger = pipeline_ledger(
        dense_macs=300, small_macs=200, dense_epochs=10, retrain_epochs=4, examples=50, dense_is_free=True
    )
    assert scratch_epochs("B1", ledger, small_macs=200, examples=50, dense_epochs=10) == 4
