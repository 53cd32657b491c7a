"""The training loop: it learns, it gives the same bits, and being interrupted changes none of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from regrow.data.stream import WHOLE, Portion, Stream
from regrow.errors import DivergenceError, MissingExtraError
from regrow.training import loop
from regrow.training.compute import Compute
from regrow.training.ranks import this_rank
from tests.training.samples import examples, network, recipe, run, same_bits, stream

KEYS = ["epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "lr"]


class Killed(BaseException):
    """Ends a training as abruptly as an exception can."""


class Interrupted(Stream):
    """A stream that is cut off before one of its batches."""

    def __init__(self, at: int, channels_last: bool, portion: Portion = WHOLE) -> None:
        super().__init__(examples(), 16, seed=3, augment="crop-flip", channels_last=channels_last, portion=portion)
        self._left = at

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in super().epoch(number):
            if self._left == 0:
                raise Killed
            self._left -= 1
            yield batch


def interrupt(net: torch.nn.Module, folder: Path, at: int, **changes: Any) -> None:
    """Train until step `at`, then die."""
    compute = changes.get("compute", Compute())
    cut = Interrupted(at, compute.channels_last, Portion(this_rank(), compute.devices))
    with pytest.raises(Killed):
        run(net, folder, stream=cut, checkpoint_seconds=0.0, **changes)


def test_a_network_learns_what_is_in_the_images(tmp_path: Path) -> None:
    trained = run(network(), tmp_path, stream=stream(examples(400)), recipe=recipe(epochs=12, schedule="cosine"))
    first, last = trained.history[0], trained.history[-1]
    assert last["train_loss"] < 0.8 * first["train_loss"]
    assert last["validation_accuracy"] > 60 > 25


def test_a_history_has_a_row_an_epoch_and_the_metrics_file_a_line(tmp_path: Path) -> None:
    trained = run(network(), tmp_path)
    assert [list(row) for row in trained.history] == [KEYS] * 4
    assert [row["epoch"] for row in trained.history] == [1, 2, 3, 4]
    assert [row["lr"] for row in trained.history] == pytest.approx([0.1, 0.1, 0.01, 0.001])
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == trained.history
    assert (trained.steps, trained.examples) == (16, 200)
    assert trained.train_seconds > 0


def test_the_same_arguments_give_the_same_bits(tmp_path: Path) -> None:
    one, other = network(dropout=0.5), network(dropout=0.5)
    first, second = run(one, tmp_path / "1"), run(other, tmp_path / "2")
    assert same_bits(one, other)
    assert first.history == second.history


def test_what_the_network_draws_follows_the_seed_and_not_the_process(tmp_path: Path) -> None:
    one, other, third = (network(dropout=0.5) for _ in range(3))
    run(one, tmp_path / "1", seed=1)
    torch.manual_seed(99)
    run(other, tmp_path / "2", seed=1)
    run(third, tmp_path / "3", seed=2)
    assert same_bits(one, other)
    assert not same_bits(one, third)


def test_the_generator_of_the_process_is_left_alone(tmp_path: Path) -> None:
    net = network(dropout=0.5)
    before = torch.get_rng_state()
    run(net, tmp_path)
    assert torch.equal(before, torch.get_rng_state())


def test_reading_begins_where_it_is_told_to(tmp_path: Path) -> None:
    """Two trainings of one epoch are one of two, as far as examples and a constant rate go."""
    halves, whole = network(), network()
    plain = {"schedule": "constant", "momentum": 0.0}
    run(halves, tmp_path / "1", recipe=recipe(epochs=1, **plain))
    run(halves, tmp_path / "2", recipe=recipe(epochs=1, **plain), first_epoch=1)
    run(whole, tmp_path / "3", recipe=recipe(epochs=2, **plain))
    assert same_bits(halves, whole)


@pytest.mark.parametrize("at", [0, 1, 4, 7, 8, 15])
def test_interrupted_at_any_step_and_resumed_equals_uninterrupted(tmp_path: Path, at: int) -> None:
    whole, cut, resumed = network(), network(), network()
    expected = run(whole, tmp_path / "whole")
    interrupt(cut, tmp_path / "cut", at)
    found = run(resumed, tmp_path / "cut")
    assert same_bits(whole, resumed)
    assert found.history == expected.history
    assert (tmp_path / "cut" / "metrics.jsonl").read_text() == (tmp_path / "whole" / "metrics.jsonl").read_text()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("compute", [Compute(), Compute(precision="bf16", channels_last=True)], ids=["fp32", "bf16"])
def test_resuming_is_exact_for_every_optimiser_and_arithmetic(tmp_path: Path, optimizer: Any, compute: Compute) -> None:
    changes = {"recipe": recipe(optimizer=optimizer, peak_lr=0.01, schedule="cosine"), "compute": compute, "seed": 5}
    whole, cut, resumed = (network(dropout=0.3) for _ in range(3))
    expected = run(whole, tmp_path / "whole", **changes)
    interrupt(cut, tmp_path / "cut", 10, **changes)
    assert run(resumed, tmp_path / "cut", **changes).history == expected.history
    assert same_bits(whole, resumed)


def test_resuming_takes_up_the_checkpoint_instead_of_starting_over(tmp_path: Path) -> None:
    interrupt(network(), tmp_path, 13)
    told: list[int] = []
    run(network(), tmp_path, on_epoch=lambda row: told.append(row["epoch"]))
    assert told == [4]


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    net, again = network(), network()
    expected = run(net, tmp_path, checkpoint_seconds=0.0)
    found = run(again, tmp_path, stream=Interrupted(0, channels_last=False))
    assert same_bits(net, again)
    assert found == expected


@pytest.mark.parametrize("change", [{"recipe": recipe(weight_decay=0.0)}, {"seed": 1}, {"first_epoch": 1}])
def test_what_another_training_left_is_not_taken_up(tmp_path: Path, change: dict[str, Any]) -> None:
    interrupt(network(), tmp_path / "used", 13)
    used, clean = network(), network()
    run(used, tmp_path / "used", **change)
    run(clean, tmp_path / "clean", **change)
    assert same_bits(used, clean)


def test_validation_is_measured_as_often_as_asked_and_after_the_last_epoch(tmp_path: Path) -> None:
    trained = run(network(), tmp_path, recipe=recipe(epochs=5, validate_every=2))
    assert [row["validation_loss"] is not None for row in trained.history] == [False, True, False, True, True]
    assert [row["validation_accuracy"] is not None for row in trained.history] == [False, True, False, True, True]


def test_how_often_validation_is_measured_changes_no_weight(tmp_path: Path) -> None:
    often, never = network(), network()
    run(often, tmp_path / "often")
    trained = run(never, tmp_path / "never", validation=None)
    assert same_bits(often, never)
    assert trained.history[-1]["validation_loss"] is None


def test_divergence_says_where_and_what_to_try(tmp_path: Path) -> None:
    with pytest.raises(DivergenceError) as caught:
        run(network(), tmp_path, recipe=recipe(peak_lr=1e20))
    assert "in epoch 1 of 4, at learning rate 1e+20. Lower the learning rate (train.lr)" in str(caught.value)


def test_weights_that_broke_at_the_very_last_step_are_found(tmp_path: Path) -> None:
    # One step at a finite loss, and weights beyond the largest number.
    with pytest.raises(DivergenceError, match="the weights must stay finite; it became nan in epoch 1 of 1"):
        run(
            network(),
            tmp_path,
            stream=stream(batch=50),
            recipe=recipe(epochs=1, schedule="constant", peak_lr=1e39, weight_decay=1.0),
        )


def test_a_diverged_training_leaves_no_checkpoint_of_it(tmp_path: Path) -> None:
    with pytest.raises(DivergenceError):
        run(network(), tmp_path, recipe=recipe(peak_lr=1e20), checkpoint_seconds=0.0)
    assert not (tmp_path / "checkpoint").exists()


def test_ticks_come_while_an_epoch_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "TICK_SECONDS", 0.0)
    ticks: list[tuple[int, int]] = []
    run(network(), tmp_path, recipe=recipe(epochs=2), on_tick=lambda done, steps: ticks.append((done, steps)))
    assert ticks == [(step + 1, 8) for step in range(8)]


def test_ticks_are_no_more_than_two_a_second(tmp_path: Path) -> None:
    ticks: list[int] = []
    started = time.monotonic()
    run(network(), tmp_path, on_tick=lambda done, _: ticks.append(done))
    assert len(ticks) <= 2 * (time.monotonic() - started)


def test_tensorboard_receives_the_metrics(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained = run(network(), tmp_path, loggers=["tensorboard"])
    events = EventAccumulator(str(tmp_path / "trackers" / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("train_loss")] == [1, 2, 3, 4]
    assert [event.value for event in events.Scalars("train_loss")] == pytest.approx(
        [row["train_loss"] for row in trained.history]
    )


def test_a_missing_tracker_is_told_before_anything_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingExtraError):
        run(network(), tmp_path, loggers=["wandb"])
    assert not (tmp_path / "metrics.jsonl").exists()


LONG = {"recipe": recipe(epochs=120, batch=50, schedule="constant", peak_lr=0.01), "validation": None}

CHILD = """
import sys
from pathlib import Path
import torch
from tests.training.samples import network, run, stream
from tests.training.test_loop import LONG
torch.set_num_threads(1)
run(network(), Path(sys.argv[1]), stream=stream(batch=50), checkpoint_seconds=0.0, **LONG)
"""


def kill_while_it_writes_checkpoints(folder: Path) -> None:
    """Start the long training in a process of its own, writing a checkpoint after every epoch; kill it after a few."""
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])}
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(folder)], env=environment, cwd=root)
    while child.poll() is None and len(list((folder / "checkpoint").glob("*.json"))) < 2:
        time.sleep(0.005)
    child.kill()
    assert child.wait() == -signal.SIGKILL


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is a signal of POSIX systems")
def test_killed_while_it_writes_checkpoints_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    whole, resumed = network(), network()
    kill_while_it_writes_checkpoints(tmp_path / "cut")
    told: list[int] = []
    found = run(
        resumed, tmp_path / "cut", stream=stream(batch=50), on_epoch=lambda row: told.append(row["epoch"]), **LONG
    )
    expected = run(whole, tmp_path / "whole", stream=stream(batch=50), **LONG)
    assert told[0] > 1
    assert same_bits(whole, resumed)
    assert found.history == expected.history
