"""Evidence: what a criterion may look at, by the names of its parameters. Imports no torch.

A criterion is a plain function that names what it wants to see,

    def taylor(weight, batch_gradient, unit_sum): ...

and every name is a row here, with the shape in which it comes, whether it takes training examples, and how much memory it holds. Only what
a criterion asks for is gathered. Examples are read one batch after the other: no row needs more memory for more batches.

Shapes are those of one weight, outputs first: R = rows, one per output channel; ... = whatever a row reads. "As weight" means the
same shape; a statistic that all rows share may have 1 in place of R, and 1 for each place of the kernel. C = channels of a group.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from regrow.table import Table

Criterion: TypeAlias = Callable[..., Any]
"""A function whose parameters name rows of EVIDENCE, and which returns a tensor of scores."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Something that a criterion can ask for."""

    summary: str
    """One line of help."""

    shape: str
    """What the criterion is given."""

    per: Literal["weight", "row", "channel", "call"] = "weight"
    """Whether it comes for each weight tensor, in its layout or as one number per row; for each group of channels; or with the call."""

    target: str = ""
    """`module:attribute` of what gathers it; empty where it is at hand."""

    needs_examples: bool = False
    """Whether it is measured on training examples."""

    each_batch: bool = False
    """Whether the criterion is called once for every batch, and its scores are averaged."""

    memory: str
    """What is held while it is gathered, besides the network and one batch on its way through it."""


_GRADIENTS: Final = "regrow.pruning.evidence_gradients:"
_SECOND: Final = "regrow.pruning.evidence_curvature:"
_OUTPUTS: Final = "regrow.pruning.evidence_outputs:"

EVIDENCE: Final[Table[Evidence]] = Table(
    "evidence",
    {
        "weight": Evidence(summary="the weight, output channels first", shape="(R, ...)", per="call", memory="nothing"),
        "generator": Evidence(
            summary="a torch.Generator, seeded for this network's seed, method and group",
            shape="none",
            per="call",
            memory="nothing",
        ),
        "unit_sum": Evidence(
            summary="a function that adds up what goes together: over a channel, or nothing where single weights are scored",
            shape="(R, ...) -> (C,), or -> (R, ...) unchanged",
            per="call",
            memory="nothing",
        ),
        "scale": Evidence(
            summary="mean over the group's norm layers of each channel's absolute scale",
            shape="(C,)",
            per="channel",
            target="regrow.pruning.evidence_scale:scale",
            memory="one number per channel",
        ),
        "flow": Evidence(
            summary="derivative of the summed output by each absolute weight, for an input of ones through a network of absolute weights",
            shape="as weight",
            target="regrow.pruning.evidence_flow:flow",
            memory="three times the network in float64, for one example",
        ),
        "gradient": Evidence(
            summary="derivative of the mean cross-entropy over all examples by each weight",
            shape="as weight",
            target=_GRADIENTS + "gradient",
            needs_examples=True,
            memory="two numbers per scored weight",
        ),
        "batch_gradient": Evidence(
            summary="derivative of the mean cross-entropy over one batch; the criterion is called for every batch, scores are averaged",
            shape="as weight",
            target=_GRADIENTS + "batch_gradients",
            needs_examples=True,
            each_batch=True,
            memory="two numbers per scored weight",
        ),
        "squared_gradient": Evidence(
            summary="diagonal of the empirical Fisher matrix: squared gradients, averaged over examples",
            shape="as weight",
            target=_GRADIENTS + "squared_gradient",
            needs_examples=True,
            memory="two numbers per scored weight",
        ),
        "curvature": Evidence(
            summary="estimate of the diagonal of the Hessian matrix of the mean cross-entropy, from random signs (Hutchinson)",
            shape="as weight",
            target=_SECOND + "curvature",
            needs_examples=True,
            memory="six numbers per scored weight",
        ),
        "hessian_gradient": Evidence(
            summary="the Hessian matrix times the gradient, both of the mean cross-entropy over all examples (at GraSP's temperature)",
            shape="as weight",
            target=_SECOND + "hessian_gradient",
            needs_examples=True,
            memory="six numbers per scored weight",
        ),
        "input_norm": Evidence(
            summary="Euclidean norm of what each weight multiplies, over all examples and positions, per square root of examples",
            shape="(1 or R, inputs, 1, ...)",
            target="regrow.pruning.evidence_inputs:input_norm",
            needs_examples=True,
            memory="one number per input channel",
        ),
        "output_mean": Evidence(
            summary="mean absolute output of each channel, behind its norm and activation, over all examples and positions",
            shape="(R,)",
            per="row",
            target=_OUTPUTS + "output_mean",
            needs_examples=True,
            memory="one number per channel",
        ),
        "output_rank": Evidence(
            summary="mean rank of each channel's feature map, behind its norm and activation, over all examples",
            shape="(R,)",
            per="row",
            target=_OUTPUTS + "output_rank",
            needs_examples=True,
            memory="one number per channel",
        ),
    },
)
