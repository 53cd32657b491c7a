"""Small networks whose forward is a function: what a trace finds in them, written so that a test can compare it.

found = look(lambda n, x: n.b(n.a(x).relu()), x(2, 6), a=nn.Linear(6, 8), b=nn.Linear(8, 3))
found.groups == {"a": 8}
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from regrow.channels.trace import Tracing, trace


class Small(nn.Module):
    """Modules, parameters and numbers by name, and a function of them and the inputs."""

    def __init__(self, call: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.call = call
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The function's value."""
        return self.call(self, *inputs, **named)


@dataclass(frozen=True)
class Found:
    """A trace, by names."""

    network: nn.Module
    tracing: Tracing

    @property
    def groups(self) -> dict[str, int]:
        """Channels of every group."""
        return {group.name: group.channels for group in self.tracing.groups}

    @property
    def heads(self) -> dict[str, int]:
        """Those that are heads."""
        return {group.name: group.channels for group in self.tracing.groups if group.role == "heads"}

    @property
    def places(self) -> dict[str, set[tuple[str, int]]]:
        """Axes of every group."""
        return {group.name: {(part.tensor, part.axis) for part in group.slices} for group in self.tracing.groups}

    @property
    def frozen(self) -> dict[str, tuple[int, str]]:
        """Channels that stay, and why; without the network's output."""
        return {
            one.what: (one.channels, one.reason)
            for one in self.tracing.frozen
            if "output of the network" not in one.reason
        }

    def corrections(self, **widths: int) -> dict[str, int]:
        """The numbers that change when the named groups keep so many channels."""
        chosen = [widths.get(group.name.replace(".", "_"), group.channels) for group in self.tracing.groups]
        return {f"{one.module}.{one.attribute}".lstrip("."): one.small for one in self.tracing.corrections(chosen)}


def look(call: Callable[..., Any], *inputs: Any, options: dict[str, Any] | None = None, **parts: Any) -> Found:
    """Trace a small network on inputs."""
    network = Small(call, **parts)
    return Found(network, trace(network, inputs, **(options or {})))


def x(*shape: int) -> Tensor:
    """An input."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def sequential(*layers: nn.Module) -> Callable[..., Any]:
    """A forward that runs layers one after the other."""
    chain = nn.Sequential(*layers)
    return lambda _, value: chain(value)
