from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regrow.errors import ConfigError, UnknownNameError
from regrow.networks.layouts import GroupInfo
from regrow.networks.prunable import Prunable
from regrow.networks.settings import NetworkSettings
from regrow.networks.spec import NetworkSpec
from regrow.networks.zoo import dense_spec
from regrow.pruning.settings import PruneSettings
from regrow.pruning.widths import foreign_faults, kept_of, target_widths


def dense(name: str = "vgg11", width: float = 1.0) -> NetworkSpec:
    return dense_spec(NetworkSettings(name=name, width=width), classes=10, shape=(3, 32, 32))


def widths(name: str = "vgg11", fraction: float | None = None, **value: Any) -> tuple[int, ...]:
    return target_widths(PruneSettings.model_validate({"method": "l1", **value}), dense(name), fraction)


@settings(deadline=None)
@given(st.integers(1, 4096), st.integers(1, 999))
def test_what_is_kept_is_the_exact_floor_and_never_nothing(channels: int, thousandths: int) -> None:
    assert kept_of(channels, thousandths / 1000) == max(1, int(channels * (1 - Fraction(thousandths, 1000))))


def test_binary_rounding_costs_no_channel() -> None:
    assert int(10 * (1 - 0.9)) == 0  # what floating point says
    assert kept_of(10, 0.9) == 1
    assert int(20 * (1 - 0.8)) == 3
    assert kept_of(20, 0.8) == 4


def test_a_fraction_is_the_share_removed_from_every_group() -> None:
    assert widths(fraction=0.3) == (44, 89, 179, 179, 358, 358, 358, 358)


def test_without_a_word_half_goes() -> None:
    assert widths() == (32, 64, 128, 128, 256, 256, 256, 256)


def test_stages_have_their_own_fractions_and_zero_leaves_one_whole() -> None:
    assert widths("resnet20", stages=[0.5, 0, 0.25]) == (8, 8, 8, 32, 32, 32, 48, 48, 48)


def test_groups_are_skipped_by_position_or_by_name() -> None:
    expected = (8, 16, 8, 16, 16, 32, 32, 32, 32)
    assert widths("resnet20", fraction=0.5, skip=[4, "stage2.block3.conv1"]) == expected


def test_a_narrow_network_keeps_one_channel_at_least() -> None:
    narrow = dense("resnet20", 0.1)
    assert narrow.widths == (2, 2, 2, 3, 3, 3, 6, 6, 6)
    assert target_widths(PruneSettings(method="l1"), narrow, 0.9) == (1,) * 9


def test_widths_are_taken_as_they_are_given() -> None:
    given_widths = (1, 2, 3, 4, 5, 6, 7, 512)
    assert widths(widths=given_widths) == given_widths


@pytest.mark.parametrize(
    ("name", "value", "key", "told"),
    [
        (
            "resnet20",
            {"stages": [0.5, 0.5]},
            "prune.stages",
            "resnet20 has 3 stages and needs one fraction for each; found 2",
        ),
        (
            "resnet20",
            {"skip": [3]},
            "prune.skip",
            "no prunable group 3\n    The nearest are 2 (stage1.block1.conv1) and 4",
        ),
        ("resnet20", {"skip": ["stage1.block1"]}, "prune.skip", "The closest are stage1.block1.conv1;"),
        ("vgg11", {"widths": [32]}, "prune.widths", "8 prunable groups and needs one width for each; found 1"),
        (
            "vgg11",
            {"widths": [65, 1, 1, 1, 1, 1, 1, 1]},
            "prune.widths",
            "features.conv1, which has 64 channels; found 65",
        ),
        ("vgg11", {"widths": "vgg16-a"}, "prune.widths", "is for vgg16, not for vgg11\n    There are none for vgg11"),
        (
            "vgg16",
            {"widths": "resnet56-a"},
            "prune.widths",
            "is for resnet56 or resnet56-detached, not for vgg16\n    Designs for vgg16: vgg16-a, vgg16-float-mask.",
        ),
        ("resnet20", {"stages": [0, 0, 0]}, "prune.stages", "leaves resnet20 as it is"),
        ("resnet20", {"skip": [2, 4, 6, 8, 10, 12, 14, 16, 18]}, "prune.fraction", "nothing would be removed"),
    ],
)
def test_what_does_not_fit_is_told_with_key_value_and_way_out(
    name: str, value: dict[str, Any], key: str, told: str
) -> None:
    with pytest.raises(ConfigError) as error:
        widths(name, **value)
    assert [fault.key for fault in error.value.faults] == [key]
    assert told in str(error.value)


def test_all_wrong_skips_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        widths("resnet20", skip=[1, 2, 3])
    assert len(error.value.faults) == 2


def test_a_misspelt_design_is_answered_with_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'vgg16-a'"):
        widths("vgg16", widths="vgg16a")


def test_one_fraction_of_a_family_must_be_named() -> None:
    family = PruneSettings.model_validate({"method": "l1", "fraction": [0.3, 0.8]})
    with pytest.raises(AssertionError, match="which of the fractions"):
        target_widths(family, dense(), None)


ELSEWHERE = NetworkSpec(name="timm:vit", width=1.0, widths=(64, 4, 32, 48), classes=10, shape=(3, 32, 32))
TRACED = Prunable(
    groups=tuple(
        GroupInfo(name=name, position=position, stage=0, channels=channels)
        for position, (name, channels) in enumerate(
            [("blocks.0.fc", 64), ("blocks.0.attn", 4), ("mix.a", 32), ("mix.b", 48)], start=1
        )
    ),
    heads=frozenset({"blocks.0.attn"}),
)


def of_traced(links: tuple[tuple[int, ...], ...] = (), **value: Any) -> tuple[int, ...]:
    settings = PruneSettings.model_validate({"method": "l1", **value})
    return target_widths(settings, ELSEWHERE, None, replace(TRACED, links=links))


def test_heads_of_attention_stay_when_a_share_of_everything_goes() -> None:
    assert of_traced(fraction=0.5) == (32, 4, 16, 24)


def test_linked_groups_keep_the_same_share_of_their_channels() -> None:
    assert of_traced(fraction=0.3) == (44, 4, 22, 33)
    assert of_traced(((2, 3),), fraction=0.3) == (44, 4, 22, 33)
    assert of_traced(((2, 3),), fraction=0.35) == (41, 4, 20, 30)


def test_a_linked_group_that_is_skipped_keeps_the_other_whole_too() -> None:
    assert of_traced(((2, 3),), skip=["mix.a"]) == (32, 4, 32, 48)


@pytest.mark.parametrize("skip", [["blocks.*"], ["blocks.0.fc"], [1]])
def test_groups_are_skipped_by_pattern_name_or_position(skip: list[int | str]) -> None:
    assert of_traced(skip=skip) == (64, 4, 16, 24)


def test_one_number_a_group_is_taken_as_it_is() -> None:
    assert of_traced(widths=[10, 2, 3, 4]) == (10, 2, 3, 4)


@pytest.mark.parametrize(
    ("value", "key", "told"),
    [
        (
            {"widths": "vgg16-a"},
            "prune.widths",
            "the design 'vgg16-a' is for vgg16, not for timm:vit\n    There are none for timm:vit: use prune.fraction.",
        ),
        ({"stages": [0.5]}, "prune.stages", "have no stages"),
        ({"skip": ["block.*"]}, "prune.skip", "`regrow plan --json` shows all"),
        ({"skip": ["*"]}, "prune.fraction", "nothing would be removed"),
    ],
)
def test_what_does_not_fit_a_network_from_elsewhere_is_told(value: dict[str, Any], key: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        of_traced(**value)
    assert [fault.key for fault in error.value.faults] == [key]
    assert told in str(error.value)


RESNET34 = NetworkSpec(
    name="torchvision:resnet34", width=1.0, widths=(64, 64, 64), classes=1000, shape=(3, 224, 224), origin="torchvision"
)


def of_resnet34(channels: dict[str, int], design: str = "resnet34-a") -> tuple[int, ...]:
    found = Prunable(
        groups=tuple(
            GroupInfo(name=name, position=position, stage=0, channels=count)
            for position, (name, count) in enumerate(channels.items(), start=1)
        )
    )
    dense = replace(RESNET34, widths=found.widths)
    return target_widths(PruneSettings(method="l1", widths=design), dense, None, found)


def test_a_design_of_blocks_is_for_methods_that_remove_blocks() -> None:
    network = replace(RESNET34, name="torchvision:resnet50")
    for method, wrong in (("sss", 0), ("l1", 1), (("sss", "fpgm"), 1)):
        faults = foreign_faults(PruneSettings(method=method, widths="sss-resnet26"), network)
        assert len(faults) == wrong
        assert all("removes whole blocks" in fault.rule and "sss" in fault.hint for fault in faults)


WHOLE = {
    f"layer{stage}.{block}.conv1": width
    for stage, width, blocks in [(1, 64, 3), (2, 128, 4), (3, 256, 6)]
    for block in range(blocks)
}


def test_a_design_by_name_leaves_whole_what_it_does_not_name() -> None:
    kept = of_resnet34({"conv1": 64, **WHOLE, "layer4.0.conv1": 512})
    assert kept == (64, 64, 44, 44, 128, 89, 89, 128, 256, 179, 179, 179, 179, 256, 512)


def test_a_design_by_name_follows_the_names_in_any_order() -> None:
    turned = dict(reversed(WHOLE.items()))
    assert of_resnet34(turned) == tuple(reversed(of_resnet34(WHOLE)))


@pytest.mark.parametrize(
    ("channels", "told"),
    [
        (
            {name: width for name, width in WHOLE.items() if name != "layer2.1.conv1"},
            "89 channels of layer2.1.conv1, which has none",
        ),
        (WHOLE | {"layer3.5.conv1": 128}, "256 channels of layer3.5.conv1, which has 128"),
    ],
)
def test_a_network_that_was_built_otherwise_than_its_design_knows_is_refused(
    channels: dict[str, int], told: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        of_resnet34(channels)


def test_a_design_that_takes_a_few_channels_takes_as_many_at_every_width() -> None:
    for width in (1.0, 0.5, 0.25):
        network = dense("vgg16", width)
        found = target_widths(PruneSettings(method="position", widths="vgg16-float-mask"), network, None)
        real = target_widths(PruneSettings(method="l1", widths="vgg16-a"), network, None)
        lost = [whole - kept for whole, kept in zip(network.widths, found, strict=True)]
        assert lost == [2 * (kept < whole) for whole, kept in zip(network.widths, real, strict=True)]
        assert sum(lost) == 14


def test_a_group_of_two_channels_keeps_one_where_a_design_takes_two() -> None:
    network = dense("resnet56", 0.1)
    assert network.widths[0] == 2
    assert target_widths(PruneSettings(method="position", widths="resnet56-float-mask"), network, None)[0] == 1
