"""Blocks that are gone: names of modules that an identity stands in for. Plain values; imports no torch.

A residual network is left without some of its blocks where a method found that their shortcut alone does (Huang & Wang 2018,
arXiv:1707.01213). Such a network is the dense one's specification and the names of those blocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import Field

_NAME: Final = r"[^.\s]+(\.[^.\s]+)*"

ModuleName = Annotated[str, Field(pattern=f"^{_NAME}$", max_length=1000)]
"""Dotted path of a module inside its network, which is not the network itself: `layer1.1`."""


def inside(name: str, removed: Iterable[str]) -> bool:
    """Whether a module or tensor is one of the removed blocks, or a part of one.

    >>> inside("layer1.1.conv1.weight", ["layer1.1"]), inside("layer1.10", ["layer1.1"])
    (True, False)
    """
    return any(name == block or name.startswith(f"{block}.") for block in removed)


def in_order(removed: Iterable[str]) -> tuple[str, ...]:
    """The names as people count, so that the same blocks are always the same value.

    >>> in_order(["layer1.10", "layer1.2"])
    ('layer1.2', 'layer1.10')
    """
    return tuple(sorted(removed, key=_natural))


def removed_faults(removed: tuple[str, ...]) -> list[tuple[int, str]]:
    """What is wrong with a list of blocks whatever network it is for: (position, rule), one for each mistake."""
    faults = []
    for index, name in enumerate(removed):
        others = removed[:index] + removed[index + 1 :]
        if not re.fullmatch(_NAME, name):
            faults.append((index, f"the dotted name of a module is expected, such as layer1.1; found {name!r}"))
        elif name in removed[:index]:
            faults.append((index, f"a block can be removed once; {name} is named twice"))
        elif inside(name, [other for other in others if other != name]):
            faults.append((index, f"{name} lies inside another block that is removed; name the outer one alone"))
    return faults


def _natural(name: str) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)|\.", name) if part]
