"""Arms: the ways to train the pruned architecture. This table is the experiment.

All arms share one training loop, one stream of examples per seed and one evaluation. They may differ in the columns below and
in nothing else, so two arms differ in accuracy only because of what is written here.

Schedules: `full` is the dense schedule, stretched in proportion to the arm's epochs; `tail` is the dense schedule from a
given share to its end; `constant` keeps the peak. `full` and `tail` end at the study's final lr.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from regrow.table import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One row: start state x budget x schedule."""

    summary: str
    """One line of help."""

    network: Literal["pruned", "dense"] = "pruned"
    """Which architecture is trained; `dense` only in controls."""

    weights: Literal["carved", "fresh"]
    """carved: inherited from the trained dense network, norm statistics included; fresh: newly drawn. Optimiser state starts empty."""

    channels: Literal["chosen", "random"] = "chosen"
    """Whether the method chose which channels are inherited, or chance did (at the same widths)."""

    budget: Literal["K1", "K2", "tail", "convention", "E", "B0", "B0-cap", "B1"]
    """Epochs: of the dense run (K1), of retraining (K2), what the tail holds, or by a budget convention."""

    schedule: Literal["full", "tail", "constant"]
    """See the top of this module."""

    control: bool = False
    """A control is reported beside the arms and never pooled with them."""

    source: str
    """Where the arm was proposed."""

    @property
    def stream(self) -> Literal["start", "after-dense"]:
        """Where reading of the seed's stream of examples begins: scratch at epoch 0, inheritors where the dense run stopped."""
        return "start" if self.weights == "fresh" else "after-dense"


_LIU = "Liu et al. 2019, arXiv:1810.05270"

ARMS: Final[Table[Arm]] = Table(
    "arm",
    {
        "fine-tune": Arm(
            summary="inherited weights, K2 epochs at a constant lr: the paper's and the field's baseline",
            weights="carved",
            budget="K2",
            schedule="constant",
            source="Li et al. 2017, arXiv:1608.08710",
        ),
        "lr-rewind": Arm(
            summary="inherited weights, the dense schedule repeated from `retrain.rewind` to its end",
            weights="carved",
            budget="tail",
            schedule="tail",
            source="Renda et al. 2020, arXiv:2003.02389",
        ),
        "retrain": Arm(
            summary="inherited weights, the whole schedule compressed into K2 epochs",
            weights="carved",
            budget="K2",
            schedule="full",
            source="Le and Hua 2021, arXiv:2105.03193",
        ),
        "scratch-e": Arm(
            summary="fresh weights, as many epochs as the dense network had",
            weights="fresh",
            budget="E",
            schedule="full",
            source=_LIU,
        ),
        "scratch-b": Arm(
            summary="fresh weights, as much compute as `retrain.convention` counts for the pruning pipeline",
            weights="fresh",
            budget="convention",
            schedule="full",
            source=_LIU,
        ),
        "scratch-b0": Arm(
            summary="fresh weights, the compute of dense training alone (the paper's Scratch-B on CIFAR)",
            weights="fresh",
            budget="B0",
            schedule="full",
            source=_LIU,
        ),
        "scratch-b0-cap": Arm(
            summary="as scratch-b0, but never more than twice the dense epochs (the paper's Scratch-B on ImageNet)",
            weights="fresh",
            budget="B0-cap",
            schedule="full",
            source=_LIU,
        ),
        "scratch-b1": Arm(
            summary="fresh weights, the compute of dense training and of fine-tuning",
            weights="fresh",
            budget="B1",
            schedule="full",
            source="Wang et al. 2023, arXiv:2301.05219",
        ),
        "dense-longer": Arm(
            summary="control: the dense network for scratch-b's epochs; shows whether longer training alone helps",
            network="dense",
            weights="fresh",
            budget="convention",
            schedule="full",
            control=True,
            source="rethinking-network-pruning, issue 9",
        ),
        "random-pruned": Arm(
            summary="control: the same widths, channels chosen by chance, trained as `retrain`",
            weights="carved",
            channels="random",
            budget="K2",
            schedule="full",
            control=True,
            source="Le and Hua 2021, arXiv:2105.03193",
        ),
    },
)
