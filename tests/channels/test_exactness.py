"""Half of every group of every construct, and of a few networks that people use: pruned exactly, and more than half gone.

The sweep over hundreds of networks is `python -m benchmarks.exactness`; this is its fast sample.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

import regrow
from tests.channels.constructs import CONSTRUCTS, KEEPS_MUCH
from tests.channels.oracle import Exactness, exactness, unique_double

TORCHVISION = ("mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1", "resnet18", "mnasnet0_5", "regnet_y_400mf")


def doubled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: doubled(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return tuple(doubled(part) for part in value)
    return value.double() if value.is_floating_point() else value


def judged(network: nn.Module, inputs: Callable[[int], Any]) -> Exactness:
    """What the oracle says of the network without half of every group."""
    dense = unique_double(network, inputs(9))
    small, _ = regrow.prune(dense, inputs(0), fraction={"*": 0.5}, verify=False)
    return exactness(dense, small, inputs(1), inputs(2), copied=False)


def images(seed: int) -> Tensor:
    return torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_a_construct_is_pruned_exactly(name: str) -> None:
    build, inputs = CONSTRUCTS[name]
    found = judged(build(), lambda seed: doubled(inputs(seed)))
    assert found.right, found
    if name not in KEEPS_MUCH:
        assert found.parameters[1] < 0.5 * found.parameters[0], found


STORED = (
    "fused qkv (head_dim, scale attributes)",
    "einsum attention",
    "spatial reduction attention",
    "shifted windows",
)


@pytest.mark.parametrize("name", STORED)
def test_a_scale_that_is_stored_keeps_its_value(name: str) -> None:
    build, inputs = CONSTRUCTS[name]
    assert judged(build(), lambda seed: doubled(inputs(seed))).tier == "exact*"


@pytest.mark.parametrize("name", TORCHVISION)
def test_a_torchvision_network_is_pruned_exactly(name: str) -> None:
    found = judged(torchvision.models.get_model(name, weights=None), images)
    assert (found.tier, found.parameters[1] < 0.5 * found.parameters[0]) == ("exact", True), found


@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "test_efficientnet", "xcit_nano_12_p16_224"])
def test_a_timm_network_is_pruned_exactly(name: str) -> None:
    timm = pytest.importorskip("timm")
    found = judged(timm.create_model(name, **({} if "conv" in name or "eff" in name else {"img_size": 48})), images)
    assert found.right, found
    assert found.parameters[1] < 0.5 * found.parameters[0]
