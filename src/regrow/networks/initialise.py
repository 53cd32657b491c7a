"""Initial weights of the zoo, as the paper's code draws them. Called by every constructor, at that network's own widths.

Convolutions: N(0, sqrt(2 / (K * K * C_out))), He et al. 2015 (arXiv:1502.01852) by fan-out; bias, where there is one, 0. Norm
layers over images: scale `norm_scale`, shift 0. Linear layers: N(0, 0.01) with bias 0 in VGG, PyTorch's default elsewhere. A network
that is regrown at pruned widths therefore has the standard deviations of those widths, not of the dense network's.

Numbers come from torch's global generator: `regrow.networks.build.build` seeds it.
"""

from __future__ import annotations

import math

from torch import nn


def initialise(network: nn.Module, *, norm_scale: float, linear_std: float | None = None) -> None:
    """Draw all weights of `network` anew; `linear_std = None` leaves linear layers as PyTorch made them.

    On the meta device there is nothing to draw, and the first attempt would import PyTorch's compiler for a second or two.
    """
    if all(parameter.is_meta for parameter in network.parameters()):
        return
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * math.prod(module.kernel_size) // module.groups
            nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.weight, norm_scale)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear) and linear_std is not None:
            nn.init.normal_(module.weight, std=linear_std)
            nn.init.zeros_(module.bias)
