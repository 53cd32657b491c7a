"""Interventions: called at their moments, kept in checkpoints, gone when they have finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regrow.errors import DivergenceError
from regrow.training.compute import Compute
from regrow.training.interventions import Described, described
from tests.training.samples import network, recipe, run, same_bits
from tests.training.test_loop import interrupt


class Counting:
    """Adds a factor of its own behind the first layer, moves it itself, and writes down when it was called."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.factor = nn.Parameter(torch.ones(()))
        self.count = torch.zeros((), dtype=torch.int64)

    def attach(self, network: nn.Module) -> None:
        first: nn.Module = network[0]  # type: ignore[index]
        self._first = first
        self._hook = first.register_forward_hook(lambda _module, _inputs, output: output * self.factor)

    def owned(self) -> Sequence[nn.Parameter]:
        return (self.factor,)

    def before_step(self, lr: float) -> None:
        assert lr > 0
        self.calls.append("before")
        assert self.factor.grad is not None

    def after_step(self, lr: float) -> None:
        self.calls.append("after")
        self.count += 1
        assert self.factor.grad is not None
        self.factor.data -= lr * self.factor.grad

    def after_epoch(self, done: int, epochs: int) -> None:
        self.calls.append(f"epoch {done} of {epochs}")

    def state(self) -> dict[str, Tensor]:
        return {"factor": self.factor.detach(), "count": self.count}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        self.factor.data.copy_(tensors["factor"])
        self.count.copy_(tensors["count"])

    def finish(self) -> None:
        self.calls.append("finish")
        self._hook.remove()
        self._first.weight.data *= self.factor.detach()  # type: ignore[operator]

    def scales(self) -> dict[str, Tensor]:
        return {}


def test_every_moment_is_called_in_order(tmp_path: Path) -> None:
    hand = Counting()
    run(network(), tmp_path, intervention=hand)
    epoch = ["before", "after"] * 4
    assert hand.calls == [*(call for n in range(1, 5) for call in [*epoch, f"epoch {n} of 4"]), "finish"]


def test_what_an_intervention_owns_the_optimiser_leaves_alone(tmp_path: Path) -> None:
    hand = Counting()
    run(network(), tmp_path, intervention=hand)
    assert float(hand.factor.detach()) != 1.0
    assert int(hand.count) == 16


@pytest.mark.parametrize("compute", [Compute(), Compute(channels_last=True, precision="bf16")], ids=["plain", "bf16"])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path: Path, compute: Compute) -> None:
    whole, cut, resumed = (network(dropout=0.3) for _ in range(3))
    hand, again = Counting(), Counting()
    run(whole, tmp_path / "whole", intervention=hand, compute=compute)
    interrupt(cut, tmp_path / "cut", at=9, intervention=Counting(), compute=compute)
    run(resumed, tmp_path / "cut", intervention=again, compute=compute)
    assert same_bits(whole, resumed)
    assert torch.equal(hand.factor, again.factor)
    assert int(again.count) == 16


def test_a_checkpoint_of_a_training_without_it_is_not_continued(tmp_path: Path) -> None:
    interrupt(network(), tmp_path, at=9)
    hand = Counting()
    run(network(), tmp_path, intervention=hand)
    assert int(hand.count) == 16


class Strong(Counting):
    """One with a setting."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def description(self) -> dict[str, Any]:
        return {"strength": self.strength}


def test_what_an_intervention_says_of_itself_is_part_of_a_checkpoints_identity() -> None:
    assert described(Counting()) == {"kind": "Counting"} and not isinstance(Counting(), Described)
    assert described(Strong(0.5)) == {"kind": "Strong", "strength": 0.5}


@pytest.mark.parametrize(("strength", "steps"), [(0.5, 8), (0.25, 16)])
def test_a_checkpoint_under_other_settings_is_not_continued(tmp_path: Path, strength: float, steps: int) -> None:
    interrupt(network(), tmp_path, at=9, intervention=Strong(0.5))
    hand = Strong(strength)
    run(network(), tmp_path, intervention=hand)
    assert sum(call == "after" for call in hand.calls) == steps


class Ranking(Counting):
    """Cannot do its work on weights that are not numbers."""

    def after_epoch(self, done: int, epochs: int) -> None:
        del done, epochs
        assert bool(self._first.weight.isfinite().all())  # type: ignore[operator, union-attr]


def test_divergence_is_found_before_an_intervention_ranks_what_has_no_rank(tmp_path: Path) -> None:
    with pytest.raises(DivergenceError, match="Lower the learning rate"):
        run(network(), tmp_path, intervention=Ranking(), recipe=recipe(peak_lr=1e20))


def test_a_factor_that_breaks_at_the_last_step_is_found_before_it_is_folded(tmp_path: Path) -> None:
    class Breaking(Counting):
        def after_step(self, lr: float) -> None:
            super().after_step(lr)
            if int(self.count) == 16:
                self.factor.data.fill_(float("nan"))

    with pytest.raises(DivergenceError, match="the weights must stay finite"):
        run(network(), tmp_path, intervention=Breaking(), validation=None)
