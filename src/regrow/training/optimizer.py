"""Optimisers, in the fused form: one call for all parameters.

Measured for a VGG-11 of an eighth of the usual width (34 parameter tensors, one CPU thread): 0.14 ms a step fused, 0.43 ms
tensor by tensor, 0.48 ms in PyTorch's `foreach` form, of a training step of about 4 ms.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from regrow.training.recipe import Recipe


def build_optimizer(network: nn.Module, recipe: Recipe, owned: Sequence[nn.Parameter] = ()) -> Optimizer:
    """The recipe's optimiser over all trainable parameters, one group, its state still empty.

    `owned` are left out: something else moves them. The lr is the recipe's peak; the loop sets it anew before every step.
    """
    others = {id(parameter) for parameter in owned}
    parameters = [one for one in network.parameters() if one.requires_grad and id(one) not in others]
    if recipe.optimizer == "adamw":
        return AdamW(parameters, lr=recipe.peak_lr, weight_decay=recipe.weight_decay, fused=True)
    return SGD(
        parameters,
        lr=recipe.peak_lr,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
