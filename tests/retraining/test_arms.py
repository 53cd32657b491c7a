"""Arms: what may differ between two rows, and what may not."""

from __future__ import annotations

import dataclasses

import pytest

from regrow.retraining.arms import ARMS, Arm
from regrow.retraining.budget import CONVENTIONS


def differing(a: Arm, b: Arm) -> set[str]:
    columns = {field.name for field in dataclasses.fields(Arm)} - {"summary", "source"}
    return {column for column in columns if getattr(a, column) != getattr(b, column)}


def test_scratch_b_differs_from_scratch_e_in_budget_alone() -> None:
    assert differing(ARMS["scratch-e"], ARMS["scratch-b"]) == {"budget"}


def test_random_pruned_differs_from_retrain_in_the_channels_alone() -> None:
    assert differing(ARMS["retrain"], ARMS["random-pruned"]) == {"channels", "control"}


def test_dense_longer_differs_from_scratch_b_in_the_network_alone() -> None:
    assert differing(ARMS["scratch-b"], ARMS["dense-longer"]) == {"network", "control"}


def test_only_fine_tune_keeps_a_constant_lr() -> None:
    assert [name for name, arm in ARMS.items() if arm.schedule == "constant"] == ["fine-tune"]


@pytest.mark.parametrize("name", ARMS)
class TestEveryArm:
    def test_inheritors_read_the_stream_from_where_the_dense_run_stopped(self, name: str) -> None:
        arm = ARMS[name]
        assert arm.stream == ("after-dense" if arm.weights == "carved" else "start")

    def test_its_budget_is_a_length_or_a_convention(self, name: str) -> None:
        assert ARMS[name].budget in {"K1", "K2", "tail", "convention", *CONVENTIONS}

    def test_only_inherited_channels_can_be_chosen_at_random(self, name: str) -> None:
        assert ARMS[name].channels == "chosen" or ARMS[name].weights == "carved"

    def test_names_its_source(self, name: str) -> None:
        assert ARMS[name].source
