"""Guided widths: proportions of a guide, at exactly the cost that was asked for, on this network and on its relatives."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import pytest
from torch import nn

from regrow.channels.groups import channel_groups
from regrow.errors import PruningError
from regrow.networks.build import build
from regrow.networks.cost import cost
from regrow.networks.foreign import made_up_images
from regrow.networks.spec import NetworkSpec
from regrow.pruning.guide_widths import guided_shares
from regrow.pruning.targets import widths_for

from .guides import CENTRE, dense, of_channels, of_weights

VGG = (0.9, 0.8, 0.7, 0.3, 0.1)
"""Shares of VGG's five stages as slimming leaves them: the last go hard."""

STAGES = {"vgg16": VGG, "preresnet20": (0.9, 0.6, 0.3), "densenet40": (0.4, 0.6, 0.8)}


@functools.cache
def built(spec: NetworkSpec) -> nn.Module:
    """A network to look at; no test changes it."""
    return build(spec)


def guided(spec: NetworkSpec, shares: Sequence[float], of: str, fraction: float) -> tuple[int, ...]:
    network = built(spec)
    kept = guided_shares(of_channels(*shares), spec)
    found = widths_for(network, channel_groups(network), (), made_up_images(spec), of, fraction, kept=kept)
    return found.widths


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("of", ["macs", "params"])
@pytest.mark.parametrize("fraction", [0.3, 0.7])
def test_the_cost_is_met_within_one_percent_in_the_proportions_of_the_guide(
    name: str, of: str, fraction: float
) -> None:
    spec = dense(name)
    widths = guided(spec, STAGES[name], of, fraction)
    small = NetworkSpec(name=name, width=1.0, widths=widths, classes=10, shape=(3, 32, 32))
    before, after = cost(spec), cost(small)
    assert 1 - getattr(after, of) / getattr(before, of) == pytest.approx(fraction, abs=0.01)
    shares = guided_shares(of_channels(*STAGES[name]), spec)
    lowest, highest = factors(widths, spec.widths, list(shares.values()))
    assert lowest <= highest + 1e-9


def factors(widths: Sequence[int], whole: Sequence[int], shares: Sequence[float]) -> tuple[float, float]:
    """Between which factors every width is the nearest to factor * share of its group, by the group that says most."""
    rows = list(zip(widths, whole, shares, strict=True))
    lowest = max((width - 0.5) / (channels * share) for width, channels, share in rows if width > 1)
    highest = min((width + 0.5) / (channels * share) for width, channels, share in rows if width < channels)
    return lowest, highest


def test_a_share_of_channels_is_met_to_the_channel() -> None:
    spec = dense("vgg16")
    assert sum(guided(spec, VGG, "channels", 0.6)) == sum(spec.widths) - -(-sum(spec.widths) * 6 // 10)


def test_widths_by_hand() -> None:
    network = built(dense("vgg11", 0.0625))
    groups = channel_groups(network)  # 4, 8, 16, 16, 32, 32, 32, 32 channels
    shares = [0.5, 1.0, 0.25, 0.5, 0.5, 0.5, 0.5, 0.5]
    kept = {group.name: share for group, share in zip(groups, shares, strict=True)}
    widths = [2, 8, 4, 8, 16, 16, 16, 16]
    fraction = 1 - sum(widths) / 172
    found = widths_for(network, groups, (), made_up_images(dense("vgg11")), "channels", fraction, kept=kept)
    assert list(found.widths) == widths


def test_equal_shares_are_the_uniform_design() -> None:
    network = built(dense("vgg16"))
    groups, images = channel_groups(network), made_up_images(dense("vgg16"))
    uniform = widths_for(network, groups, (), images, "macs", 0.5).widths
    found = guided(dense("vgg16"), [0.37] * 5, "macs", 0.5)
    assert max(abs(one - other) for one, other in zip(found, uniform, strict=True)) <= 1


def test_a_guide_of_one_network_designs_a_deeper_one_stage_by_stage() -> None:
    shares = guided_shares(of_channels(*VGG), dense("vgg19"))
    assert [shares[f"features.conv{position}"] for position in (1, 3, 5, 8, 9, 12, 13, 16)] == [
        0.9, 0.8, 0.7, 0.7, 0.3, 0.3, 0.1, 0.1,
    ]  # fmt: skip


def test_a_guide_with_other_stages_or_of_weights_is_refused() -> None:
    with pytest.raises(PruningError, match="has 3 stages; vgg19 has 5, and stages are matched by number"):
        guided_shares(of_channels(0.9, 0.5, 0.5), dense("vgg19"))
    with pytest.raises(PruningError, match="holds shares of weights, found by slimming, and widths need"):
        guided_shares(of_weights([0.5] * 5, [CENTRE] * 5), dense("vgg19"))
