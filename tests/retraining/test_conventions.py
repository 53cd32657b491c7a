"""Conventions: published epochs, sums made by hand, exact floors, and what a masked network may spend."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regrow.errors import ProtocolError, UnknownNameError
from regrow.retraining.conventions import (
    CONVENTIONS,
    counted_flops,
    counts,
    default_convention,
    scratch_epochs,
)
from regrow.retraining.ledger import STAGES, Ledger, Spent, fine_tuning, scoring_flops, trained, training_flops

N = 45_000
"""Training examples; they cancel wherever whole epochs are counted."""


def one_shot(dense: int, small: int, k1: int = 160, k2: int = 40) -> Ledger:
    return trained("dense training", dense, N, k1), fine_tuning(small, N, k2)


def epochs(name: str, ledger: Ledger, small: int, k1: int = 160, k2: int = 40, nominal: int | None = None) -> int:
    return scratch_epochs(
        name, ledger, small_macs=small, examples=N, dense_epochs=k1, retrain_epochs=k2, nominal_macs=nominal
    )


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
    assert epochs("B0", one_shot(dense, small), small) == expected


class TestOneShot:
    def test_fine_tuning_counted_adds_its_epochs(self) -> None:
        assert epochs("B1", one_shot(300, 200), 200) == 240 + 40

    def test_where_nothing_else_is_spent_everything_is_dense_training_and_fine_tuning(self) -> None:
        ledger = one_shot(300, 200)
        assert epochs("full", ledger, 200) == epochs("B1", ledger, 200)
        assert epochs("B-SFP", ledger, 200) == epochs("B0", ledger, 200) == epochs("B0-nominal", ledger, 200)

    def test_the_cap_binds_at_twice_the_dense_epochs_and_not_below(self) -> None:
        assert epochs("B0-cap", one_shot(1000, 200), 200) == 320
        assert epochs("B0-cap", one_shot(300, 200), 200) == 240

    def test_epochs_that_are_added_up_ignore_macs(self) -> None:
        assert epochs("E", one_shot(1000, 1), 1) == 160
        assert epochs("SX-A", one_shot(1000, 1), 1) == 160 + 40

    def test_with_a_dense_network_for_nothing_scratch_gets_what_fine_tuning_took(self) -> None:
        assert epochs("free", one_shot(300, 200), 200) == 40
        assert epochs("B1", one_shot(300, 200, k1=0), 200) == 40
        with pytest.raises(ProtocolError, match="less than one epoch"):
            epochs("B0", one_shot(300, 200, k1=0), 200)

    def test_scoring_buys_an_epoch_only_when_it_costs_one(self) -> None:
        # Gradients of 512 examples at 300 MACs are 512 * 300 / (45,000 * 200) = 0.017 epochs of the small network.
        few = (*one_shot(300, 200), Spent(stage="scoring", flops=scoring_flops(300, 512)))
        many = (*one_shot(300, 200), Spent(stage="scoring", flops=scoring_flops(300, 30_000)))
        assert (epochs("B0", few, 200), epochs("B0", many, 200)) == (240, 241)

    def test_reconstruction_counts_only_where_everything_does(self) -> None:
        ledger = (*one_shot(300, 200), Spent(stage="reconstruction", flops=training_flops(200, N, 3)))
        assert [epochs(name, ledger, 200) for name in ("B0", "B1", "full", "free")] == [240, 280, 283, 43]


class TestSparsityTraining:
    def depgraph(self) -> Ledger:
        """Torch-Pruning's ResNet-56: 200 dense epochs, 100 sparse ones at full size, 100 of fine-tuning at 2.12 x fewer MACs."""
        return (
            trained("dense training", 212, N, 200),
            trained("sparsity training", 212, N, 100),
            fine_tuning(100, N, 100),
        )

    def test_depgraphs_resnet56_recipe(self) -> None:
        # 200 * 2.12 = 424; (200 + 100) * 2.12 + 100 = 736; 424 + 100 = 524; 100 * 2.12 + 100 = 312
        ledger = self.depgraph()
        found = {
            name: epochs(name, ledger, 100, k1=200, k2=100)
            for name in ("E", "B0", "B0-cap", "B1", "full", "free", "SX-A")
        }
        assert found == {"E": 200, "B0": 424, "B0-cap": 400, "B1": 524, "full": 736, "free": 312, "SX-A": 400}

    def test_slimming_trains_with_the_penalty_in_place_of_dense_training(self) -> None:
        # VGG-19 at 160 epochs with 52 % fewer MACs: 160 / 0.48 = 333.3, with 40 epochs of fine-tuning 373.3
        ledger = (trained("sparsity training", 100, N, 160, in_place_of_dense=True), fine_tuning(48, N, 40))
        assert [epochs(name, ledger, 48) for name in ("B0", "B0-cap", "B1", "full")] == [333, 320, 373, 373]

    def test_what_stands_in_the_place_of_dense_training_was_not_given(self) -> None:
        ledger = (trained("sparsity training", 100, N, 160, in_place_of_dense=True), fine_tuning(50, N, 40))
        assert epochs("free", ledger, 50) == 320 + 40


class TestSoftPruning:
    def test_from_a_trained_network_the_papers_code_gives_400_epochs_times_the_ratio(self) -> None:
        # 200 epochs of dense training and 200 of soft pruning, at 125.5 M and 59.4 M MACs: 400 * 2.1128 = 845.1
        ledger = (
            trained("dense training", 125_500_000, N, 200),
            trained("soft pruning", 125_500_000, N, 200),
            fine_tuning(59_400_000, N, 50),
        )
        small = 59_400_000
        assert epochs("B-SFP", ledger, small, k1=200, k2=50) == 400 * 125_500_000 // 59_400_000 == 845
        assert epochs("B0", ledger, small, k1=200, k2=50) == 422
        assert epochs("full", ledger, small, k1=200, k2=50) == 895

    def test_from_fresh_weights_it_is_the_dense_training(self) -> None:
        ledger = (trained("soft pruning", 200, N, 200, in_place_of_dense=True), fine_tuning(100, N, 50))
        assert [epochs(name, ledger, 100, k1=200, k2=50) for name in ("B0", "B-SFP", "B1")] == [400, 400, 450]


class TestRounds:
    def test_five_rounds_of_a_lottery_are_five_dense_trainings_and_the_ticket(self) -> None:
        # Masks: every training executes the dense network's MACs. 160 dense + 4 * 160 between prunings + 160 of the ticket.
        rounds = tuple(trained("rounds", 300, N, 160) for _ in range(5))
        ledger = (trained("dense training", 300, N, 160), *rounds)
        assert epochs("full", ledger, 300) == epochs("B1", ledger, 300) == 6 * 160
        assert epochs("free", ledger, 300) == 5 * 160
        assert epochs("B0", ledger, 300) == epochs("E", ledger, 300) == 160

    def test_rounds_that_go_back_to_step_k_cost_what_comes_after_it(self) -> None:
        # K1 = 10 epochs of 45,000 examples in steps of 100; step 225 is half an epoch, so two rounds are 2 * 9.5 = 19 epochs.
        rounds = tuple(trained("rounds", 300, N, 10, skipped=225 * 100) for _ in range(2))
        ledger = (trained("dense training", 300, N, 10), *rounds)
        assert epochs("full", ledger, 300, k1=10) == 10 + 19

    def test_every_fine_tuning_between_prunings_counts_where_fine_tuning_does(self) -> None:
        ledger = (trained("dense training", 300, N, 160), trained("rounds", 300, N, 3 * 20), fine_tuning(300, N, 40))
        assert [epochs(name, ledger, 300) for name in ("B0", "B1", "full")] == [160, 260, 260]

    def test_gradual_pruning_counts_where_fine_tuning_does(self) -> None:
        ledger = (
            trained("dense training", 300, N, 160),
            trained("gradual pruning", 300, N, 40),
            fine_tuning(300, N, 40),
        )
        assert [epochs(name, ledger, 300) for name in ("B0", "B1", "full", "free")] == [160, 240, 240, 80]


class TestMasks:
    def test_vgg19_at_95_percent_has_three_named_budgets(self) -> None:
        # As the paper's own counter counts, 797.3 M FLOPs and 41.0 M of weights that are left: 160 * 19.446 = 3111.4
        ledger = one_shot(797_300_000, 797_300_000)
        found = {name: epochs(name, ledger, 797_300_000, nominal=41_000_000) for name in ("B0", "B0-cap", "B0-nominal")}
        assert found == {"B0": 160, "B0-cap": 320, "B0-nominal": 3111}

    def test_vgg19_at_95_percent_in_macs_of_convolutions_and_linear_layers(self) -> None:
        # 398,131,200 MACs of convolutions, of which 5 % are left, and 5,120 of the classifier: 160 * 19.995 = 3199.2
        dense, nominal = 398_131_200 + 5_120, 398_131_200 // 20 + 5_120
        assert epochs("B0-nominal", one_shot(dense, dense), dense, nominal=nominal) == 3199

    def test_executed_compute_gives_no_more_epochs_than_the_dense_network_had(self) -> None:
        assert epochs("B0", one_shot(300, 300), 300, nominal=10) == epochs("E", one_shot(300, 300), 300, nominal=10)

    def test_the_cap_does_not_bind_where_few_weights_are_gone(self) -> None:
        # 30 % of the weights gone: 160 / 0.7 = 228.57
        assert epochs("B0-cap", one_shot(1000, 1000), 1000, nominal=700) == 228

    def test_what_is_executed_prices_the_default_of_networks_that_become_smaller(self) -> None:
        assert epochs("B1", one_shot(1000, 1000), 1000, nominal=50) == 160 + 40

    def test_masks_have_their_own_default(self) -> None:
        assert [default_convention(removes) for removes in ("weights", "channels", "blocks")] == ["B0-cap", "B1", "B1"]


@given(
    dense=st.integers(1, 10**9),
    share=st.floats(0.01, 1),
    k1=st.integers(1, 300),
    k2=st.integers(1, 100),
    name=st.sampled_from(["B0", "B1", "B0-nominal", "B-SFP", "full", "free"]),
)
def test_no_budget_is_exceeded_and_one_more_epoch_would_exceed_it(
    dense: int, share: float, k1: int, k2: int, name: str
) -> None:
    small = max(1, int(dense * share))
    ledger = (trained("dense training", dense, N, k1), trained("soft pruning", dense, N, 2), fine_tuning(small, N, k2))
    spent, got = counted_flops(name, ledger), epochs(name, ledger, small, k1=k1, k2=k2)
    assert training_flops(small, N, got) <= spent < training_flops(small, N, got + 1)


def test_an_unknown_convention_is_named() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'B0'"):
        epochs("B00", one_shot(3, 2), 2)


def test_full_leaves_no_stage_out_and_free_only_dense_training() -> None:
    entries = [Spent(stage=stage, flops=1) for stage in STAGES]
    assert [entry.stage for entry in entries if not counts("full", entry)] == []
    assert [entry.stage for entry in entries if not counts("free", entry)] == ["dense training"]


@pytest.mark.parametrize("name", CONVENTIONS)
def test_every_convention_counts_stages_or_epochs_and_not_both(name: str) -> None:
    convention = CONVENTIONS[name]
    assert bool(convention.counts) != bool(convention.epochs)
    assert set(convention.counts) <= set(STAGES)
