"""Network slimming: norm scales are trained under an L1 penalty, so that scales of channels that matter little go to zero.

    loss = task loss + s * sum over norm scales |gamma|

Source: Liu et al. 2017, "Learning Efficient Convolutional Networks through Network Slimming", arXiv:1708.06519. Its program adds the
subgradient s * sign(gamma) to the gradient, so the penalty goes through momentum, with s = 1e-4 for VGG-19 and 1e-5 for PreResNet-164
and DenseNet-40, over 160 epochs of 782 steps: a much shorter training needs a larger s. Sign steps circle around zero and hardly ever
hit it; the proximal form, gamma <- sign(gamma) * max(|gamma| - lr * s, 0) after each step, gives exact zeros. It does not go through the
momentum m, which makes steps 1 / (1 - m) times as long, so the same pull takes an s of 10 times the size at m = 0.9.

All norms that hold a prunable channel are penalised, wherever in the network they are, so a dense block needs no layer that selects
channels at run time: a channel's scale is the mean over its norms. Norms of channels that cannot go, such as those that a block of
PreResNet reads from the residual stream, are not penalised; the source's program penalises them, too, and hides channels behind them by
an index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn

from regrow.networks.groups import Group
from regrow.pruning.norm_scales import NormScale, absolute_scales, require_norms

STRENGTH: Final = 1e-4

Step = Literal["subgradient", "proximal"]


class Slimming:
    """The penalty, as an intervention in a training; see the top of this module.

    Args:
        groups: the channels that may go.
        strength: s, per step; in the units of the loss per unit of scale.
        step: subgradient as in the source, or proximal.

    Raises `PruningError`, when it is attached, for groups without a norm layer.
    """

    def __init__(self, groups: Sequence[Group], strength: float = STRENGTH, step: Step = "subgradient") -> None:
        self._groups, self._strength, self._step = tuple(groups), strength, step
        self._norms: dict[str, tuple[NormScale, ...]] = {}
        self._penalised: list[tuple[nn.Parameter, Tensor]] = []

    def attach(self, network: nn.Module) -> None:
        """Find the scales and, where one norm holds channels that cannot go, which of its scales are penalised."""
        self._norms = require_norms(network, self._groups, "slimming")
        self._parameters = dict(network.named_parameters())
        weights: dict[str, Tensor] = {}
        for norm in (norm for norms in self._norms.values() for norm in norms):
            weight = weights.setdefault(norm.tensor, torch.zeros_like(self._parameters[norm.tensor]))
            weight[norm.start : norm.start + len(norm.channels)] = self._strength
        self._penalised = [(self._parameters[name], weight) for name, weight in weights.items()]

    def description(self) -> dict[str, Any]:
        """What a checkpoint must agree in."""
        return {"groups": [group.name for group in self._groups], "strength": self._strength, "step": self._step}

    def owned(self) -> Sequence[nn.Parameter]:
        """None: the optimiser moves all parameters."""
        return ()

    @torch.no_grad()
    def before_step(self, lr: float) -> None:
        """The subgradient joins the gradient."""
        del lr
        if self._step == "subgradient":
            for scale, strength in self._penalised:
                if scale.grad is not None:  # of a norm that training does not move
                    scale.grad.addcmul_(scale.sign(), strength)

    @torch.no_grad()
    def after_step(self, lr: float) -> None:
        """Or the scales shrink towards zero, and stop there."""
        if self._step == "proximal":
            for scale, strength in self._penalised:
                if scale.requires_grad:
                    scale.copy_(scale.sign() * (scale.abs() - lr * strength).clamp_(min=0))

    def after_epoch(self, done: int, epochs: int) -> None:
        """Nothing."""

    def state(self) -> dict[str, Tensor]:
        """Nothing: all is in the weights."""
        return {}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Nothing was kept."""

    def finish(self) -> None:
        """Nothing was added."""

    def scales(self) -> dict[str, Tensor]:
        """Per group, the mean over its norms of each channel's absolute scale."""
        return absolute_scales(self._parameters, self._groups, self._norms)
