"""One training step, and one pass over examples that only measures: what the loop, the trials and the benchmark share.

Lightning Fabric owns the device, the precision and the trackers. Its module and optimiser wrappers are left out on purpose:
around a step of 4 ms they cost 0.15 to 0.4 ms and give nothing on a single device. For the same reason losses and predictions
stay on the device until the epoch ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.logger import Logger
from lightning_fabric.plugins.precision import MixedPrecision, Precision
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from regrow.training.compute import Compute
from regrow.training.interventions import Intervention
from regrow.training.optimizer import build_optimizer
from regrow.training.recipe import Recipe

Batch: TypeAlias = tuple[Tensor, Tensor]
Forward: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Score:
    """What a network achieved on some examples."""

    loss: float
    """Mean over examples of the training loss (smoothed as in training), or of the plain cross-entropy in validation."""

    accuracy: float
    """Percent."""


@dataclass(slots=True)
class Outcomes:
    """Losses and predictions of many batches, left on the device until they are asked for: one wait instead of one a step."""

    losses: list[Tensor] = field(default_factory=list)
    predictions: list[Tensor] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)

    def score(self) -> Score:
        """Means over examples, not over batches, which may differ in size by one."""
        sizes = torch.tensor([len(labels_B) for labels_B in self.labels], dtype=torch.float64)
        losses = torch.stack(self.losses).double().cpu()
        correct = (torch.cat(self.predictions) == torch.cat(self.labels)).sum()
        examples = float(sizes.sum())
        return Score(loss=float(losses @ sizes) / examples, accuracy=100 * float(correct) / examples)


def open_fabric(compute: Compute, loggers: Sequence[Logger] = ()) -> Fabric:
    """Fabric for one device and one precision."""
    precision = MixedPrecision("bf16-mixed", compute.device) if compute.precision == "bf16" else Precision()
    return Fabric(accelerator=compute.device, devices=1, plugins=precision, loggers=list(loggers))


class Learner:
    """A network with its optimiser, ready to take steps on the device and in the arithmetic of `compute`.

    The network itself is moved and laid out as `compute` says; its weights change with every step. An intervention is attached
    to it then, before there is an optimiser.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        compute: Compute,
        fabric: Fabric,
        hand: Intervention | None = None,
    ) -> None:
        layout = torch.channels_last if compute.channels_last else torch.contiguous_format
        self.network: nn.Module = fabric.to_device(network).to(memory_format=layout)
        if hand is not None:
            hand.attach(self.network)
        owned = hand.owned() if hand is not None else ()
        self.optimizer: Optimizer = build_optimizer(self.network, recipe, owned)
        self.hand, self._owned = hand, owned
        self.channels_last, self.device = compute.channels_last, compute.device
        self._fabric, self._smoothing = fabric, recipe.label_smoothing
        self._forward = cast(Forward, _compiled(self.network) if compute.compile else self.network)

    def learn(
        self, batches: Iterable[Batch], rates: Iterable[float], tick: Callable[[], None] | None = None
    ) -> Outcomes:
        """One step a batch at the learning rate of its turn; `tick` is called after each."""
        self.network.train()
        group, step, backward = self.optimizer.param_groups[0], self.optimizer.step, self._fabric.backward
        hand = self.hand
        found = Outcomes()
        for (images, labels_B), rate in zip(batches, rates, strict=True):
            group["lr"] = rate
            with self._fabric.autocast():
                outputs = self._forward(images)
            outputs = outputs.float()
            loss = cross_entropy(outputs, labels_B, label_smoothing=self._smoothing)
            backward(loss)
            if hand is None:
                step()
            else:
                self._step_with(hand, rate)
            self.optimizer.zero_grad()
            _note(found, loss.detach(), outputs.detach(), labels_B)
            if tick is not None:
                tick()
        return found

    def _step_with(self, hand: Intervention, rate: float) -> None:
        hand.before_step(rate)
        self.optimizer.step()
        hand.after_step(rate)
        for parameter in self._owned:
            parameter.grad = None

    def measure(self, batches: Iterable[Batch]) -> Score:
        """Accuracy and plain cross-entropy in eval mode, in the precision of training."""
        self.network.eval()
        found = Outcomes()
        with torch.no_grad():
            for images, labels_B in batches:
                with self._fabric.autocast():
                    outputs: Tensor = self.network(images)
                outputs = outputs.float()
                _note(found, cross_entropy(outputs, labels_B), outputs, labels_B)
        return found.score()

    def is_finite(self) -> bool:
        """Whether every parameter and buffer is a finite number, those that an intervention owns as well."""
        tensors = [*self.network.state_dict().values(), *self._owned]
        return all(bool(tensor.isfinite().all()) for tensor in tensors)


def _compiled(network: nn.Module) -> object:
    # Graphs are shared by networks of one class in a process, and by default nobody looks whether their hooks are the same: a network
    # with a hand in it would run without it, or one without it with another's.
    torch._dynamo.config.skip_nnmodule_hook_guards = False
    # One graph for each of the two batch sizes: a graph for all sizes would depend on which size came first.
    return torch.compile(network, dynamic=False)


def _note(found: Outcomes, loss: Tensor, outputs: Tensor, labels_B: Tensor) -> None:
    found.losses.append(loss)
    found.predictions.append(outputs.argmax(1))
    found.labels.append(labels_B)
