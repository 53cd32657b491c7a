"""What a study may say about retraining. Imports no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from regrow.settings import Settings


class RetrainSettings(Settings):
    """How arms are trained: their lengths, their learning rates and the convention that prices Scratch-B."""

    epochs: Annotated[int, Field(ge=1)] | None = None
    """Epochs of fine-tune, retrain and random-pruned (K2); by default a quarter of train.epochs, the paper's 40 of 160."""

    rewind: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """lr-rewind repeats the dense schedule from this share of it to its end."""

    late: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """late-ticket goes back to the dense network's state after this share of its steps."""

    convention: str | None = None
    """A row of `regrow list conventions`: how the epochs of scratch-b follow from the ledger; by default B0-cap where weights are
    pruned, and B1 where the network becomes smaller."""

    tune_lr: bool = True
    """Choose every arm's peak lr on the validation set, from one grid. Switched off, the verdict says `untuned`."""

    lrs: tuple[Annotated[float, Field(gt=0)], ...] | None = None
    """The grid that tuning starts from, at least four values; by default train.lr and three more, each a factor sqrt(10) lower.
    While an arm's best value is at an edge the grid grows there for every arm."""

    tune_seeds: Annotated[int, Field(ge=2)] = 2
    """Seeds used for choosing lr only; the report never uses them."""

    max_lrs: Annotated[int, Field(ge=4)] = 8
    """The grid stops growing at this many values, and the report says so."""

    fine_tune_lr: Annotated[float, Field(gt=0)] | None = None
    """Only with tune_lr = false: the constant lr of fine-tune; by default the final lr of the dense schedule, as in the paper."""
