"""Arms: the ways to train the pruned architecture. This table is the experiment.

All arms share one training loop, one stream of examples per seed and one evaluation. They may differ in the columns below and
in nothing else, so two arms differ in accuracy only because of what is written here.

Schedules: `full` is the dense schedule, stretched in proportion to the arm's epochs; `tail` is the dense schedule from a
given share to its end; `constant` keeps the peak. `full` and `tail` end at the study's final lr.

Where single weights are pruned, every arm trains the dense network under a mask that is applied after each step, and "the same
architecture" means the same mask. Fresh weights under that mask, `scratch-e`, are the lottery ticket's control of random
re-initialisation. Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from regrow.pruning.methods import Removed
from regrow.table import Table

Budget = Literal["K1", "K2", "tail", "late", "convention", "E", "B0", "B0-cap", "B1", "B0-nominal", "full"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One row: start state x budget x schedule."""

    summary: str
    """One line of help."""

    network: Literal["pruned", "dense"] = "pruned"
    """Which architecture is trained; `dense` only in controls."""

    weights: Literal["carved", "fresh", "rewound"]
    """carved: inherited from the trained dense network, norm statistics included, optimiser state empty; fresh: newly drawn,
    optimiser state empty; rewound: the dense run's own weights, norm statistics and optimiser state of an earlier step."""

    init: Literal["factory", "kept-weights"] = "factory"
    """How fresh weights are drawn: by the network's own constructor, or by He's rule for as many weights as the mask keeps."""

    channels: Literal["chosen", "random", "shuffled"] = "chosen"
    """Which architecture. chosen: the method's; shuffled: drawn by chance within each group or layer, as many as the method left
    there; random: drawn by chance, weights at the same global sparsity, channels at the same widths."""

    budget: Budget
    """Epochs: of the dense run (K1), of retraining (K2), what the tail holds, what is left from `retrain.late` on, or by a
    budget convention."""

    schedule: Literal["full", "tail", "constant"]
    """See the top of this module."""

    needs: Literal["anything", "weights"] = "anything"
    """What the method must remove for the row to mean something; `weights`: only under a mask."""

    control: bool = False
    """A control is reported beside the arms and never pooled with them."""

    source: str
    """Where the arm was proposed."""

    @property
    def stream(self) -> Literal["start", "after-dense", "late"]:
        """Where reading of the seed's stream of examples begins: scratch at epoch 0, inheritors where the dense run stopped.

        Rewound arms read what the dense run read from that step on: `late`, or `start` for step 0.
        """
        if self.weights == "carved":
            return "after-dense"
        return "late" if self.budget == "late" else "start"

    def fits(self, removes: Removed) -> bool:
        """Whether the row means something where a method removes this."""
        return self.needs in ("anything", removes)


_LIU = "Liu et al. 2019, arXiv:1810.05270"
_SU = "Su et al. 2020, arXiv:2009.11094"

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
        "ticket": Arm(
            summary="lottery ticket: the dense network's first weights, its whole schedule again",
            weights="rewound",
            budget="K1",
            schedule="full",
            source="Frankle and Carbin 2019, arXiv:1803.03635",
        ),
        "late-ticket": Arm(
            summary="lottery ticket with the dense network's state at `retrain.late`, the rest of its schedule again",
            weights="rewound",
            budget="late",
            schedule="tail",
            source="Frankle et al. 2020, arXiv:1912.05671; Renda et al. 2020, arXiv:2003.02389",
        ),
        "scratch-e": Arm(
            summary="fresh weights, as many epochs as the dense network had; for masks the ticket's random re-initialisation",
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
        "scratch-full": Arm(
            summary="fresh weights, the compute of the whole pipeline: sparsity training, every round, scoring, fine-tuning",
            weights="fresh",
            budget="full",
            schedule="full",
            source="defined here",
        ),
        "scratch-nominal": Arm(
            summary="masks only: fresh weights, dense compute by the MACs of the weights that are left; often thousands of epochs",
            weights="fresh",
            budget="B0-nominal",
            schedule="full",
            needs="weights",
            source=_LIU,
        ),
        "scratch-e-scaled": Arm(
            summary="masks only: as scratch-e, drawn by He's rule for the number of weights that the mask keeps",
            weights="fresh",
            init="kept-weights",
            budget="E",
            schedule="full",
            needs="weights",
            source=_LIU,
        ),
        "scratch-b-scaled": Arm(
            summary="masks only: as scratch-b, drawn by He's rule for the number of weights that the mask keeps",
            weights="fresh",
            init="kept-weights",
            budget="convention",
            schedule="full",
            needs="weights",
            source=_LIU,
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
            summary="control: as many channels (or weights), chosen by chance, trained as `retrain`",
            weights="carved",
            channels="random",
            budget="K2",
            schedule="full",
            control=True,
            source="Le and Hua 2021, arXiv:2105.03193",
        ),
        "ticket-shuffled": Arm(
            summary="control: as ticket, with as many weights (or channels) in each layer, chosen by chance",
            weights="rewound",
            channels="shuffled",
            budget="K1",
            schedule="full",
            control=True,
            source=_SU,
        ),
        "ticket-random": Arm(
            summary="control, masks only: as ticket, with as many weights in all, chosen by chance over all layers",
            weights="rewound",
            channels="random",
            budget="K1",
            schedule="full",
            needs="weights",
            control=True,
            source=_SU,
        ),
    },
)
