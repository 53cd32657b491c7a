"""Methods: the ways to choose what goes. Imports no torch; rows hold the address of the code that does it.

Five kinds of code stand behind a row:

    criterion        a function that scores weights or channels of a finished network (`criteria.py`, `saliencies.py`)
    reconstruction   chooses channels and gives the layers that read them new weights (`thinet.py`, `regression.py`)
    sparsifier       works while the network trains, and leaves one number per channel or block (`sparsifiers.py`)
    schedule         removes weights little by little during a training (`gradual.py`)
    design           says how much of each group or layer stays, by chance or by a guide, and looks at no weight for it (`guide.py`);
                     of a group's channels those with the largest sums of absolute weights stay
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from regrow.table import Table

Removed = Literal["channels", "weights", "blocks"]
Kind = Literal["criterion", "reconstruction", "sparsifier", "schedule", "design", "whole"]
Scope = Literal["group", "global"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """One pruning method."""

    summary: str
    """One line of help."""

    target: str
    """`module:attribute` of the code that does it."""

    kind: Kind = "criterion"
    """Which kind of code it is, see the top of this module; `whole` for a function of somebody else's that does everything."""

    removes: tuple[Removed, ...] = ("channels",)
    """What it can remove; the first is its default."""

    scores: Literal["channels", "weights"] = "channels"
    """Whether a criterion gives one number per output channel, or one per weight."""

    scope: Scope = "group"
    """Its default: each group (or layer) loses the same share, or one ranking goes over all of them."""

    needs_data: bool = False
    """Whether it looks at training examples after the training."""

    needs_gradient: bool = False
    """Whether it also needs the loss's gradient on them, which costs a backward pass."""

    needs_norms: bool = False
    """Whether it reads the scales of norm layers."""

    needs_guide: bool = False
    """Whether it follows a guide, `prune.guide`."""

    seeded: bool = False
    """Whether the choice depends on the study's seed beyond the weights."""

    source: str
    """Where it was proposed."""

    @property
    def while_training(self) -> bool:
        """Whether it needs a training of its own, of the full-size network."""
        return self.kind in ("sparsifier", "schedule")


_CRITERIA = "regrow.pruning.criteria:"
_SALIENCIES = "regrow.pruning.saliencies:"
_BOTH: Final[tuple[Removed, ...]] = ("channels", "weights")
_WEIGHTS: Final[tuple[Removed, ...]] = ("weights", "channels")

METHODS: Final[Table[Method]] = Table(
    "method",
    {
        "l1": Method(
            summary="in each group, the channels with the smallest sum of absolute weights go",
            target=_CRITERIA + "l1",
            source="Li et al. 2017, arXiv:1608.08710",
        ),
        "l2": Method(
            summary="in each group, the channels with the smallest Euclidean norm of weights go",
            target=_CRITERIA + "l2",
            source="He et al. 2018, arXiv:1808.06866",
        ),
        "fpgm": Method(
            summary="channels whose filters are nearest to all others of their group go: the most replaceable ones",
            target=_CRITERIA + "fpgm",
            source="He et al. 2019, arXiv:1811.00250",
        ),
        "scale": Method(
            summary="channels whose norm layers have the smallest absolute scale go, without sparsity training",
            target=_CRITERIA + "scale",
            needs_norms=True,
            source="Ye et al. 2018, arXiv:1802.00124",
        ),
        "hrank": Method(
            summary="channels whose feature maps have the lowest mean rank go",
            target=_CRITERIA + "hrank",
            needs_data=True,
            source="Lin et al. 2020, arXiv:2002.10179",
        ),
        "activation-mean": Method(
            summary="channels with the smallest mean absolute activation go",
            target=_CRITERIA + "activation_mean",
            needs_data=True,
            source="Molchanov et al. 2017, arXiv:1611.06440",
        ),
        "taylor": Method(
            summary="channels (or weights) whose removal changes the loss least, to first order, go",
            target=_SALIENCIES + "taylor",
            removes=_BOTH,
            scores="weights",
            needs_data=True,
            needs_gradient=True,
            source="Molchanov et al. 2019, arXiv:1906.10771",
        ),
        "fisher": Method(
            summary="as taylor, to second order, with the diagonal of the empirical Fisher matrix",
            target=_SALIENCIES + "fisher",
            removes=_BOTH,
            scores="weights",
            needs_data=True,
            needs_gradient=True,
            source="Theis et al. 2018, arXiv:1801.05787",
        ),
        "hessian": Method(
            summary="as taylor, to second order, with an estimate of the diagonal of the Hessian matrix",
            target=_SALIENCIES + "hessian",
            removes=_BOTH,
            scores="weights",
            needs_data=True,
            needs_gradient=True,
            seeded=True,
            source="LeCun et al. 1990; Yao et al. 2021, arXiv:2006.00719",
        ),
        "thinet": Method(
            summary="channels that the next layer misses least go, greedily; its weights are rescaled by least squares",
            target="regrow.pruning.thinet:thinet",
            kind="reconstruction",
            needs_data=True,
            seeded=True,
            source="Luo et al. 2017, arXiv:1707.06342",
        ),
        "regression": Method(
            summary="channels are chosen by LASSO on the next layer's outputs; its weights are fitted anew by least squares",
            target="regrow.pruning.regression:regression",
            kind="reconstruction",
            needs_data=True,
            seeded=True,
            source="He et al. 2017, arXiv:1707.06168",
        ),
        "soft": Method(
            summary="soft filter pruning: the smallest filters are zeroed after every epoch and may come back",
            target="regrow.pruning.soft:SoftPruning",
            kind="sparsifier",
            source="He et al. 2018, arXiv:1808.06866",
        ),
        "slimming": Method(
            summary="network slimming: norm scales are trained under an L1 penalty; the smallest of all channels go",
            target="regrow.pruning.slimming:Slimming",
            kind="sparsifier",
            scope="global",
            needs_norms=True,
            source="Liu et al. 2017, arXiv:1708.06519",
        ),
        "sss": Method(
            summary="sparse structure selection: factors on blocks or channels are trained to zero by proximal steps",
            target="regrow.pruning.structure:Structure",
            kind="sparsifier",
            removes=("blocks", "channels"),
            scope="global",
            source="Huang and Wang 2018, arXiv:1707.01213",
        ),
        "magnitude": Method(
            summary="the smallest weights go",
            target=_SALIENCIES + "magnitude",
            removes=("weights",),
            scores="weights",
            scope="global",
            source="Han et al. 2015, arXiv:1506.02626",
        ),
        "lamp": Method(
            summary="weights that are small beside the larger ones of their layer go, by one ranking over all layers",
            target=_SALIENCIES + "lamp",
            removes=_WEIGHTS,
            scores="weights",
            scope="global",
            source="Lee et al. 2021, arXiv:2010.07611",
        ),
        "wanda": Method(
            summary="weights that are small times the norm of what they multiply go, in each layer",
            target=_SALIENCIES + "wanda",
            removes=_WEIGHTS,
            scores="weights",
            needs_data=True,
            source="Sun et al. 2024, arXiv:2306.11695",
        ),
        "snip": Method(
            summary="weights to which the loss is least sensitive go",
            target=_SALIENCIES + "snip",
            removes=_WEIGHTS,
            scores="weights",
            scope="global",
            needs_data=True,
            needs_gradient=True,
            source="Lee et al. 2019, arXiv:1810.02340",
        ),
        "grasp": Method(
            summary="weights whose removal keeps the gradient's norm largest go",
            target=_SALIENCIES + "grasp",
            removes=_WEIGHTS,
            scores="weights",
            scope="global",
            needs_data=True,
            needs_gradient=True,
            source="Wang et al. 2020, arXiv:2002.07376",
        ),
        "synflow": Method(
            summary="weights that carry the least flow from input to output go, without any example",
            target=_SALIENCIES + "synflow",
            removes=_WEIGHTS,
            scores="weights",
            scope="global",
            source="Tanaka et al. 2020, arXiv:2006.05467",
        ),
        "gradual": Method(
            summary="the smallest weights go little by little while the trained network trains on",
            target="regrow.pruning.gradual:Gradual",
            kind="schedule",
            removes=("weights",),
            scores="weights",
            scope="global",
            source="Zhu and Gupta 2017, arXiv:1710.01878",
        ),
        "position": Method(
            summary="the first channels of each group go, whatever they hold: a defect of the paper's released lottery code",
            target=_CRITERIA + "position",
            source="released code of Liu et al. 2019, arXiv:1810.05270",
        ),
        "random": Method(
            summary="in each group, channels go by chance: the control for every other method",
            target=_CRITERIA + "random",
            removes=_BOTH,
            seeded=True,
            source="Le and Hua 2021, arXiv:2105.03193",
        ),
        "random-widths": Method(
            summary="the share that each group keeps is drawn by chance, anew for every seed: the control of found widths",
            target="regrow.pruning.random_widths:random_widths",
            kind="design",
            seeded=True,
            source="Li and Talwalkar 2019, arXiv:1902.07638",
        ),
        "guided": Method(
            summary="each stage keeps channels in the proportions that pruning found, on this network or on another (prune.guide)",
            target="regrow.pruning.guide_widths:guided_shares",
            kind="design",
            needs_guide=True,
            source="Liu et al. 2019, arXiv:1810.05270, section 5",
        ),
        "guided-sparsity": Method(
            summary="weights stay by chance, as many at each stage and 3x3 kernel position as pruning found (prune.guide)",
            target="regrow.pruning.guide_masks:guided_masks",
            kind="design",
            removes=("weights",),
            needs_guide=True,
            seeded=True,
            source="Liu et al. 2019, arXiv:1810.05270, section 5",
        ),
    },
)
