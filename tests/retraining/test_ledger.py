"""The ledger: what one entry costs, counted by hand, and what no entry may be."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regrow.errors import ProtocolError
from regrow.retraining.ledger import (
    OWN_TRAINING,
    STAGES,
    TRAINING_FLOPS_PER_MAC,
    Spent,
    examples_before,
    fine_tuning,
    other_epochs,
    scoring_flops,
    trained,
    training_flops,
)


def test_training_costs_three_forwards_of_two_flops_a_mac() -> None:
    assert TRAINING_FLOPS_PER_MAC == 3 * 2
    assert training_flops(7, 11, 13) == 6 * 7 * 11 * 13


def test_a_training_from_step_k_on_costs_k_steps_less() -> None:
    # 3 epochs of 100 examples in steps of 20; from step 4 on 4 * 20 = 80 of the 300 examples are not seen again.
    assert training_flops(10, 100, 3, skipped=80) == 6 * 10 * 220


@pytest.mark.parametrize(("examples", "batch"), [(100, 20), (1157, 128), (7, 3), (5, 8)])
def test_examples_before_a_step_are_those_of_the_batches_before_it(examples: int, batch: int) -> None:
    epoch = [len(range(examples)[at : at + batch]) for at in range(0, examples, batch)]
    sizes = epoch * 3
    assert [examples_before(step, examples, batch) for step in range(len(sizes) + 1)] == [0, *accumulate(sizes)]


def test_scoring_with_gradients_costs_as_much_as_training_on_its_examples_and_without_them_a_third() -> None:
    assert scoring_flops(10, 512) == training_flops(10, 512, 1) == 3 * scoring_flops(10, 512, backwards=0)


def test_a_product_with_the_hessian_is_one_forward_and_two_backwards() -> None:
    assert scoring_flops(10, 100, forwards=1, backwards=2) == (2 + 2 * 4) * 10 * 100


@given(macs=st.integers(1, 10**12), examples=st.integers(1, 10**7), epochs=st.integers(0, 10**4))
def test_sums_of_flops_are_exact_however_large(macs: int, examples: int, epochs: int) -> None:
    halves = training_flops(macs, examples, epochs // 2) + training_flops(macs, examples, epochs - epochs // 2)
    assert halves == training_flops(macs, examples, epochs)


def test_the_last_training_is_of_the_small_network() -> None:
    assert fine_tuning(7, 11, 1) == Spent(stage="fine-tuning", flops=6 * 7 * 11, what="1 epoch", seen=11)


def test_other_trainings_are_neither_dense_ones_nor_the_last() -> None:
    ledger = (
        trained("soft pruning", 7, 100, 200, in_place_of_dense=True),
        trained("sparsity training", 7, 100, 50),
        trained("rounds", 7, 100, 10, skipped=50),
        trained("rounds", 7, 100, 10, skipped=51),
        Spent(stage="scoring", flops=10**9),
        fine_tuning(3, 100, 40),
    )
    assert other_epochs(ledger, 100) == 50 + 18  # 9.5 + 9.49 epochs of rounds


def test_entries_say_how_long_they_were() -> None:
    assert trained("sparsity training", 7, 11, 100, in_place_of_dense=True).what == "100 epochs"


def test_a_stage_that_no_convention_knows_is_refused() -> None:
    with pytest.raises(ProtocolError, match=r"no stage 'training'.*dense training"):
        Spent(stage="training", flops=1)  # type: ignore[arg-type]


def test_negative_costs_are_refused() -> None:
    with pytest.raises(ProtocolError, match="scoring has -1"):
        Spent(stage="scoring", flops=-1)


@pytest.mark.parametrize("stage", STAGES)
def test_only_trainings_of_methods_stand_in_the_place_of_dense_training(stage: str) -> None:
    if stage in OWN_TRAINING:
        assert Spent(stage=stage, flops=1, in_place_of_dense=True).in_place_of_dense
        return
    with pytest.raises(ProtocolError, match="cannot stand in the place of dense training"):
        Spent(stage=stage, flops=1, in_place_of_dense=True)  # type: ignore[arg-type]
