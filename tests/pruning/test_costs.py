from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
import torch
from torch import nn
from torchvision import models

from regrow.channels.architecture import Architecture, KeptChannels, regrow_version
from regrow.channels.carve import carve
from regrow.channels.groups import channel_groups
from regrow.channels.trace import Tracing, trace
from regrow.errors import PruningError
from regrow.networks.build import blueprint
from regrow.networks.cost import cost, cost_of
from regrow.networks.groups import Group
from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import NETWORKS, dense_spec
from regrow.pruning.costs import CostModel, _Sum, cost_model

from .traced import INNER, STREAM, residual

IMAGE = torch.zeros(1, 3, 8, 8)


def draws(groups: Sequence[Group], links: Sequence[Sequence[int]], number: int) -> Iterator[list[int]]:
    """The dense widths, the narrowest, and some by chance in which linked groups keep the same share."""
    numbers = random.Random(0)
    linked = {member: link for link in links for member in link}
    for draw in range(number):
        widths = []
        kept: dict[int, int] = {}
        for index, group in enumerate(groups):
            bundle = linked.get(index, (index,))
            parts = math.gcd(*(groups[member].channels for member in bundle))
            left = kept.setdefault(min(bundle), {0: parts, 1: 1}.get(draw, numbers.randint(1, parts)))
            widths.append(group.channels // parts * left)
        yield widths


def carved(network: nn.Module, tracing: Tracing, widths: Sequence[int]) -> nn.Module:
    kept = tuple(
        KeptChannels(group=group.name, channels=group.channels, indices=tuple(range(width)), slices=group.slices)
        for group, width in zip(tracing.groups, widths, strict=True)
    )
    corrections = tracing.corrections(widths)
    architecture = Architecture(
        dense=None, kept=kept, corrections=corrections, fingerprint="0" * 64, regrow=regrow_version()
    )
    return carve(network, architecture, other_weights=True)


def check_carved(network: nn.Module, side: int = 224) -> CostModel:
    """What the model says at four widths is what the carved network costs, to the integer."""
    network = network.to("meta")
    tracing = trace(network, torch.zeros(1, 3, side, side, device="meta"))
    model = cost_model(network, tracing.groups, torch.zeros(2, 3, side, side, device="meta"))
    for widths in draws(tracing.groups, tracing.links, 4):
        real = cost_of(carved(network, tracing, widths), (3, side, side))
        assert (model.macs(widths), model.params(widths)) == (real.macs, real.params)
    return model


def test_a_residual_network_by_hand() -> None:
    model = cost_model(residual(), [STREAM, INNER], IMAGE)
    stream, inner = 7, 4
    macs = 64 * (stream * 27 + inner * stream * 9 + stream * inner) + stream * 4
    params = stream * 27 + stream + inner * stream * 9 + inner + stream * inner + stream + stream * 4 + 4
    assert (model.macs([stream, inner]), model.params([stream, inner])) == (macs, params)
    assert (type(model.macs([7, 4])), type(model.params([7, 4]))) == (int, int)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_of_the_zoo_costs_what_its_model_says(name: str) -> None:
    spec = dense_spec(NetworkSettings(name=name), classes=10, shape=(3, 32, 32))
    network = blueprint(spec)
    groups = channel_groups(network)
    model = cost_model(network, groups, torch.zeros(2, 3, 32, 32, device="meta"))
    for widths in draws(groups, (), 3):
        real = cost(replace(spec, widths=tuple(widths)))
        assert (model.macs(widths), model.params(widths)) == (real.macs, real.params)


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v3_large", "shufflenet_v2_x1_0", "resnext50_32x4d"])
def test_convolutions_plain_grouped_depthwise_shuffled_and_concatenated(name: str) -> None:
    with torch.device("meta"):
        network = models.get_model(name)
    check_carved(network)


def test_attention_of_a_vision_transformer() -> None:
    with torch.device("meta"):
        network = models.vit_b_16()
    model = check_carved(network)
    assert model.macs(model.channels) == 17_563_828_224


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "convnext_atto", "mixer_s32_224", "eca_resnet33ts"])
def test_windows_token_mixing_and_convolutions_over_channels(name: str) -> None:
    timm = pytest.importorskip("timm")
    check_carved(timm.create_model(name))


def test_a_network_with_removed_blocks_counts_what_is_left() -> None:
    spec = dense_spec(NetworkSettings(name="resnet20"), classes=10, shape=(3, 32, 32))
    spec = replace(spec, removed=("stage1.block2",))
    network = blueprint(spec)
    model = cost_model(network, channel_groups(network), torch.zeros(1, 3, 32, 32, device="meta"))
    assert model.macs(model.channels) == cost(spec).macs
    assert model.params(model.channels) == cost(spec).params


def test_more_channels_never_cost_less() -> None:
    model = cost_model(residual(), [STREAM, INNER], IMAGE)
    for stream in range(1, 12):
        assert model.macs([stream, 5]) < model.macs([stream + 1, 5])
        assert model.params([stream, 5]) < model.params([stream + 1, 5])


def test_counts_beyond_sixty_four_bits_are_exact() -> None:
    layer = ({(): 2**40 + 1}, {(0,): 2**24})
    found = _Sum.of([layer, layer], [2**24])
    assert found.at([2**24 - 1]) == 2 * (2**40 + 1) * (2**24 - 1)


def test_widths_that_groups_cannot_have_are_refused() -> None:
    model = cost_model(residual(), [STREAM, INNER], IMAGE)
    with pytest.raises(PruningError, match="2 channel groups and needs one width for each; found 1"):
        model.macs([3])
    with pytest.raises(PruningError, match="group 2 has 10 channels and cannot keep 11"):
        model.params([3, 11])


def test_the_network_is_left_as_it_was() -> None:
    network = residual().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    cost_model(network, [STREAM, INNER], IMAGE)
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
