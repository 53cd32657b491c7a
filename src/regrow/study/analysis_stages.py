"""The stages of analyses: what is measured of trained networks, once they are trained. Imports no torch.

An analysis reads artifacts of trainings and is read by none, so asking for one changes no training, neither its key nor its bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from regrow.evaluation.analyses import ANALYSES
from regrow.retraining.ledger import FORWARD_FLOPS_PER_MAC
from regrow.study.expansion import Analysed, Run
from regrow.study.stage import Stage
from regrow.study.stages import PRIORITY, Ground, trace_input

LOSS_IMAGES: Final = 10_000
"""Training images on which losses are taken, at most."""

BARRIER_IMAGES: Final = 2_048
"""Training images on which losses between two networks are taken, at most."""

BARRIER_PASSES: Final = 40
"""Passes over these images, roughly: 2 lines of 10 new points, each for statistics and for the loss."""


def analyses(ground: Ground, runs: Sequence[Run]) -> Iterator[Analysed]:
    """Every analysis that the study asks for of one seed's finished trainings."""
    by_arm = {run.arm: run for run in runs}
    first, second = (by_arm.get(name) for name in ground.study.contrast)
    for name in ground.study.analyses:
        if ANALYSES[name].subject == "network":
            yield from (_of_one(name, run, STAGES[name](ground, run)) for run in runs)
        elif first is not None and second is not None and comparable(first, second):
            stage = barrier_stage(ground, first, second)
            yield Analysed(
                comparison=first.comparison,
                analysis=name,
                arm=first.arm,
                second=second.arm,
                seed=first.seed,
                stage=stage,
            )


def _of_one(name: str, run: Run, stage: Stage) -> Analysed:
    return Analysed(comparison=run.comparison, analysis=name, arm=run.arm, second=None, seed=run.seed, stage=stage)


def comparable(first: Run, second: Run) -> bool:
    """Whether a line can be drawn between two networks: one architecture, both masked or neither."""
    return first.shape.spec == second.shape.spec and _masked(first) == _masked(second)


def losses_stage(ground: Ground, run: Run) -> Stage:
    """Loss of one network on training images as they are."""
    images = min(LOSS_IMAGES, ground.comparison.facts.train)
    settings = {"compute": _exact(ground), "images": LOSS_IMAGES}
    inputs = {"data": ground.data.key, "weights": run.train.key}
    return _stage(ground, run, "losses", settings, inputs, images)


def weights_stage(ground: Ground, run: Run) -> Stage:
    """How the weights of one network are distributed."""
    masked = {"mask": run.train.inputs["pruned"]} if _masked(run) else {}
    return _stage(ground, run, "weights", {}, {"weights": run.train.key, **masked}, 0)


def barrier_stage(ground: Ground, first: Run, second: Run) -> Stage:
    """The losses between two networks of one architecture."""
    images = BARRIER_PASSES * min(BARRIER_IMAGES, ground.comparison.facts.train)
    settings = {"compute": _exact(ground), "images": BARRIER_IMAGES}
    inputs = {"data": ground.data.key, "first": first.train.key, "second": second.train.key}
    return _stage(ground, first, "barrier", settings, inputs, images, f" to {second.arm}")


STAGES: Final[dict[str, Callable[[Ground, Run], Stage]]] = {"losses": losses_stage, "weights": weights_stage}
"""The stage of every analysis of single networks."""


def _stage(
    ground: Ground, run: Run, name: str, settings: dict[str, Any], inputs: dict[str, str], images: int, more: str = ""
) -> Stage:
    spec = run.shape.spec
    return Stage(
        kind="analysis",
        settings={"analysis": name, "network": spec.to_json(), **settings},
        inputs={**inputs, **trace_input(spec)},
        local=ground.comparison.access.to_local(),
        label=f"{name} of {run.train.label}{more}",
        priority=PRIORITY["evaluate"],
        work=float(FORWARD_FLOPS_PER_MAC * run.shape.macs * images),
    )


def _exact(ground: Ground) -> dict[str, Any]:
    """One device and fp32, as the test set is measured."""
    return {**ground.compute.alone().to_json(), "precision": "fp32", "compile": False}


def _masked(run: Run) -> bool:
    return "mask" in run.train.settings
