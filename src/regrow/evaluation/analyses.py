"""Analyses: what a study can measure of its trained networks besides their accuracy on the test set. Imports no torch.

A study asks for them by name, `analyses = ["losses", "barrier", "weights"]`. Each is made after the trainings, from their weights, and
changes none of them. To add one, add a row here, its stage in `regrow.study.analysis_stages` and its work in
`regrow.study.analysis_work`. Where masks keep weights, by stage and inside 3x3 kernels, needs no analysis: every pruning says it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from regrow.table import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Analysis:
    """One analysis."""

    summary: str
    """One line of help."""

    subject: str
    """What one row is about: `network` (every arm and the dense network) or `contrast` (the study's two arms together)."""

    source: str
    """Who asked the question before."""


ANALYSES: Final[Table[Analysis]] = Table(
    "analysis",
    {
        "losses": Analysis(
            summary="loss and accuracy on training images as they are, beside the test loss: who fits more, who generalises better",
            subject="network",
            source="Zhang et al. 2017, arXiv:1611.03530",
        ),
        "barrier": Analysis(
            summary="loss on the line between the two arms of the contrast, before and after their channels are matched",
            subject="contrast",
            source="Entezari et al. 2022, arXiv:2110.06296; Ainsworth et al. 2023, arXiv:2209.04836",
        ),
        "weights": Analysis(
            summary="distribution of the weights, over the whole network and by stage: is there a hole around zero",
            subject="network",
            source="Liu et al. 2019, arXiv:1810.05270, appendix",
        ),
    },
)
