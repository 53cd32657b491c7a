from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import nn

from regrow.channels.groups import channel_groups
from regrow.channels.trace import trace
from regrow.errors import PruningError
from regrow.networks.build import build
from regrow.networks.cost import cost
from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import dense_spec
from regrow.pruning.targets import at_widths, milliseconds_of, timed, widths_for

from .traced import INNER, STREAM, residual

SPEC = dense_spec(NetworkSettings(name="vgg11", width=0.25), classes=10, shape=(1, 8, 8))
IMAGES = torch.zeros(2, 1, 8, 8)


def test_a_share_of_macs_of_a_network_of_the_zoo_is_met() -> None:
    network = build(SPEC, 0)
    found = widths_for(network, channel_groups(network), (), IMAGES, "macs", 0.5)
    removed = 1 - cost(replace(SPEC, widths=found.widths)).macs / cost(SPEC).macs
    assert removed == pytest.approx(0.5, abs=0.01) == found.reached["macs"]


def test_widths_do_not_depend_on_weights() -> None:
    found = [
        widths_for(network, channel_groups(network), (), IMAGES, "params", 0.3).widths
        for network in (build(SPEC, 0), build(SPEC, 1))
    ]
    assert found[0] == found[1] != SPEC.widths


def test_skipped_groups_stay_whole() -> None:
    network = build(SPEC, 0)
    groups = channel_groups(network)
    found = widths_for(network, groups, (), IMAGES, "macs", 0.3, ("features.conv[12]",))
    assert found.widths[:2] == SPEC.widths[:2]
    assert found.reached["macs"] == pytest.approx(0.3, abs=0.01)


def test_latency_is_asked_for_where_a_function_is_given() -> None:
    asked: list[tuple[int, ...]] = []

    def latency(widths: Sequence[int]) -> float:
        asked.append(tuple(widths))
        return float(sum(widths))

    network = build(SPEC, 0)
    found = widths_for(network, channel_groups(network), (), IMAGES, "latency", 0.5, latency=latency)
    assert asked[0] == SPEC.widths
    assert found.reached["latency"] == pytest.approx(0.5, abs=0.01) == 1 - sum(found.widths) / sum(SPEC.widths)


def test_the_network_that_is_timed_has_the_widths() -> None:
    image = torch.zeros(1, 3, 8, 8)
    small = at_widths(residual(), [STREAM, INNER], [7, 4], trace(residual(), image))
    assert (tuple(small.inner.weight.shape), small(image).shape) == ((4, 7, 3, 3), (1, 4))
    network = build(SPEC, 0)
    half = [width // 2 for width in SPEC.widths]
    small = at_widths(network, channel_groups(network), half, None)
    assert small(IMAGES).shape == (2, 10)
    assert sum(one.numel() for one in small.parameters()) == cost(replace(SPEC, widths=tuple(half))).params
    assert [group.channels for group in channel_groups(network)] == list(SPEC.widths)


def test_a_wide_network_takes_longer_than_a_narrow_one() -> None:
    network = nn.Sequential(nn.Conv2d(3, 256, 3), nn.ReLU(), nn.Conv2d(256, 256, 3), nn.Flatten(), nn.LazyLinear(2))
    image = torch.zeros(1, 3, 16, 16)
    network(image)
    milliseconds = milliseconds_of(network, trace(network, image).groups, image)
    assert milliseconds([256, 256]) > 2 * milliseconds([8, 8]) > 0


def test_timing_leaves_no_gradient_and_runs_in_eval_mode() -> None:
    class Modes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)
            self.seen: set[bool] = set()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen |= {self.training, torch.is_grad_enabled()}
            return self.layer(x)

    network = Modes()
    assert timed(network, torch.zeros(1, 2)) > 0
    assert network.seen == {False}


def test_shapes_alone_cannot_be_timed() -> None:
    with pytest.raises(PruningError, match="without weights"):
        timed(nn.Linear(2, 2, device="meta"), torch.zeros(1, 2))
