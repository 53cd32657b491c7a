"""Holding: weights that a mask removed stay exactly zero while the network trains.

Before every step their gradients are zeroed, after it the weights themselves. So neither momentum (not even momentum of a rewound
optimiser, or Nesterov's), nor weight decay, nor an optimiser's noise moves them, and no other weight is touched by them. The masks
are given once and never read off the weights again: a living weight that happens to be exactly zero goes on learning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from regrow.errors import PruningError
from regrow.pruning.sparsity import Masks, masked_parameters, removed

_CHECKSUM: Final = "masks"


class Holding:
    """An intervention in a training that holds fixed masks; see the top of this module.

    The masks are known before the training starts, so a checkpoint needs nothing besides the weights but a checksum of the masks, lest a
    training under other masks goes on from it. Cost: two passes over the masked weights a step.
    """

    def __init__(self, masks: Mapping[str, Tensor]) -> None:
        self._masks: Masks = {name: mask.cpu() for name, mask in masks.items()}
        self._parameters: dict[str, nn.Parameter] = {}
        self._removed: dict[str, Tensor] = {}

    @property
    def masks(self) -> Masks:
        """The masks that are held."""
        return self._masks

    def attach(self, network: nn.Module) -> None:
        """Zero what the masks remove. Raises `PruningError` for masks that are not of this network."""
        self._parameters = masked_parameters(network, self._masks)
        self._removed = {}
        self._still()

    def change(self, masks: Mapping[str, Tensor]) -> None:
        """Hold other masks from now on, of the same tensors; a weight that they keep starts from what it is (zero, if it was gone)."""
        self._masks = {name: mask.cpu() for name, mask in masks.items()}
        self._removed = {}
        self._still()

    def owned(self) -> Sequence[nn.Parameter]:
        """None: the optimiser has all parameters."""
        return ()

    @torch.no_grad()
    def before_step(self, lr: float) -> None:
        """Zero the gradients of removed weights, so that nothing of them enters the optimiser's state."""
        del lr
        for name, parameter in self._parameters.items():
            if parameter.grad is not None:
                parameter.grad.masked_fill_(self._gone(name, parameter), 0)

    def after_step(self, lr: float) -> None:
        """Zero the removed weights, whatever the optimiser did with them."""
        del lr
        self._still()

    def after_epoch(self, done: int, epochs: int) -> None:
        """Nothing."""

    def state(self) -> dict[str, Tensor]:
        """A checksum of the masks, 32 bytes; the masks are an argument, and the zeros are in the weights."""
        return {_CHECKSUM: _checksum(self._masks)}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Zero what a checkpoint's weights may hold where the masks remove. Raises `PruningError` for one under other masks."""
        if not torch.equal(tensors[_CHECKSUM].cpu(), _checksum(self._masks)):
            raise PruningError(
                f"the checkpoint was made under other masks than these {len(self._masks)}. Remove it, or train in another folder."
            )
        self._still()

    def finish(self) -> None:
        """Let go of the network; its zeros stay."""
        self._parameters, self._removed = {}, {}

    def scales(self) -> dict[str, Tensor]:
        """None: what goes was decided before."""
        return {}

    @torch.no_grad()
    def _still(self) -> None:
        for name, parameter in self._parameters.items():
            parameter.masked_fill_(self._gone(name, parameter), 0)

    def _gone(self, name: str, parameter: nn.Parameter) -> Tensor:
        """Where the weight goes; made anew where the network moved to another device or layout since."""
        found = self._removed.get(name)
        if found is None or found.device != parameter.device or found.stride() != parameter.stride():
            found = self._removed[name] = removed(self._masks[name], parameter)
        return found


def _checksum(masks: Masks) -> Tensor:
    total = hashlib.sha256()
    for name, mask in masks.items():
        total.update(f"{name}\x1f{tuple(mask.shape)}\x1f".encode())
        total.update(np.packbits(mask.flatten().numpy()).data)
    return torch.tensor(list(total.digest()), dtype=torch.uint8)


def without_removed(state: Mapping[str, Tensor], network: nn.Module, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An optimiser's state in which everything of a removed weight is zero: what a rewound training of a masked network begins with.

    `state` is named by position among the parameters that train, `3.momentum_buffer`, as checkpoints name it; tensors that have no
    entry per weight (step counts) are passed on. The state given is left as it is. Raises `PruningError` for masks of another network.
    """
    masked = {id(parameter): name for name, parameter in masked_parameters(network, masks).items()}
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    names = {str(position): masked[id(one)] for position, one in enumerate(trained) if id(one) in masked}
    cleaned = dict(state)
    for key, tensor in state.items():
        name = names.get(key.partition(".")[0])
        if name is not None and tensor.shape == masks[name].shape:
            cleaned[key] = tensor.masked_fill(~masks[name].to(tensor.device), 0)
    return cleaned
