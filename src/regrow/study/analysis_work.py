"""The work of analyses: what is measured of trained networks besides their accuracy. Run by workers only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from regrow.channels.trace import trace
from regrow.data.examples import AnyExamples, open_training
from regrow.evaluation.barrier import POSITIONS, barrier, line
from regrow.evaluation.losses import measure_loss, sample
from regrow.evaluation.matching import match
from regrow.evaluation.weights_histogram import EDGES, NEAR, histograms
from regrow.networks.foreign import made_up_images
from regrow.networks.prunable import prunable_of_zoo
from regrow.networks.sources import is_foreign
from regrow.pruning.kernel_shares import stages_of
from regrow.pruning.mask_files import read_masks
from regrow.pruning.sparsity import weights_of
from regrow.study.artifacts import MASK
from regrow.study.starts import loaded
from regrow.study.task import Task
from regrow.training.compute import Compute
from regrow.training.machine import apply

Result = dict[str, Any]


def analyse(task: Task) -> Result:
    """Do the analysis that a stage names."""
    return WORK[task.stage.settings["analysis"]](task)


def training_losses(task: Task) -> Result:
    """Loss and accuracy on training images without augmentation."""
    compute = _compute(task)
    network = loaded(task, "weights", task.spec).to(compute.device)
    return asdict(measure_loss(network, _sample(task, compute), channels_last=compute.channels_last))


def weights(task: Task) -> Result:
    """Histograms of the weights of all convolutions and linear layers but the classifier's, over the network and by stage."""
    network, spec = loaded(task, "weights", task.spec), task.spec
    masks = read_masks(task.input_file("mask", MASK)) if "mask" in task.stage.inputs else {}
    parameters = dict(network.named_parameters(remove_duplicate=False))
    held = {name: parameters[name] for name in weights_of(network)}
    stages = {} if is_foreign(spec.name) else stages_of(held, prunable_of_zoo(spec).groups)
    return {"edges": list(EDGES), "near": NEAR, **histograms(held, masks, stages)}


def loss_barrier(task: Task) -> Result:
    """Losses on the line between two networks, as they are and with the second one's channels matched to the first's."""
    compute, spec = _compute(task), task.spec
    first, second = (loaded(task, role, spec).to(compute.device) for role in ("first", "second"))
    examples, images = _sample(task, compute), made_up_images(spec)
    matched = match(first, second, trace(first, images.to(compute.device)).groups, images.to(compute.device))
    found = {
        when: line(first, end, examples, channels_last=compute.channels_last)
        for when, end in (("before", second), ("after", matched.network))
    }
    return {
        "positions": list(POSITIONS),
        **found,
        "barrier_before": barrier(found["before"]),
        "barrier_after": barrier(found["after"]),
        "images": len(examples),
        "groups": len(matched.orders),
        "moved": matched.moved,
        "unmatched": list(matched.left),
    }


WORK: Final[dict[str, Callable[[Task], Result]]] = {
    "losses": training_losses,
    "weights": weights,
    "barrier": loss_barrier,
}
"""What does every row of the table of analyses."""


def _sample(task: Task, compute: Compute) -> AnyExamples:
    examples, _ = open_training(task.input_folder("data"), compute.device)
    return sample(examples, task.stage.settings["images"])


def _compute(task: Task) -> Compute:
    compute = Compute.from_json(task.stage.settings["compute"])
    apply(compute)
    return compute
