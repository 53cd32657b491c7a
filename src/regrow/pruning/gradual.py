"""Gradual magnitude pruning: the smallest weights go little by little while the network trains.

Source: Zhu and Gupta 2017, "To prune, or not to prune", arXiv:1710.01878. Every `dt` steps the weights of lowest score go, until the
fraction of the cubic schedule (`mask_schedule.Cubic`) is reached; between, and after the last time, the masks are held.

By default what is gone stays gone. With `revive` every weight competes again each time, with the value that it had when it went, as in
the source's program, where masked weights keep their value behind the mask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import torch
from torch import Tensor, nn

from regrow.errors import PruningError
from regrow.pruning.holding import Holding
from regrow.pruning.mask_choice import keep_weights
from regrow.pruning.mask_schedule import Cubic, Scope
from regrow.pruning.sparsity import Masks, maskable

Saliency: TypeAlias = Callable[[nn.Module, Sequence[str]], Mapping[str, Tensor]]
"""Network and tensor names to one score per weight, higher = keep."""

_MASK, _VALUE, _STEP = "mask.", "value.", "step"


def magnitudes(network: nn.Module, names: Sequence[str]) -> dict[str, Tensor]:
    """The absolute value of every weight, on the CPU.

    >>> layer = nn.Linear(2, 1, bias=False)
    >>> _ = layer.weight.data.copy_(torch.tensor([[-2.0, 1.0]]))
    >>> magnitudes(layer, ["weight"])
    {'weight': tensor([[2., 1.]])}
    """
    parameters = dict(network.named_parameters())
    return {name: parameters[name].detach().abs().cpu() for name in names}


class Gradual:
    """An intervention in a training that prunes by a schedule; its `masks` are the result.

    Args:
        schedule: when, and which fraction is gone then. It must end within the training.
        names: the tensors that are pruned; by default all that are `maskable`, without `skip`.
        scope, floor: as `keep_weights` takes them.
        saliency: scores the weights each time; by default their magnitude.
        revive: whether weights that are gone may come back before the schedule ends.

    A checkpoint holds the steps done, the masks and, with `revive`, the values behind them.
    """

    def __init__(
        self,
        schedule: Cubic,
        *,
        names: Sequence[str] | None = None,
        skip: Sequence[str] = (),
        scope: Scope = "global",
        floor: float = 0.0,
        saliency: Saliency = magnitudes,
        revive: bool = False,
    ) -> None:
        self.schedule: Final = schedule
        self._names, self._skip = names, tuple(skip)
        self._scope: Scope = scope
        self._floor, self._saliency, self._revive = floor, saliency, revive
        self._network: nn.Module | None = None
        self._holding = Holding({})
        self._values: dict[str, Tensor] = {}
        self._step = 0

    @property
    def masks(self) -> Masks:
        """The masks as they are now; all True before anything went. Empty before the training."""
        return self._holding.masks

    @property
    def step(self) -> int:
        """Optimiser steps done."""
        return self._step

    def attach(self, network: nn.Module) -> None:
        """Begin with whole tensors, or with the schedule's initial fraction where it begins at step 0."""
        names = maskable(network, self._skip) if self._names is None else tuple(self._names)
        parameters = dict(network.named_parameters())
        if missing := [name for name in names if name not in parameters]:
            raise PruningError(
                f"{type(network).__name__} has no parameter {missing[0]}; regrow.pruning.sparsity.maskable lists them."
            )
        self._network, self._step, self._values = network, 0, {}
        self._holding = Holding({name: torch.ones(parameters[name].shape, dtype=torch.bool) for name in names})
        self._holding.attach(network)
        self._prune_if_due()

    def owned(self) -> Sequence[nn.Parameter]:
        """None: the optimiser has all parameters."""
        return ()

    def before_step(self, lr: float) -> None:
        """Removed weights get no gradient."""
        self._holding.before_step(lr)

    def after_step(self, lr: float) -> None:
        """Removed weights stay zero; when it is time, more of them go."""
        self._holding.after_step(lr)
        self._step += 1
        self._prune_if_due()

    def after_epoch(self, done: int, epochs: int) -> None:
        """Nothing: the schedule counts steps."""

    def state(self) -> dict[str, Tensor]:
        """Steps done, masks, and the values of weights that may come back."""
        held = {_MASK + name: mask for name, mask in self.masks.items()}
        kept = {_VALUE + name: value for name, value in self._values.items()}
        return {_STEP: torch.tensor(self._step), **held, **kept}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from a checkpoint. Raises `PruningError` for one of other tensors."""
        masks = {name.removeprefix(_MASK): tensor.cpu() for name, tensor in tensors.items() if name.startswith(_MASK)}
        if masks.keys() != self.masks.keys():
            raise PruningError(
                f"the checkpoint holds masks of {len(masks)} tensors, this training prunes {len(self.masks)}; remove the checkpoint."
            )
        self._step = int(tensors[_STEP])
        self._values = {
            name.removeprefix(_VALUE): tensor.cpu() for name, tensor in tensors.items() if name.startswith(_VALUE)
        }
        self._holding.change(masks)

    def finish(self) -> None:
        """Let go of the network. Raises `PruningError` where the training ended before the schedule did."""
        self._holding.finish()
        self._network = None
        if self._step < self.schedule.end:
            raise PruningError(
                f"the schedule prunes for the last time at step {self.schedule.end}, and the training ended after {self._step} steps "
                f"with {self.schedule.fraction_at(self._step):.1%} pruned. Train longer, or make the schedule shorter."
            )

    def scales(self) -> dict[str, Tensor]:
        """None: the masks are the result."""
        return {}

    def _prune_if_due(self) -> None:
        fraction = self.schedule.fraction_at(self._step)
        if not self.schedule.is_due(self._step) or fraction == 0:
            return
        assert self._network is not None
        self._bring_back()
        scores = self._saliency(self._network, tuple(self.masks))
        previous = None if self._revive else self.masks
        masks = keep_weights(scores, fraction=fraction, scope=self._scope, floor=self._floor, previous=previous)
        self._remember(masks)
        self._holding.change(masks)

    @torch.no_grad()
    def _bring_back(self) -> None:
        """Put the values behind the masks into the weights, so that scores see all of them."""
        for name, value in self._values.items():
            parameter = self._network.get_parameter(name)  # type: ignore[union-attr]
            gone = ~self.masks[name].to(parameter.device)
            parameter.copy_(torch.where(gone, value.to(parameter.device), parameter))

    def _remember(self, masks: Masks) -> None:
        """Keep what goes, where it may come back; nothing comes back after the schedule's end."""
        if not self._revive or self._step >= self.schedule.end:
            self._values = {}
            return
        assert self._network is not None
        weights = {name: self._network.get_parameter(name).detach().cpu() for name in masks}
        self._values = {name: weight.clone() for name, weight in weights.items()}
