"""Classifiers for tests: of the zoo and of torchvision, drawn and not trained."""

from __future__ import annotations

import torchvision
from torch import nn

from regrow.networks.build import build
from regrow.networks.settings import NetworkSettings
from regrow.networks.spec import NetworkSpec
from regrow.networks.zoo import dense_spec
from regrow.randomness import seeded


def zoo_spec(name: str, *, width: float = 0.125, channels: int = 3) -> NetworkSpec:
    return dense_spec(NetworkSettings(name=name, width=width), classes=2, shape=(channels, 32, 32))


def zoo(name: str, *, width: float = 0.125, channels: int = 3) -> nn.Module:
    return build(zoo_spec(name, width=width, channels=channels), 0, "test")


def torchvision_network(name: str) -> nn.Module:
    with seeded(0, "test"):
        network: nn.Module = getattr(torchvision.models, name)(num_classes=2)
    return network
