"""Named networks: from the name that a person types to a network with fresh weights, of the zoo or from elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from torch import nn

from regrow.networks.build import build
from regrow.networks.foreign import factory_of
from regrow.networks.settings import NetworkSettings
from regrow.networks.sources import dense_network, is_foreign
from regrow.networks.spec import NetworkSpec
from regrow.randomness import seeded

SMALL_IMAGE: Final = (3, 32, 32)
LARGE_IMAGE: Final = (3, 224, 224)
"""Channels, height, width that networks of the zoo, and those from elsewhere, are made for unless it is said."""

FEW_CLASSES: Final = 10
MANY_CLASSES: Final = 1000


def named_network(
    name: str,
    *,
    classes: int | None = None,
    shape: tuple[int, int, int] | None = None,
    folder: Path,
    trust: bool = False,
) -> tuple[nn.Module, NetworkSpec]:
    """The dense network of that name with seeded fresh weights, and its specification.

    `folder` is where a person's own module is looked for first. Raises `ConfigError` for a name that there is not, for sizes that the
    network cannot have, and where its code may not run without `trust`.
    """
    foreign = is_foreign(name)
    spec, access = dense_network(
        NetworkSettings(name=name),
        classes=classes or (MANY_CLASSES if foreign else FEW_CLASSES),
        shape=shape or (LARGE_IMAGE if foreign else SMALL_IMAGE),
        folder=folder,
    )
    if not foreign:
        return build(spec, 0, "named"), spec
    with seeded(0, "named"):
        return factory_of(spec, replace(access, trust=trust))(), spec
