"""Specifications for tests: small, unless asked otherwise."""

from __future__ import annotations

from regrow.networks.settings import NetworkSettings
from regrow.networks.spec import NetworkSpec
from regrow.networks.zoo import dense_spec

CIFAR = (3, 32, 32)
DIGITS = (1, 8, 8)


def spec_of(name: str, *, width: float = 1.0, shape: tuple[int, int, int] = CIFAR, classes: int = 10) -> NetworkSpec:
    return dense_spec(NetworkSettings(name=name, width=width), classes=classes, shape=shape)
