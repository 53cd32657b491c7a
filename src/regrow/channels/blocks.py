"""Residual blocks: the parts of a network that can go whole, because what is left of them is their shortcut."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Block:
    """A module that gives its input back, plus what its branches add to it."""

    name: str
    """Dotted path of the module: `layer1.1`."""

    ends: tuple[str, ...]
    """Dotted paths of the modules whose outputs are added to the shortcut, in forward order: one for each addition."""
