"""Arms: what may differ between two rows, and what may not."""

from __future__ import annotations

import dataclasses

import pytest

from regrow.retraining.arms import ARMS, Arm
from regrow.retraining.conventions import CONVENTIONS


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


@pytest.mark.parametrize("arm", ["scratch-e", "scratch-b"])
def test_the_scaled_arms_differ_in_the_initialisation_alone(arm: str) -> None:
    assert differing(ARMS[arm], ARMS[f"{arm}-scaled"]) == {"init", "needs"}


@pytest.mark.parametrize(("arm", "budget"), [("scratch-full", "full"), ("scratch-nominal", "B0-nominal")])
def test_other_prices_of_the_pipeline_are_scratch_b_with_another_budget(arm: str, budget: str) -> None:
    assert differing(ARMS["scratch-b"], ARMS[arm]) - {"needs"} == {"budget"}
    assert ARMS[arm].budget == budget


class TestTickets:
    def test_a_ticket_differs_from_scratch_e_in_its_weights_alone(self) -> None:
        # K1 and E are the same number of epochs; the two are told apart by what they are called after.
        assert differing(ARMS["scratch-e"], ARMS["ticket"]) == {"weights", "budget"}

    def test_a_late_ticket_trains_the_rest_of_the_dense_run(self) -> None:
        assert differing(ARMS["ticket"], ARMS["late-ticket"]) == {"budget", "schedule"}
        assert (ARMS["late-ticket"].budget, ARMS["late-ticket"].schedule) == ("late", "tail")

    def test_its_controls_differ_in_the_architecture_alone(self) -> None:
        assert differing(ARMS["ticket"], ARMS["ticket-shuffled"]) == {"channels", "control"}
        assert differing(ARMS["ticket"], ARMS["ticket-random"]) == {"channels", "control", "needs"}

    def test_they_read_the_stream_as_the_dense_run_did_from_their_step_on(self) -> None:
        streams = {name: arm.stream for name, arm in ARMS.items() if arm.weights == "rewound"}
        assert streams == {
            "ticket": "start",
            "late-ticket": "late",
            "ticket-shuffled": "start",
            "ticket-random": "start",
        }


def test_rows_that_need_a_mask_fit_no_other_pruning() -> None:
    needing = {name for name, arm in ARMS.items() if not arm.fits("channels")}
    assert needing == {"scratch-nominal", "scratch-e-scaled", "scratch-b-scaled", "ticket-random"}
    assert needing == {name for name, arm in ARMS.items() if not arm.fits("blocks")}
    assert all(arm.fits("weights") for arm in ARMS.values())


@pytest.mark.parametrize("name", ARMS)
class TestEveryArm:
    def test_inheritors_read_the_stream_from_where_the_dense_run_stopped_and_scratch_from_its_start(
        self, name: str
    ) -> None:
        arm = ARMS[name]
        assert (arm.stream == "after-dense") == (arm.weights == "carved")
        assert arm.weights != "fresh" or arm.stream == "start"

    def test_its_budget_is_a_length_or_a_convention(self, name: str) -> None:
        assert ARMS[name].budget in {"K1", "K2", "tail", "late", "convention", *CONVENTIONS}

    def test_only_with_weights_of_the_dense_network_chance_may_choose_which(self, name: str) -> None:
        assert ARMS[name].channels == "chosen" or ARMS[name].weights in ("carved", "rewound")

    def test_only_fresh_weights_can_be_drawn_in_another_way(self, name: str) -> None:
        assert ARMS[name].init == "factory" or (ARMS[name].weights == "fresh" and ARMS[name].needs == "weights")

    def test_an_architecture_by_chance_is_a_control(self, name: str) -> None:
        assert ARMS[name].control == (ARMS[name].channels != "chosen" or ARMS[name].network == "dense")

    def test_names_its_source(self, name: str) -> None:
        assert ARMS[name].source
