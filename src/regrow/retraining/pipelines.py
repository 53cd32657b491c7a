"""Pipelines: the kinds of pruning methods, by what they spend before the pruned network is ready.

Which of these stages a budget convention counts is computed from the two tables, never written down twice. Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from regrow.retraining.conventions import CONVENTIONS
from regrow.retraining.ledger import OWN_TRAINING, LedgerStage
from regrow.table import Table

FREE: Final = "free-pretrain"
"""The pipeline whose dense network costs nothing under any convention."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pipeline:
    """One kind of method."""

    summary: str
    """One line of help."""

    stages: tuple[LedgerStage, ...]
    """Entries of its ledger, those that cost nothing left out."""

    in_place_of_dense: bool = False
    """Whether the first of them stands in the place of dense training."""

    methods: str
    """Which methods these are, for people."""

    source: str
    """A recipe of this kind."""


PIPELINES: Final[Table[Pipeline]] = Table(
    "kind of method",
    {
        "one-shot": Pipeline(
            summary="train, prune once, fine-tune",
            stages=("dense training", "scoring", "reconstruction", "fine-tuning"),
            methods="every criterion; thinet and regression, which also reconstruct",
            source="Li et al. 2017, arXiv:1608.08710",
        ),
        "sparsity-trained": Pipeline(
            summary="train with a penalty in place of dense training, prune, fine-tune",
            stages=("sparsity training", "fine-tuning"),
            in_place_of_dense=True,
            methods="slimming and sss",
            source="Liu et al. 2017, arXiv:1708.06519",
        ),
        "sparsity-trained-after-dense": Pipeline(
            summary="train, train on with a penalty, prune, fine-tune",
            stages=("dense training", "sparsity training", "fine-tuning"),
            methods='slimming and sss with prune.start = "dense"',
            source="Fang et al. 2023, arXiv:2301.12900",
        ),
        "soft-pruned": Pipeline(
            summary="zero the smallest filters after every epoch of a training in place of dense training, prune, fine-tune",
            stages=("soft pruning", "fine-tuning"),
            in_place_of_dense=True,
            methods="soft",
            source="He et al. 2018, arXiv:1808.06866",
        ),
        "soft-pruned-after-dense": Pipeline(
            summary="train, train on while the smallest filters are zeroed after every epoch, prune, fine-tune",
            stages=("dense training", "soft pruning", "fine-tuning"),
            methods='soft with prune.start = "dense"',
            source="He et al. 2018, arXiv:1808.06866",
        ),
        "gradual": Pipeline(
            summary="train, train on while weights go little by little, fine-tune",
            stages=("dense training", "gradual pruning", "fine-tuning"),
            methods="gradual",
            source="Zhu and Gupta 2017, arXiv:1710.01878",
        ),
        "iterative": Pipeline(
            summary="train, then prune and train on several times; every round counts",
            stages=("dense training", "rounds", "scoring", "fine-tuning"),
            methods='prune.rounds above 1 with prune.between = "fine-tune"',
            source="Han et al. 2015, arXiv:1506.02626",
        ),
        "lottery": Pipeline(
            summary="train, then prune and train again from step k several times; every round counts from k on",
            stages=("dense training", "rounds", "scoring", "fine-tuning"),
            methods="prune.rounds above 1 with rewinding; its last training is the ticket's, or a fine-tuning",
            source="Frankle and Carbin 2019, arXiv:1803.03635",
        ),
        FREE: Pipeline(
            summary="any of these from a dense network that cost nothing: its training is no entry",
            stages=(
                "sparsity training",
                "soft pruning",
                "gradual pruning",
                "rounds",
                "scoring",
                "reconstruction",
                "fine-tuning",
            ),
            methods='dense.checkpoint with dense.price = "free"',
            source="usual with downloaded networks",
        ),
    },
)


def counted_stages(kind: str, convention: str) -> tuple[LedgerStage, ...]:
    """The ledger stages of one kind of method that a convention counts; empty where the convention adds up epochs instead.

    >>> counted_stages("sparsity-trained", "B0"), counted_stages("sparsity-trained-after-dense", "B0")
    (('sparsity training',), ('dense training',))
    """
    pipeline, counted = PIPELINES[kind], CONVENTIONS[convention].counts
    instead = pipeline.in_place_of_dense and "dense training" in counted
    return tuple(stage for stage in pipeline.stages if stage in counted or (instead and stage in OWN_TRAINING))


def counted_words(kind: str, convention: str) -> str:
    """The same for people; where the convention adds up epochs instead, these.

    >>> counted_words("one-shot", "B0"), counted_words("one-shot", "SX-A"), counted_words("soft-pruned", "free")
    ('dense training, scoring', 'K1 + KM + K2 epochs', 'soft pruning, fine-tuning')
    """
    added = " + ".join(CONVENTIONS[convention].epochs)
    return f"{added} epochs" if added else ", ".join(counted_stages(kind, convention)) or "nothing"
