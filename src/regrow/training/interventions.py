"""Interventions: what takes a hand in a training besides the optimiser. A mask that is held, a penalty on norm scales, soft pruning.

The loop calls an intervention at fixed moments and knows nothing else of it. What an intervention changes must follow from the
network, its own state and the moments it was called at, so that a training that was killed and resumed ends with the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn


class Intervention(Protocol):
    """What a pruning method does while a network trains."""

    def attach(self, network: nn.Module) -> None:
        """Before the optimiser is built and the network compiled; the network lies on its device. May zero, hook, add parameters."""
        ...

    def owned(self) -> Sequence[nn.Parameter]:
        """Parameters that the optimiser must leave alone, because the intervention moves them itself."""
        ...

    def before_step(self, lr: float) -> None:
        """Gradients are there, the optimiser has not stepped yet."""
        ...

    def after_step(self, lr: float) -> None:
        """The optimiser has stepped."""
        ...

    def after_epoch(self, done: int, epochs: int) -> None:
        """`done` of the run's `epochs` are finished; the validation set has not been looked at yet."""
        ...

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint must hold besides the network and the optimiser."""
        ...

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `state` gave; after `attach`."""
        ...

    def finish(self) -> None:
        """After the last epoch: fold what was added into the network and detach, so that the network is an ordinary one again."""
        ...

    def scales(self) -> dict[str, Tensor]:
        """After `finish`: group (or block) name to the absolute scale of each channel, float64 on the CPU; empty where it has none."""
        ...


@runtime_checkable
class Described(Protocol):
    """An intervention with settings, which a checkpoint must agree in."""

    def description(self) -> dict[str, Any]:
        """Its settings, as plain JSON types."""
        ...


def described(hand: Intervention) -> dict[str, Any]:
    """What kind of intervention it is, and its settings where it says them: a checkpoint under others is not continued."""
    return {"kind": type(hand).__name__, **(hand.description() if isinstance(hand, Described) else {})}
