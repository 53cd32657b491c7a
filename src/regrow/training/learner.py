"""One training step, and one pass over examples that only measures: what the loop, the trials and the benchmark share.

Lightning Fabric owns the device, the precision and the trackers. Its module and optimiser wrappers are left out on purpose:
around a step of 4 ms they cost 0.15 to 0.4 ms and give nothing on a single device. For the same reason losses and predictions
stay on the device until the epoch ends. Over several devices, Fabric's strategy wraps the network for the training steps alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, Final, TypeAlias, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.logger import Logger
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.precision import MixedPrecision, Precision
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from regrow.training.compute import Compute
from regrow.training.interventions import Intervention
from regrow.training.optimizer import build_optimizer
from regrow.training.recipe import Recipe
from regrow.training.team import BACKENDS, Team, join

ALONE: Final = Team()
_BUFFERS: Final = next(
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in signature(DistributedDataParallel).parameters
)
"""Whether DDP copies buffers before every step; versions of PyTorch call it differently."""

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

    def sums(self) -> Tensor:
        """The loss summed over examples, the number of correct predictions, and the number of examples; float64 on the CPU."""
        if not self.labels:
            return torch.zeros(3, dtype=torch.float64)
        sizes = torch.tensor([len(labels_B) for labels_B in self.labels], dtype=torch.float64)
        losses = torch.stack(self.losses).double().cpu()
        correct = (torch.cat(self.predictions) == torch.cat(self.labels)).sum()
        return torch.stack([losses @ sizes, correct.double().cpu(), sizes.sum()])

    def score(self, team: Team = ALONE) -> Score:
        """Means over the examples of all ranks, not over batches, which may differ in size by one."""
        loss, correct, examples = team.total(self.sums()).tolist()
        return Score(loss=loss / examples, accuracy=100 * correct / examples)


def open_fabric(compute: Compute, loggers: Sequence[Logger] = ()) -> Fabric:
    """Fabric for one precision and one device, or for this process's part of a training over several."""
    precision = MixedPrecision("bf16-mixed", compute.device) if compute.precision == "bf16" else Precision()
    if compute.devices == 1:
        return Fabric(accelerator=compute.device, devices=1, plugins=precision, loggers=list(loggers))
    join(compute)
    # Unused parameters are looked for in every step: else DDP would sort its buckets anew after the first one, and a training that was
    # killed and resumed would add up gradients in another order. Buffers are the team's, see `Team.level`.
    buffers: dict[str, Any] = {_BUFFERS: False}
    strategy = DDPStrategy(process_group_backend=BACKENDS[compute.device], find_unused_parameters=True, **buffers)
    fabric = Fabric(
        accelerator=compute.device,
        devices=compute.devices,
        strategy=strategy,
        plugins=[precision, LightningEnvironment()],
        loggers=list(loggers),
    )
    fabric.launch()
    return fabric


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
        self.hand, self._owned, self.team = hand, owned, Team.of(fabric)
        self.channels_last, self.device = compute.channels_last, compute.device
        self._fabric, self._smoothing = fabric, recipe.label_smoothing
        self._forward = cast(Forward, _compiled(self.network) if compute.compile else self.network)
        if self.team.size > 1:
            self._forward = cast(Forward, fabric.strategy.setup_module(self.network))

    def learn(
        self,
        batches: Iterable[Batch],
        rates: Iterable[float],
        tick: Callable[[], None] | None = None,
        wholes: Iterable[int] = (),
    ) -> Outcomes:
        """One step a batch at the learning rate of its turn; `tick` is called after each.

        Where a team trains, `batches` are this rank's portions, and `wholes` are the sizes of the whole ones.
        """
        self.network.train()
        team, sizes = self.team, iter(wholes)
        group, step, backward = self.optimizer.param_groups[0], self.optimizer.step, self._fabric.backward
        hand = self.hand
        found = Outcomes()
        for (images, labels_B), rate in zip(batches, rates, strict=True):
            group["lr"] = rate
            with self._fabric.autocast():
                outputs = self._forward(images)
            outputs = outputs.float()
            loss = cross_entropy(outputs, labels_B, label_smoothing=self._smoothing)
            backward(loss if team.size == 1 else team.weighed(loss, len(labels_B), next(sizes)))
            if hand is None:
                step()
            else:
                self._step_with(hand, rate)
            self.optimizer.zero_grad()
            _note(found, loss.detach(), outputs.detach(), labels_B)
            if tick is not None:
                tick()
        team.level(self.network)
        return found

    def _step_with(self, hand: Intervention, rate: float) -> None:
        self.team.average_gradients(self._owned)
        hand.before_step(rate)
        self.optimizer.step()
        hand.after_step(rate)
        for parameter in self._owned:
            parameter.grad = None

    def measure(self, batches: Iterable[Batch]) -> Score:
        """Accuracy and plain cross-entropy in eval mode, in the precision of training; over the batches of all ranks."""
        self.network.eval()
        found = Outcomes()
        with torch.no_grad():
            for images, labels_B in batches:
                with self._fabric.autocast():
                    outputs: Tensor = self.network(images)
                outputs = outputs.float()
                _note(found, cross_entropy(outputs, labels_B), outputs, labels_B)
        return found.score(self.team)

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
