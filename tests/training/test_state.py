"""The whole state: a run that is stopped, written down and continued is the run that was not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from regrow.errors import DivergenceError, StoreError
from regrow.training.loop import Part
from regrow.training.state import load_state
from tests.training.samples import network, recipe, run, same_bits

STEPS = 4
"""Of an epoch of the sample's 50 examples."""


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("step", [4, 6, 11], ids=["at an epoch's end", "in an epoch", "just before an epoch's end"])
def test_stopped_and_continued_equals_uninterrupted(tmp_path: Path, optimizer: str, step: int) -> None:
    whole, first, second = (network(dropout=0.4) for _ in range(3))
    asked = recipe(optimizer=optimizer, peak_lr=0.01)
    run(whole, tmp_path / "whole", recipe=asked)
    file = tmp_path / "state.safetensors"
    run(first, tmp_path / "first", recipe=asked, part=Part(stop_at=step, state_file=file))
    state = load_state(file)
    second.load_state_dict(dict(state.weights))
    skipped = step // STEPS
    rest = recipe(optimizer=optimizer, peak_lr=0.01, epochs=4 - skipped, schedule_epochs=4, schedule_start=skipped)
    trained = run(
        second,
        tmp_path / "second",
        recipe=rest,
        first_epoch=skipped,
        start=state,
        part=Part(first_step=step % STEPS),
    )
    assert same_bits(whole, second)
    assert trained.steps == 16 - step


def test_without_the_optimisers_state_it_is_another_run(tmp_path: Path) -> None:
    whole, first, second = (network() for _ in range(3))
    run(whole, tmp_path / "whole")
    file = tmp_path / "state.safetensors"
    run(first, tmp_path / "first", part=Part(stop_at=4, state_file=file))
    second.load_state_dict(dict(load_state(file).weights))
    run(second, tmp_path / "second", recipe=recipe(epochs=3, schedule_epochs=4, schedule_start=1), first_epoch=1)
    assert not same_bits(whole, second)


def test_a_state_holds_weights_statistics_momentum_and_random_numbers(tmp_path: Path) -> None:
    file = tmp_path / "state.safetensors"
    run(network(dropout=0.4), tmp_path / "run", part=Part(stop_at=6, state_file=file))
    state = load_state(file)
    assert {"0.weight", "1.running_mean", "1.num_batches_tracked"} <= state.weights.keys()
    assert "0.momentum_buffer" in state.optimizer
    assert int(state.weights["1.num_batches_tracked"]) == 6
    assert state.generators["cpu"].dtype == torch.uint8


def test_what_is_no_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"nothing")
    for name in ("state", "missing"):
        with pytest.raises(StoreError, match="must be a state"):
            load_state(tmp_path / name)


def test_a_state_that_diverged_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / "state.safetensors"
    with pytest.raises(DivergenceError):
        run(network(), tmp_path, recipe=recipe(peak_lr=1e20), part=Part(stop_at=3, state_file=file))
    assert not file.exists()


def test_the_state_before_the_first_step_is_the_start(tmp_path: Path) -> None:
    file = tmp_path / "state.safetensors"
    trained = run(network(seed=7), tmp_path, part=Part(stop_at=0, state_file=file))
    state = load_state(file)
    assert (trained.steps, trained.examples, trained.history) == (0, 0, [])
    assert not state.optimizer and not state.generators
    assert all(torch.equal(tensor, state.weights[name]) for name, tensor in network(seed=7).state_dict().items())
