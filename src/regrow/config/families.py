"""Families within a study: recipes that differ (`[[variant]]`), and contrasts between comparisons (`[[between]]`). Imports no torch.

A comparison is network x data x variant x method x amount. A *variant* changes [train] and [retrain] and nothing else, so whatever
changes with a recipe (the lottery ticket's learning rate, how long is retrained) is asked in one study with the same seeds. A
*between* declares, before the run, a contrast of two arms that belong to two comparisons:

    [[between]]
    name   = "widths that slimming found, against uniform ones"
    first  = { method = "slimming", arm = "scratch-e" }
    second = { method = "l1", arm = "scratch-e" }

What neither side names is the same on both sides: one contrast for each network, data set, variant, amount. Over the columns in
`best` each side takes the comparison of its own highest mean validation accuracy instead, say its own best learning rate. Two dense
networks are compared once, whatever prunes them afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from regrow.settings import Settings

Column = Literal["network", "data", "variant", "method", "fraction", "design"]

COLUMNS: Final[tuple[Column, ...]] = ("network", "data", "variant", "method", "fraction", "design")
"""What tells the comparisons of a study apart."""

_AMOUNT: Final[frozenset[Column]] = frozenset({"method", "fraction", "design"})
"""Designs are told in words that name the method's own settings, so they are matched only where no side speaks of these."""


class Variant(Settings):
    """One recipe of the study: what it changes of [train] and [retrain]."""

    name: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f]+$")]
    """What reports call it, e.g. lr 0.01, warm-up."""

    train: dict[str, Any] = Field(default_factory=dict)
    """Keys of [train] with other values."""

    retrain: dict[str, Any] = Field(default_factory=dict)
    """Keys of [retrain] with other values."""

    def __hash__(self) -> int:
        return hash(self.name)


class Side(Settings):
    """One side of a contrast: an arm, and the comparisons that it is taken from."""

    arm: str
    """A row of `regrow list arms`, or dense."""

    network: str | None = None
    """As results call it: vgg16, vgg16 x0.125."""

    data: str | None = None
    """The data set's label."""

    variant: str | None = None
    """A variant's name."""

    method: str | None = None
    """The pruning method."""

    fraction: float | None = None
    """Share removed."""

    design: str | None = None
    """As results call it: 50 % of macs, vgg16-a."""

    @property
    def named(self) -> Mapping[Column, str | float]:
        """The columns that this side fixes."""
        return {column: value for column in COLUMNS if (value := getattr(self, column)) is not None}


class Between(Settings):
    """A declared contrast between arms of two comparisons: first minus second, paired by seed."""

    name: Annotated[str, Field(min_length=1, max_length=120)]
    """What it asks, for people."""

    first: Side
    """What is judged."""

    second: Side
    """What it is judged against."""

    best: tuple[Column, ...] = ()
    """Columns over which each side takes its own best, by mean validation accuracy at the last epoch."""

    @model_validator(mode="after")
    def _sides_differ(self) -> Between:
        if self.first == self.second:
            raise ValueError("first and second say the same; change the arm, or name another comparison")
        named = {*self.first.named, *self.second.named} & set(self.best)
        if named:
            raise ValueError(
                f"best chooses over columns that no side names; found {', '.join(sorted(named))} in best and in a side. Take it out of one"
            )
        return self

    @property
    def matched(self) -> tuple[Column, ...]:
        """Columns in which both sides agree."""
        free = _with_design({*self.first.named, *self.second.named, *self.best})
        free |= indifferent(self.first.arm) & indifferent(self.second.arm)
        return tuple(column for column in COLUMNS if column not in free)

    @property
    def chosen(self) -> frozenset[Column]:
        """Columns in which the comparisons that a side chooses from may differ."""
        return _with_design(set(self.best))


def indifferent(arm: str) -> frozenset[Column]:
    """Columns that change nothing about an arm: for the dense network what prunes it, and how much."""
    return _AMOUNT if arm == "dense" else frozenset()


def _with_design(columns: set[Column]) -> frozenset[Column]:
    return frozenset({*columns, "design"} if columns & _AMOUNT else columns)
