"""The trunk of a detector: a trained classifier, whole as it was, that runs up to its last level and gives its maps."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from regrow.detection.levels import SIDES, Level, hooked
from regrow.networks.modes import evaluating


class _SeenEnough(Exception):  # noqa: N818 - no error: the last level was reached, what comes after it need not run
    """Ends a forward pass."""


class Trunk(nn.Module):
    """A classifier as the source of maps: it runs up to its last level, and what comes after never runs nor trains."""

    def __init__(self, network: nn.Module, levels: Sequence[Level], image_channels: int, *, frozen_norms: bool) -> None:
        super().__init__()
        self.network, self.levels, self.frozen_norms = network, tuple(levels), frozen_norms
        used = self._used(image_channels)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name in used)
        self.used = used
        self.train(self.training)

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Images [B, C, H, W] to maps [B, channels, H / stride, W / stride] by number of the level, from 0."""
        maps: OrderedDict[str, Tensor] = OrderedDict()
        names = [level.module for level in self.levels]

        def note(name: str, module: nn.Module, inputs: Any, output: Tensor) -> None:
            del module, inputs
            maps[str(names.index(name))] = output
            if name == names[-1]:
                raise _SeenEnough

        with hooked(self.network, note, *names), contextlib.suppress(_SeenEnough):
            self.network(images)
        return OrderedDict((key, maps[key]) for key in sorted(maps, key=int))

    def train(self, mode: bool = True) -> Trunk:
        """Train or eval mode; frozen norms stay in eval mode and keep their scales."""
        super().train(mode)
        if self.frozen_norms:
            for norm in (one for one in self.network.modules() if isinstance(one, _BatchNorm)):
                norm.eval()
                norm.requires_grad_(False)
        return self

    @property
    def params(self) -> int:
        """Parameters of the part that runs."""
        return sum(tensor.numel() for name, tensor in self.network.named_parameters() if name in self.used)

    def _used(self, image_channels: int) -> frozenset[str]:
        """Names of the parameters of modules that are entered before the last level is reached."""
        entered: set[str] = set()
        names = {module: name for name, module in self.network.named_modules()}
        handles = [module.register_forward_pre_hook(lambda module, _: entered.add(names[module])) for module in names]
        try:
            with evaluating(self.network), torch.no_grad():
                parameter = next(self.network.parameters())
                self(torch.zeros(1, image_channels, SIDES[0], SIDES[0], device=parameter.device))
        finally:
            for handle in handles:
                handle.remove()
        return frozenset(name for name, _ in self.network.named_parameters() if name.rpartition(".")[0] in entered)
