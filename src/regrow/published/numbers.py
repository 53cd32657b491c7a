"""The published numbers: every accuracy of the paper's tables that could be established, as data. Imports no torch.

    numbers.csv    one row a number: where it stands, what it is, how sure we are of it
    tables.toml    one entry a table: its title, its protocol, remarks that change how its numbers are to be read

The text of the paper was not at hand when the rows were written. `mark` says where each number comes from:

    read              read in the README of the released code, or in the table that ShrinkBench extracted by hand from the paper
    recalled          recalled from the paper, read in no file; 33 of 34 recalled values that could be checked agreed
    recalled-unsure   the same, less surely; no target without checking it first

What is not established is not here. Accuracies are in percent, changes and standard deviations in percentage points.

Sources: Liu et al. 2019, arXiv:1810.05270, and its code (Eric-mingjie/rethinking-network-pruning); Blalock et al. 2020,
    arXiv:2003.03033 (JJGO/shrinkbench, existing results).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final, Literal, cast

Kind = Literal["accuracy", "change"]
Mark = Literal["read", "recalled", "recalled-unsure"]

MARKS: Final[tuple[Mark, ...]] = ("read", "recalled", "recalled-unsure")
"""From the surest to the least sure."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Number:
    """One published number."""

    table: str
    """A row of `regrow.published.tables.TABLES`."""

    data: str
    """cifar10, cifar100 or imagenet."""

    network: str
    """As studies call it: vgg16, torchvision:resnet50, ..."""

    method: str
    """A row of `regrow list methods`."""

    design: str
    """The pruned architecture's name where it is predefined (vgg16-a, thinet-50, ...); empty for a plain fraction."""

    fraction: float | None
    """Share removed, where one number says it."""

    arm: str
    """A row of `regrow list arms`; `dense` for the unpruned network, `pruned` for one that was not trained after pruning."""

    metric: Literal["top-1", "top-5"]
    kind: Kind
    """accuracy, or change against the unpruned network of the same framework."""

    mean: float
    std: float | None
    """Standard deviation over runs."""

    n: int
    """Runs: 5 on CIFAR, 1 on ImageNet (the authors, in their repository)."""

    mark: Mark
    std_mark: Mark | None
    """Of the standard deviation, which may be recalled where the mean was read; None where there is none."""

    source: str
    target: bool
    """False for a second value that contradicts the paper's, or belongs to another framework: never compared with ours."""

    epochs: int | None
    """Of Scratch-B, where the length follows from the released code's rule and its own count of FLOPs."""

    note: str

    @property
    def weakest(self) -> Mark:
        """The less sure of the marks of mean and standard deviation."""
        return weakest([self.mark, self.std_mark or "read"])


def weakest(marks: Sequence[Mark]) -> Mark:
    """The least sure of several marks.

    >>> weakest(["read", "recalled"])
    'recalled'
    """
    return max(marks, key=MARKS.index)


@cache
def numbers() -> tuple[Number, ...]:
    """Every published number, in the order of the tables."""
    text = resources.files("regrow").joinpath("published", "numbers.csv").read_text(encoding="utf-8")
    return tuple(_number(row) for row in csv.DictReader(text.splitlines()))


def of_table(table: str) -> tuple[Number, ...]:
    """The numbers of one table; none of a table that is not known."""
    return tuple(number for number in numbers() if number.table == table)


def _number(row: Mapping[str, str]) -> Number:
    return Number(
        table=row["table"],
        data=row["data"],
        network=row["network"],
        method=row["method"],
        design=row["design"],
        fraction=_known(row["fraction"]),
        arm=row["arm"],
        metric=cast(Literal["top-1", "top-5"], row["metric"]),
        kind=cast(Kind, row["kind"]),
        mean=float(row["mean"]),
        std=_known(row["std"]),
        n=int(row["n"]),
        mark=cast(Mark, row["mark"]),
        std_mark=cast(Mark, row["std_mark"]) if row["std_mark"] else None,
        source=row["source"],
        target=row["target"] == "yes",
        epochs=int(row["epochs"]) if row["epochs"] else None,
        note=row["note"],
    )


def _known(cell: str) -> float | None:
    return float(cell) if cell else None
