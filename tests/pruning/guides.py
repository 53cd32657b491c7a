"""Guides for tests: what pruning could have found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regrow.networks.settings import NetworkSettings
from regrow.networks.spec import NetworkSpec
from regrow.networks.zoo import dense_spec
from regrow.pruning.guide import Guide, GuideSource, Kernel

SOURCE = GuideSource(
    network="vgg16", data="digits", method="slimming", design="50 %", fraction=0.5, study="abc", seeds=(0, 2), n=2
)

CENTRE: Kernel = ((0.1, 0.2, 0.1), (0.2, 0.8, 0.2), (0.1, 0.2, 0.1))
"""A pattern that keeps the centre of kernels more often than their corners."""


def of_channels(*shares: float) -> Guide:
    return Guide(source=SOURCE, channels=shares)


def of_weights(shares: Sequence[float], kernels: Sequence[Kernel | None]) -> Guide:
    return Guide(source=SOURCE, weights=tuple(shares), kernels=tuple(kernels))


def dense(name: str, width: float = 1.0) -> NetworkSpec:
    return dense_spec(NetworkSettings(name=name, width=width), classes=10, shape=(3, 32, 32))


def results(seeds: Sequence[int] = (0, 1), **more: Any) -> dict[str, Any]:
    """Results with one method that found widths, one that everybody could have named, and one that found masks."""
    key = {"network": "toy", "data": "digits", "variant": ""}
    found = {"method": "slimming", "fraction": 0.5, "design": "50 % of macs"}
    named = {"method": "l1", "fraction": 0.5, "design": "50 %"}
    masked = {"method": "magnitude", "fraction": 0.8, "design": "80 %"}
    drawn = {"method": "random-widths", "fraction": 0.5, "design": "50 % of macs"}
    widths = {0: [10, 10, 4], 1: [10, 8, 2]}
    kernel = {0: [[0.0] * 3, [0.0, 1.0, 0.0], [0.0] * 3], 1: [[0.5] * 3, [0.5, 1.0, 0.5], [0.5] * 3]}
    rest: dict[str, Any] = {"removed": [], "kept_weights": None}
    return {
        "study": {"id": "5eed"},
        "networks": [
            {
                "network": "toy",
                "data": "digits",
                "origin": "",
                "widths": [10, 10, 20],
                "groups": [{"name": "a", "stage": 0}, {"name": "b", "stage": 0}, {"name": "c", "stage": 1}],
            }
        ],
        "architectures": [
            *({**key, **found, **rest, "seed": seed, "widths": widths[seed]} for seed in seeds),
            *({**key, **drawn, **rest, "seed": seed, "widths": [1, 1, 1]} for seed in seeds),
            {**key, **named, **rest, "seed": None, "widths": [5, 5, 10]},
            *({**key, **masked, **rest, "seed": seed, "widths": [10, 10, 20], "kept_weights": 9} for seed in seeds),
        ],
        "prunings": [
            {
                **key,
                **masked,
                "seed": seed,
                "stage_shares": {"0": 0.2 + 0.2 * seed, "1": 0.1},
                "kernels": {"0": kernel[seed]},
            }
            for seed in seeds
        ],
        **more,
    }
