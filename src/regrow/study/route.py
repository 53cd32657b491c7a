"""Routes: how one seed of a comparison comes from fresh weights to its pruned network, and what that costs. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from regrow.retraining.arms import ARMS
from regrow.retraining.ledger import Ledger, LedgerStage, Spent, examples_before, fine_tuning, scoring_flops, trained
from regrow.study.lengths import dense_epochs, late_step, own_epochs, retrain_epochs, round_epochs
from regrow.study.pruning_stages import Pruning, own_training_stage, prune_stage, round_stage
from regrow.study.shape import Shape
from regrow.study.stage import Stage
from regrow.study.stages import Ground, dense_stage

_OWN: Final[dict[str, LedgerStage]] = {"soft": "soft pruning", "gradual": "gradual pruning"}
"""How the ledger calls the trainings that methods have of their own; those of all others are sparsity trainings."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """The stages of one seed, in the order in which they rest on each other."""

    dense: Stage
    """The dense network: the baseline of the report, and what most methods prune."""

    inherited: tuple[Stage, ...]
    """Every stage that the pruned network comes from, the last pruning left out."""

    pruning: Pruning
    pruned: Stage
    """The last pruning: what arms inherit from."""


def route(ground: Ground, seed: int, widths: tuple[int, ...] | None) -> Route:
    """The way of one seed. `widths`: channels that every group keeps, where that is known before."""
    dense, wanted = dense_stage(ground, seed), ground.comparison.wanted
    source, read, inherited = dense, dense_epochs(ground.study), [dense]
    if wanted.row.while_training:
        source = own_training_stage(ground, seed, dense, widths)
        own = own_epochs(ground.study, wanted)
        inherited = [source] if wanted.replaces_dense else [dense, source]
        read = own if wanted.replaces_dense else read + own
    previous: Stage | None = None
    for number in range(1, wanted.prune.rounds):
        previous = prune_stage(ground, Pruning(source=source, seed=seed, read=read, previous=previous, round=number))
        step = _round_step(ground)
        source = round_stage(ground, seed, previous, number, read, step)
        inherited += [previous, source]
        read += round_epochs(ground.study, wanted) if step is None else 0
    last = wanted.prune.rounds if wanted.prune.rounds > 1 else 0
    pruning = Pruning(source=source, seed=seed, read=read, widths=widths, previous=previous, round=last)
    return Route(dense=dense, inherited=tuple(inherited), pruning=pruning, pruned=prune_stage(ground, pruning))


def _round_step(ground: Ground) -> int | None:
    """The step of the dense run that each round goes back to; None where it goes on from where it stands."""
    between = ground.comparison.wanted.prune.between
    if between == "fine-tune":
        return None
    return late_step(ground.study, ground.comparison.facts.train) if between == "late-rewind" else 0


def ledger(ground: Ground, shape: Shape) -> Ledger:
    """What the pipeline spends on one seed, fine-tuning of the small network included."""
    study, wanted, examples = ground.study, ground.comparison.wanted, ground.comparison.facts.train
    macs, spent = ground.dense_macs, list[Spent]()
    if not (wanted.replaces_dense or (study.dense.checkpoint is not None and study.dense.price == "free")):
        spent.append(trained("dense training", macs, examples, dense_epochs(study)))
    if wanted.row.while_training:
        stage, own = _OWN.get(wanted.method, "sparsity training"), own_epochs(study, wanted)
        spent.append(trained(stage, macs, examples, own, in_place_of_dense=wanted.replaces_dense))
    skipped = examples_before(_round_step(ground) or 0, examples, study.train.batch)
    for _ in range(1, wanted.prune.rounds):
        spent.append(trained("rounds", macs, examples, round_epochs(study, wanted), skipped=skipped))
    if wanted.row.needs_data:
        passes = 1 if wanted.row.needs_gradient else 0
        looked = scoring_flops(macs, min(wanted.prune.examples, examples), backwards=passes) * wanted.prune.rounds
        stage = "reconstruction" if wanted.row.kind == "reconstruction" else "scoring"
        spent.append(Spent(stage=stage, flops=looked))
    spent.append(_last_training(ground, shape))
    return tuple(spent)


def _last_training(ground: Ground, shape: Shape) -> Spent:
    """What the pruned network is trained with at the end: the fine-tuning, or the ticket's own run where that is what is judged."""
    study, examples = ground.study, ground.comparison.facts.train
    arm = ARMS[study.contrast[0]]
    if arm.weights != "rewound":
        return fine_tuning(shape.macs, examples, retrain_epochs(study))
    step = late_step(study, examples) if arm.budget == "late" else 0
    skipped = examples_before(step, examples, study.train.batch)
    return trained("rounds", shape.macs, examples, dense_epochs(study), skipped=skipped)
