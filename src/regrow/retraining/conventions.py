"""Budget conventions: how long a network is trained from scratch, derived from what the pruning pipeline spent.

    epochs = floor( training FLOPs of the stages that count / training FLOPs of one epoch of the small network )

With K1 dense epochs, K2 retraining epochs, KM epochs of what trainings a method has between these, F1 and F2 the MACs of the dense
and of the small network, that is K1·F1/F2 when dense training alone counts and K1·F1/F2 + K2 when fine-tuning counts
too. All arithmetic is in integers, so floors are exact.

Where single weights are masked, the small network is as large as the dense one: it executes F1 MACs, of which N2 belong to weights
that are left, the *nominal* ones. Three conventions price it: B0 by executed MACs, which then equals E; B0-nominal as if the
device skipped every zero, which no device here does; and B0-cap as B0-nominal, but at most twice the dense epochs. Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from regrow.errors import ProtocolError
from regrow.pruning.methods import Removed
from regrow.retraining.ledger import STAGES, Ledger, LedgerStage, Spent, other_epochs, training_flops
from regrow.table import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Convention:
    """A named answer to "what is an equal budget?"."""

    summary: str
    """One line of help."""

    formula: str
    """The epochs of the scratch arm, scoring left out, in K1, K2, KM, F1, F2, N2 (see the top of this module)."""

    counts: tuple[LedgerStage, ...] = ()
    """Ledger stages whose FLOPs the scratch arm may spend. What stands in the place of dense training counts where that counts."""

    epochs: tuple[Literal["K1", "KM", "K2"], ...] = ()
    """Instead of stages: epochs that are added up, whatever they cost."""

    macs: Literal["executed", "nominal"] = "executed"
    """By which MACs an epoch of a masked network is priced. For a physically small network the two are equal."""

    cap: int | None = None
    """At most this many times the dense epochs."""

    source: str
    """Who has used it."""


_DENSE: Final[tuple[LedgerStage, ...]] = ("dense training", "scoring")
_LIU: Final = "Liu et al. 2019, arXiv:1810.05270"
_WANG: Final = "Wang et al. 2023, arXiv:2301.05219"

CONVENTIONS: Final[Table[Convention]] = Table(
    "convention",
    {
        "E": Convention(
            summary="equal epochs: as many as the dense network had (Scratch-E)",
            formula="K1",
            epochs=("K1",),
            source=_LIU,
        ),
        "B0": Convention(
            summary="equal compute, fine-tuning not counted (the paper's Scratch-B on CIFAR)",
            formula="floor(K1 * F1 / F2)",
            counts=_DENSE,
            source=_LIU,
        ),
        "B0-cap": Convention(
            summary="as B0, but at most twice the dense epochs (the paper's Scratch-B on ImageNet); masks at nominal MACs",
            formula="min(2 * K1, floor(K1 * F1 / N2))",
            counts=_DENSE,
            macs="nominal",
            cap=2,
            source=_LIU,
        ),
        "B1": Convention(
            summary="equal compute, fine-tuning counted",
            formula="floor(K1 * F1 / F2 + K2)",
            counts=("dense training", "gradual pruning", "rounds", "scoring", "fine-tuning"),
            source=_WANG,
        ),
        "B0-nominal": Convention(
            summary="as B0, at the nominal MACs of a masked network: thousands of epochs where most weights are gone",
            formula="floor(K1 * F1 / N2)",
            counts=_DENSE,
            macs="nominal",
            source=_LIU,
        ),
        "B-SFP": Convention(
            summary="equal compute of dense training and of soft pruning (Scratch-B of soft filter pruning)",
            formula="floor((K1 + KM) * F1 / F2)",
            counts=("dense training", "soft pruning"),
            source=_LIU,
        ),
        "full": Convention(
            summary="equal compute, everything counted that the pipeline spent on this network",
            formula="floor((K1 + KM) * F1 / F2 + K2)",
            counts=STAGES,
            source="defined here",
        ),
        "free": Convention(
            summary="equal compute after the dense network, which counts as given",
            formula="floor(KM * F1 / F2 + K2)",
            counts=tuple(stage for stage in STAGES if stage != "dense training"),
            source="usual with downloaded networks",
        ),
        "SX-A": Convention(
            summary="equal total epochs: as many as the pipeline trained, whatever they cost",
            formula="K1 + KM + K2",
            epochs=("K1", "KM", "K2"),
            source=_WANG,
        ),
    },
)


def default_convention(removes: Removed) -> str:
    """The convention of a study that names none: B0-cap where single weights are masked, B1 where the network becomes smaller.

    >>> default_convention("weights"), default_convention("channels")
    ('B0-cap', 'B1')
    """
    return "B0-cap" if removes == "weights" else "B1"


def counts(name: str, entry: Spent) -> bool:
    """Whether the convention called `name` counts a ledger entry."""
    counted = CONVENTIONS[name].counts
    return entry.stage in counted or (entry.in_place_of_dense and "dense training" in counted)


def counted_flops(name: str, ledger: Ledger) -> int:
    """FLOPs of a ledger that the convention called `name` counts."""
    return sum(entry.flops for entry in ledger if counts(name, entry))


def scratch_epochs(
    name: str,
    ledger: Ledger,
    *,
    small_macs: int,
    examples: int,
    dense_epochs: int,
    retrain_epochs: int = 0,
    nominal_macs: int | None = None,
) -> int:
    """Whole epochs that the scratch arm gets under the convention called `name`.

    Args:
        name: a row of `CONVENTIONS`.
        ledger: what the pipeline spent on one seed.
        small_macs: MACs that the pruned network executes for one example; a masked network those of the dense one.
        examples: training examples of one epoch.
        dense_epochs: K1.
        retrain_epochs: K2.
        nominal_macs: MACs of the weights that are left; None where the network is physically small.

    Raises `ProtocolError` where the counted FLOPs do not pay for one epoch.
    """
    convention = CONVENTIONS[name]
    if convention.epochs:
        lengths = {"K1": dense_epochs, "KM": other_epochs(ledger, examples), "K2": retrain_epochs}
        return sum(lengths[part] for part in convention.epochs)
    spent = counted_flops(name, ledger)
    macs = small_macs if convention.macs == "executed" or nominal_macs is None else nominal_macs
    epochs = spent // training_flops(macs, examples, 1)
    if convention.cap is not None:
        epochs = min(epochs, convention.cap * dense_epochs)
    if epochs < 1:
        raise ProtocolError(
            f"convention {name} counts {', '.join(convention.counts)}: {spent:,} training FLOPs, less than one epoch of the small "
            'network. Choose another retrain.convention, or charge the dense network (dense.price = "full").'
        )
    return epochs
