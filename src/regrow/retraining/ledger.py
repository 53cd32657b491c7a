"""The ledger: what a pruning pipeline spends on one network, entry by entry.

A ledger is a tuple of entries, each with a stage. A budget convention names the stages that count (`conventions.py`), and a table
says which stages each kind of method has (`pipelines.py`).

Units: MACs are multiply-accumulates of one forward of one example, those that the device executes: a masked network's are the dense
network's. Training costs 6 FLOPs per MAC: 2 FLOPs per MAC, once forward and twice backward. Norms, activations, the optimiser's
own arithmetic and what a reconstruction solves are not counted. Everything is in whole numbers. Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from regrow.errors import ProtocolError

FORWARD_FLOPS_PER_MAC: Final = 2
BACKWARD_FLOPS_PER_MAC: Final = 4
TRAINING_FLOPS_PER_MAC: Final = FORWARD_FLOPS_PER_MAC + BACKWARD_FLOPS_PER_MAC

LedgerStage = Literal[
    "dense training",
    "sparsity training",
    "soft pruning",
    "gradual pruning",
    "rounds",
    "scoring",
    "reconstruction",
    "fine-tuning",
]
"""In the order in which a pipeline goes through them.

    dense training     of the large network, as usual
    sparsity training  of the large network with a penalty that drives channels or blocks to zero
    soft pruning       of the large network while its smallest filters are zeroed after every epoch
    gradual pruning    of the large network while weights go little by little
    rounds             the trainings between several prunings
    scoring            passes over examples that a criterion asks for; criteria that look at weights alone cost nothing
    reconstruction     passes over examples of methods that fit the layers that are left
    fine-tuning        of the pruned network, at the end
"""

STAGES: Final[tuple[LedgerStage, ...]] = get_args(LedgerStage)

OWN_TRAINING: Final[tuple[LedgerStage, ...]] = ("sparsity training", "soft pruning", "gradual pruning")
"""Trainings that a method takes a hand in. They follow dense training, or stand in its place."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """One entry. Raises `ProtocolError` for an unknown stage, and for one that cannot stand in the place of dense training."""

    stage: LedgerStage
    """What it was spent on."""

    flops: int
    """Floating-point operations, of one seed."""

    what: str = ""
    """For people: `100 epochs`, `round 2 of 5`."""

    seen: int = 0
    """Training examples that steps were taken on, each time that one was seen; none where no step was taken."""

    in_place_of_dense: bool = False
    """Whether this training stands in the place of dense training, so that what counts dense training counts it."""

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise ProtocolError(f"a ledger has no stage {self.stage!r}. Write one of: {', '.join(STAGES)}.")
        if self.flops < 0:
            raise ProtocolError(f"nothing costs less than nothing; {self.stage} has {self.flops:,} FLOPs.")
        if self.in_place_of_dense and self.stage not in OWN_TRAINING:
            raise ProtocolError(
                f"{self.stage} cannot stand in the place of dense training; only {', '.join(OWN_TRAINING)} can."
            )


Ledger = tuple[Spent, ...]
"""What a pipeline spends on one seed."""


def other_epochs(ledger: Ledger, examples: int) -> int:
    """KM: whole epochs of all trainings but those of the dense network, or in its place, and of the pruned one at the end.

    >>> other_epochs((trained("rounds", 10, 100, 3), trained("rounds", 10, 100, 3), fine_tuning(5, 100, 4)), examples=100)
    6
    """
    others = (*OWN_TRAINING, "rounds")
    return sum(entry.seen for entry in ledger if entry.stage in others and not entry.in_place_of_dense) // examples


def training_flops(macs: int, examples: int, epochs: int, skipped: int = 0) -> int:
    """FLOPs to train a network of `macs` MACs for `epochs` epochs of `examples` examples, of which the first `skipped` are left out.

        flops = 6 * macs * (examples * epochs - skipped)

    `skipped` is for trainings that begin at step k of a schedule: `examples_before(k, ...)`.

    >>> training_flops(macs=10, examples=100, epochs=3), training_flops(10, 100, 3, skipped=50)
    (18000, 15000)
    """
    return TRAINING_FLOPS_PER_MAC * macs * (examples * epochs - skipped)


def examples_before(step: int, examples: int, batch: int) -> int:
    """How many examples the first `step` steps of a training see; the last step of an epoch sees what is left of it.

    >>> examples_before(15, examples=1157, batch=128) == 1157 + 5 * 128
    True
    """
    epochs, steps = divmod(step, -(-examples // batch))
    return epochs * examples + steps * batch


def scoring_flops(macs: int, examples: int, *, forwards: int = 1, backwards: int = 1) -> int:
    """FLOPs of passes over examples without a step of the optimiser: `forwards` and `backwards` of each.

        flops = (2 * forwards + 4 * backwards) * macs * examples

    Activations alone take no backward; a product with the Hessian takes about one forward and two backwards.

    >>> scoring_flops(macs=10, examples=100), scoring_flops(10, 100, backwards=0)
    (6000, 2000)
    """
    return (FORWARD_FLOPS_PER_MAC * forwards + BACKWARD_FLOPS_PER_MAC * backwards) * macs * examples


def trained(
    stage: LedgerStage, macs: int, examples: int, epochs: int, *, skipped: int = 0, in_place_of_dense: bool = False
) -> Spent:
    """The entry of one training.

    >>> trained("rounds", macs=10, examples=100, epochs=3)
    Spent(stage='rounds', flops=18000, what='3 epochs', seen=300, in_place_of_dense=False)
    """
    return Spent(
        stage=stage,
        flops=training_flops(macs, examples, epochs, skipped),
        what=f"{epochs} epoch" if epochs == 1 else f"{epochs} epochs",
        seen=examples * epochs - skipped,
        in_place_of_dense=in_place_of_dense,
    )


def fine_tuning(macs: int, examples: int, epochs: int) -> Spent:
    """The entry of the last training, of the pruned network; `macs` are the executed ones."""
    return trained("fine-tuning", macs, examples, epochs)
