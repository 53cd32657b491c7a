"""Budgets: the paper's Scratch-B epochs, exact floors, and what each convention counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regrow.errors import ProtocolError, UnknownNameError
from regrow.retraining.budget import (
    CONVENTIONS,
    TRAINING_FLOPS_PER_MAC,
    LedgerStage,
    pipeline_ledger,
    scratch_epochs,
    training_flops,
)

EXAMPLES = 45_000


def epochs(name: str, *, dense: int, small: int, k1: int = 160, k2: int = 40, free: bool = False) -> int:
    ledger = pipeline_ledger(
        dense_macs=dense, small_macs=small, dense_epochs=k1, retrain_epochs=k2, examples=EXAMPLES, dense_is_free=free
    )
    return scratch_epochs(name, ledger, small_macs=small, examples=EXAMPLES, dense_epochs=k1)


@pytest.mark.parametrize(
    ("dense", "small", "expected"),
    [
        (313_500_000, 206_300_000, 243),
        (125_500_000, 112_400_000, 178),
        (125_500_000, 90_900_000, 220),
        (252_900_000, 212_800_000, 190),
        (252_900_000, 155_100_000, 260),
    ],
)
def test_the_papers_scratch_b_epochs_follow_from_its_macs(dense: int, small: int, expected: int) -> None:
    assert epochs("B0", dense=dense, small=small) == expected


def test_fine_tuning_counted_adds_its_epochs() -> None:
    assert epochs("B1", dense=300, small=200) == 240 + 40


def test_depgraphs_resnet56_recipe_at_b0() -> None:
    # 200 epochs at 2.12 x fewer MACs: floor(200 * 2.12) = 424
    assert epochs("B0", dense=212, small=100, k1=200) == 424


def test_the_cap_binds_at_twice_the_dense_epochs_and_not_below() -> None:
    assert epochs("B0-cap", dense=1000, small=200) == 320
    assert epochs("B0-cap", dense=300, small=200) == 240


def test_equal_epochs_ignores_macs() -> None:
    assert epochs("E", dense=1000, small=1) == 160


def test_a_free_dense_network_pays_for_nothing_but_fine_tuning() -> None:
    assert epochs("B1", dense=300, small=200, free=True) == 40
    with pytest.raises(ProtocolError, match="less than one epoch"):
        epochs("B0", dense=300, small=200, free=True)


def test_an_unknown_convention_is_named() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'B0'"):
        epochs("B00", dense=3, small=2)


@given(dense=st.integers(1, 10**9), share=st.floats(0.01, 1), k1=st.integers(1, 300), k2=st.integers(1, 100))
def test_no_budget_is_exceeded_and_one_more_epoch_would_exceed_it(dense: int, share: float, k1: int, k2: int) -> None:
    small = max(1, int(dense * share))
    ledger = pipeline_ledger(dense_macs=dense, small_macs=small, dense_epochs=k1, retrain_epochs=k2, examples=EXAMPLES)
    counted: dict[str, tuple[LedgerStage, ...]] = {"B0": ("dense training", "scoring"), "B1": CONVENTIONS["B1"].counts}
    for name, stages in counted.items():
        spent = sum(ledger[stage] for stage in stages)
        got = scratch_epochs(name, ledger, small_macs=small, examples=EXAMPLES, dense_epochs=k1)
        assert training_flops(small, EXAMPLES, got) <= spent < training_flops(small, EXAMPLES, got + 1)


def test_training_costs_three_forwards_of_two_flops_a_mac() -> None:
    assert TRAINING_FLOPS_PER_MAC == 3 * 2
    assert training_flops(7, 11, 13) == 6 * 7 * 11 * 13
