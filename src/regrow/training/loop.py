"""The training loop. Dense networks and all arms go through it; what differs between them is in the recipe alone.

The same start, stream, recipe and compute give the same bits; a training that was killed at any moment and started again in the same
folder ends with the bits of one that was not.

Over several devices, one process on each (see `ranks.py`) takes these steps with its portion of every batch. Gradients are weighted so that
their mean over ranks is the mean over the whole batch, however it divides; all ranks then hold the same weights, bit for bit, and an
intervention, called on each of them, does the same to each. Norm layers see their own rank's portion in a step; the running statistics
that ranks collect are averaged when an epoch is over. Rank 0 alone writes and tells.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import torch
from torch import nn

from regrow.data.examples import AnyExamples
from regrow.data.stream import BatchStream, Portion, batch_sizes, batches
from regrow.errors import ConfigError, DivergenceError
from regrow.randomness import seeded
from regrow.training.checkpoint import Checkpoints, Progress, Row, restore_optimizer
from regrow.training.compute import Compute
from regrow.training.interventions import Intervention, described
from regrow.training.learner import Learner, Score, open_fabric
from regrow.training.ranks import this_rank
from regrow.training.recipe import Recipe
from regrow.training.schedule import learning_rates
from regrow.training.state import State, generators, save_state, set_generators
from regrow.training.trackers import METRICS_FILE, MetricsFile, open_tracker

OnEpoch: TypeAlias = Callable[[Row], None]
OnTick: TypeAlias = Callable[[int, int], None]
"""Takes the steps done and all steps of the run."""

CHECKPOINT_FOLDER: Final = "checkpoint"
CHECKPOINT_SECONDS: Final = 30.0
"""Least time between two checkpoints: with the running epoch, the most work that a crash costs."""

TICK_SECONDS: Final = 0.5
VALIDATION_BATCH: Final = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What a training tells besides the weights, which are in the network."""

    history: list[Row]
    """One row an epoch: epoch (from 1), train_loss, train_accuracy, validation_loss, validation_accuracy (None where not
    measured), lr of the epoch's last step. Accuracies in percent."""

    train_seconds: float
    """Of training and validating, in all processes that had a part in the final weights."""

    steps: int
    """Optimiser steps of the whole run."""

    examples: int
    """Examples seen, counted as often as they were seen."""


def train(
    network: nn.Module,
    *,
    stream: BatchStream,
    first_epoch: int,
    validation: AnyExamples | None,
    recipe: Recipe,
    compute: Compute,
    folder: Path,
    seed: int = 0,
    on_epoch: OnEpoch | None = None,
    on_tick: OnTick | None = None,
    loggers: Sequence[str] = (),
    label: str = "",
    loader_workers: int = 0,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    intervention: Intervention | None = None,
    start: State | None = None,
    part: Part | None = None,
) -> Trained:
    """Train a network in place; call `regrow.training.machine.apply` first.

    Args:
        stream: batches; their layout should be that of `compute`.
        first_epoch: epoch of the stream that is read first. The run reads `recipe.epochs` of them.
        validation: examples to measure on, every `recipe.validate_every` epochs and after the last; none where there are none.
        folder: for `metrics.jsonl`, the trackers and, below `checkpoint/`, checkpoints. What an interrupted training of the
            same arguments left there is continued.
        seed: of what the network itself draws, such as dropout: a function of (seed, epoch of the stream).
        on_epoch: takes the history's row after every epoch.
        on_tick: for live progress, at most every 0.5 s.
        loggers: names of `trackers.TRACKERS`.
        label: what trackers call this training; by default the folder's name.
        loader_workers: processes that decode validation examples of an image folder.
        intervention: takes a hand in the training, and is finished with it at the end.
        start: the optimiser's state to begin with; the weights are those of `network`. By default it is empty.
        part: leave out first steps, or stop before the end.

    Raises `DivergenceError` when the loss stops being finite, `StoreError` where a checkpoint cannot be written or ranks read different
    ones, `MissingExtraError` for a tracker that is not installed, `ConfigError` for a batch that is too small for so many devices.
    """
    _refuse_unshared(stream, compute)
    told = loggers if this_rank() == 0 else ()
    fabric = open_fabric(compute, [open_tracker(name, folder / "trackers", label or folder.name) for name in told])
    learner = Learner(network, recipe, compute, fabric, intervention)
    team = learner.team
    if start is not None:
        restore_optimizer(learner.optimizer, start.optimizer)
    part = part or Part()
    rates = learning_rates(recipe, stream.steps_per_epoch)
    identity = _identity(network, recipe, compute, (first_epoch, seed, len(stream.examples), stream.steps_per_epoch))
    identity |= part.identity() | ({"intervention": described(intervention)} if intervention is not None else {})
    checkpoints = Checkpoints(folder / CHECKPOINT_FOLDER, identity, every_seconds=checkpoint_seconds)
    progress = checkpoints.resume(learner.network, learner.optimizer, intervention)
    team.agree(len(progress.history))
    ticks = on_tick if team.leads else None
    run = _Run(learner, stream, validation, loader_workers, recipe, first_epoch, seed, rates, ticks, part, start)
    with _metrics(folder, progress, fabric.loggers, on_epoch) if team.leads else nullcontext(_hush) as tell:
        while len(progress.history) < part.epochs(recipe, stream.steps_per_epoch):
            started = time.perf_counter()
            row = run.epoch(len(progress.history))
            progress.history.append(row)
            progress.train_seconds += time.perf_counter() - started
            tell(row)
            if team.leads:
                checkpoints.save_if_due(learner.network, learner.optimizer, progress, intervention)
        if part.stop_at is not None:
            run.stop(len(progress.history))
    if intervention is not None:
        intervention.finish()
    return Trained(
        history=progress.history, train_seconds=progress.train_seconds, steps=run.steps(), examples=run.examples()
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A training that is not the whole of its recipe's epochs."""

    first_step: int = 0
    """Steps of the first epoch that are left out, of the stream and of the schedule; less than an epoch."""

    stop_at: int | None = None
    """Stop after this many steps, counted from the start of the first epoch."""

    state_file: Path | None = None
    """Where the state at the stop is written."""

    def epochs(self, recipe: Recipe, steps_per_epoch: int) -> int:
        """Whole epochs until the end, or until the stop."""
        return recipe.epochs if self.stop_at is None else self.stop_at // steps_per_epoch

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must agree in; empty for a whole training."""
        said = {"first_step": self.first_step or None, "stop_at": self.stop_at}
        return {key: value for key, value in said.items() if value is not None}


@dataclass
class _Run:
    """One training, epoch by epoch."""

    learner: Learner
    stream: BatchStream
    validation: AnyExamples | None
    loader_workers: int
    recipe: Recipe
    first_epoch: int
    seed: int
    rates: Sequence[float]
    on_tick: OnTick | None
    part: Part
    start: State | None

    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return (len(self.rates) if self.part.stop_at is None else self.part.stop_at) - self.part.first_step

    def examples(self) -> int:
        """Examples that they see; batches differ by one at most, so parts of epochs are rounded."""
        return round(len(self.stream.examples) * self.steps() / self.stream.steps_per_epoch)

    def stop(self, done: int) -> None:
        """Take the steps of the unfinished epoch that come before the stop, and write the state there."""
        number, spe, team = self.first_epoch + done, self.stream.steps_per_epoch, self.learner.team
        left = (self.part.stop_at or 0) - done * spe
        with self._seeded(number):
            batches = itertools.islice(self.stream.epoch(number), left)
            rates = self.rates[done * spe : done * spe + left]
            self.learner.learn(batches, rates, wholes=self._sizes())
            if not self.learner.is_finite():
                self._check("weights", math.nan, done, rates or self.rates)
            numbers = team.gathered(generators(self.learner.device)) if left else {}
            assert self.part.state_file is not None
            if team.leads:
                save_state(self.part.state_file, self.learner.network, self.learner.optimizer, numbers)

    def epoch(self, done: int) -> Row:
        """The epoch after `done` finished ones. Raises `DivergenceError`."""
        steps, number, team = self.stream.steps_per_epoch, self.first_epoch + done, self.learner.team
        skipped = self.part.first_step if done == 0 else 0
        rates = self.rates[done * steps + skipped : (done + 1) * steps]
        with self._seeded(number):
            if skipped and self.start is not None:
                set_generators(self.start.generators, team.rank)
            tick = _ticker(self.on_tick, done * steps + skipped, len(self.rates))
            batches = itertools.islice(self.stream.epoch(number), skipped, None)
            train = self.learner.learn(batches, rates, tick, self._sizes()[skipped:]).score(team)
        self._check("training loss", train.loss, done, rates)
        hand, last = self.learner.hand, done + 1 == self.recipe.epochs
        # An intervention may rank weights after an epoch, and what is not a number has no rank.
        if (last or hand is not None) and not self.learner.is_finite():
            self._check("weights", math.nan, done, rates)
        if hand is not None:
            hand.after_epoch(done + 1, self.recipe.epochs)
        measured = self._validate() if last or (done + 1) % self.recipe.validate_every == 0 else None
        if measured is not None:
            self._check("validation loss", measured.loss, done, rates)
        return {
            "epoch": done + 1,
            "train_loss": train.loss,
            "train_accuracy": train.accuracy,
            "validation_loss": measured.loss if measured else None,
            "validation_accuracy": measured.accuracy if measured else None,
            "lr": rates[-1],
        }

    def _seeded(self, number: int) -> AbstractContextManager[None]:
        """What the network draws in an epoch of the stream: every rank has numbers of its own."""
        rank = self.learner.team.rank
        return seeded(self.seed, "network", number, *(("rank", rank) if rank else ()))

    def _sizes(self) -> list[int]:
        """Examples of an epoch's batches, before they are shared out."""
        return batch_sizes(len(self.stream.examples), self.stream.steps_per_epoch)

    def _validate(self) -> Score | None:
        if self.validation is None:
            return None
        return self.learner.measure(
            batches(
                self.validation,
                VALIDATION_BATCH,
                channels_last=self.learner.channels_last,
                workers=self.loader_workers,
                portion=Portion(self.learner.team.rank, self.learner.team.size),
            )
        )

    def _check(self, what: str, value: float, done: int, rates: Sequence[float]) -> None:
        if math.isfinite(value):
            return
        raise DivergenceError(
            f"the {what} must stay finite; it became {value:g} in epoch {done + 1} of {self.recipe.epochs}, at learning rate "
            f"{max(rates):g}. Lower the learning rate (train.lr), warm up (train.warmup = 0.05) or compute in fp32."
        )


def _identity(network: nn.Module, recipe: Recipe, compute: Compute, reading: tuple[int, ...]) -> dict[str, Any]:
    """What must agree for a checkpoint to be continued. Another PyTorch may give other bits, so it is part of it."""
    return {
        "network": {name: list(tensor.shape) for name, tensor in network.state_dict().items()},
        "recipe": recipe.to_json(),
        "compute": compute.to_json(),
        "reading": list(reading),
        "torch": torch.__version__,
    }


def _refuse_unshared(stream: BatchStream, compute: Compute) -> None:
    """Raise `ConfigError` unless the stream gives this rank its portion, and that portion is never empty."""
    if compute.devices == 1:
        return
    if stream.portion != Portion(this_rank(), compute.devices):
        raise ConfigError(
            f"rank {this_rank()} of {compute.devices} must read its own portion of every batch; its stream reads {stream.portion}. "
            "Open the stream with portion=Portion(rank, devices)."
        )
    if (least := len(stream.examples) // stream.steps_per_epoch) < compute.devices:
        raise ConfigError(
            f"every device must have an example of every batch; the smallest batch has {least}, and compute.devices = {compute.devices}. "
            "Raise train.batch or take fewer devices."
        )


def _hush(row: Row) -> None:
    """Ranks other than the first tell nothing."""
    del row


@contextmanager
def _metrics(folder: Path, progress: Progress, loggers: Sequence[Any], on_epoch: OnEpoch | None) -> Iterator[OnEpoch]:
    """Tells rows to the metrics file, the trackers and whoever wants to know; closes them whatever happens."""
    file = MetricsFile(folder / METRICS_FILE, progress.history)

    def tell(row: Row) -> None:
        file.add(row)
        for logger in loggers:
            numbers = {name: value for name, value in row.items() if name != "epoch" and value is not None}
            logger.log_metrics(numbers, step=row["epoch"])
        if on_epoch is not None:
            on_epoch(row)

    status = "failed"
    try:
        yield tell
        status = "success"
    finally:
        file.close()
        for logger in loggers:
            logger.finalize(status)


def _ticker(on_tick: OnTick | None, done: int, steps: int) -> Callable[[], None] | None:
    """A function to call after every step, which lets `on_tick` know now and then."""
    if on_tick is None:
        return None
    last = time.monotonic()

    def tick() -> None:
        nonlocal done, last
        done += 1
        now = time.monotonic()
        if now - last >= TICK_SECONDS:
            last = now
            on_tick(done, steps)

    return tick
