"""The recipe: all that determines one training besides its start state and its examples. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from regrow.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How one network is trained. Arms of a study differ in the first six fields at most.

    A run walks the schedule of `schedule_epochs` epochs from epoch `schedule_start` on: (epochs, 0) for a full schedule,
    (K1, floor(K1 x rewind)) for the tail of the dense one. Raises `ConfigError` for a walk past the schedule's end
    and for a schedule that would rise.
    """

    epochs: int
    """Passes over the training examples."""

    schedule: Literal["step", "cosine", "one-cycle", "constant"]
    """Shape of the learning rate; see `schedule.py`."""

    peak_lr: float
    """Largest learning rate of the schedule."""

    final_lr: float
    """Learning rate of the last step; unused by a constant schedule."""

    schedule_epochs: int
    """Length of the schedule that the run walks."""

    schedule_start: int = 0
    """Epoch of the schedule at which the run begins."""

    warmup: float = 0.0
    """Share of the schedule's steps over which lr rises linearly to the peak."""

    batch: int = 128
    """Examples a step."""

    optimizer: Literal["sgd", "adamw"] = "sgd"
    """sgd or adamw."""

    momentum: float = 0.9
    """Of sgd."""

    nesterov: bool = False
    """Nesterov's form of momentum, of sgd."""

    weight_decay: float = 1e-4
    """On all parameters."""

    label_smoothing: float = 0.0
    """Share of the target spread over all classes."""

    validate_every: int = 1
    """Epochs between two measurements on the validation set; the last epoch is always measured."""

    def __post_init__(self) -> None:
        if self.schedule_start + self.epochs > self.schedule_epochs:
            raise ConfigError(
                f"a run must end within its schedule of {self.schedule_epochs} epochs; {self.epochs} epochs from epoch "
                f"{self.schedule_start} on end at {self.schedule_start + self.epochs}. Lengthen the schedule or start earlier."
            )
        if self.schedule != "constant" and self.peak_lr < self.final_lr:
            raise ConfigError(
                f"a schedule falls from its peak to its final learning rate; got peak {self.peak_lr:g} below final "
                f"{self.final_lr:g}. Lower train.final_lr or raise the peak."
            )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types; `from_json` gives an equal value back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Recipe:
        """From `to_json`'s value. Raises `ConfigError` for unknown or missing fields."""
        try:
            return cls(**value)
        except TypeError as error:
            raise ConfigError(f"not a recipe: {error}. It was written by another version of regrow.") from None
