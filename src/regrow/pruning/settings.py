"""What a study may say about pruning. Imports no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from regrow.settings import Settings

Fraction = Annotated[float, Field(gt=0, lt=1)]
StageFraction = Annotated[float, Field(ge=0, lt=1)]


class PruneSettings(Settings):
    """What to remove, by which score, and how much. Exactly one of fraction, stages and widths; by default fraction 0.5."""

    method: str | tuple[str, ...]
    """A row of `regrow list methods`, or a list of them."""

    fraction: Fraction | tuple[Fraction, ...] | None = None
    """Share of the channels of every prunable group to REMOVE: 0.3 removes 30 %. A list makes a family of comparisons."""

    stages: tuple[StageFraction, ...] | None = None
    """Share to remove in each stage of the network, e.g. [0.6, 0.3, 0.1] for a CIFAR ResNet."""

    skip: tuple[int | str, ...] = ()
    """Groups left whole: their names or patterns of names, e.g. stage1.* (`regrow list networks --json` shows them, and for
    networks from elsewhere `regrow plan --json`), or 1-based positions of their convolution."""

    widths: str | tuple[Annotated[int, Field(ge=1)], ...] | None = None
    """Channels to KEEP per group: a named design (vgg16-a, resnet56-b, ...) or one number per group, in forward order."""

    @model_validator(mode="after")
    def _one_way_to_say_how_much(self) -> PruneSettings:
        given = [key for key in ("fraction", "stages", "widths") if getattr(self, key) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of fraction, stages and widths; found {' and '.join(given)}")
        if self.widths is not None and self.skip:
            raise ValueError("skip goes with fraction or stages; widths already say what every group keeps")
        return self

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods, as a tuple even when one was given."""
        return (self.method,) if isinstance(self.method, str) else self.method

    @property
    def fractions(self) -> tuple[float, ...]:
        """The fractions of the family; empty where stages or widths are given."""
        if self.stages is not None or self.widths is not None:
            return ()
        if self.fraction is None:
            return (0.5,)
        return self.fraction if isinstance(self.fraction, tuple) else (self.fraction,)
