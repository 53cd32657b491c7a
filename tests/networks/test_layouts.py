from __future__ import annotations

import pytest

from regrow.networks.layouts import (
    dense_layers,
    densenet_groups,
    preresnet_groups,
    preresnet_removable,
    residual_blocks,
    resnet_groups,
    resnet_removable,
    scaled,
    vgg_groups,
)


def test_scaling_rounds_half_up_in_decimal_and_never_below_one() -> None:
    assert [scaled(10, width) for width in (0.05, 0.25, 0.35, 0.01, 1.0, 2.0)] == [1, 3, 4, 1, 10, 20]


def test_vgg16_has_thirteen_convolutions_in_five_stages() -> None:
    groups = vgg_groups(1.0, depth=16)
    assert [group.channels for group in groups] == [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    assert [group.stage for group in groups] == [0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert [group.position for group in groups] == list(range(1, 14))
    assert groups[12].name == "features.conv13"


@pytest.mark.parametrize(("depth", "convolutions"), [(11, 8), (13, 10), (16, 13), (19, 16)])
def test_a_vgg_has_its_depth_less_three_convolutions(depth: int, convolutions: int) -> None:
    assert len(vgg_groups(1.0, depth=depth)) == convolutions


def test_resnet56_prunes_the_even_convolutions_with_boundaries_after_18_and_36() -> None:
    groups = resnet_groups(1.0, depth=56)
    assert [group.position for group in groups] == list(range(2, 55, 2))
    assert [group.position for group in groups if group.stage == 0][-1] == 18
    assert [group.position for group in groups if group.stage == 1][-1] == 36
    assert {group.channels for group in groups if group.stage == 2} == {64}


def test_resnet110_has_boundaries_after_36_and_72() -> None:
    groups = resnet_groups(1.0, depth=110)
    assert len(groups) == 54
    assert [max(group.position for group in groups if group.stage == stage) for stage in range(3)] == [36, 72, 108]


def test_preresnet164_prunes_two_of_the_three_convolutions_of_each_block() -> None:
    groups = preresnet_groups(1.0, depth=164)
    assert len(groups) == 2 * 54
    assert [group.name for group in groups[:3]] == ["stage1.block1.conv1", "stage1.block1.conv2", "stage1.block2.conv1"]
    assert [group.position for group in groups[:4]] == [2, 3, 5, 6]


def test_residual_blocks_are_named_in_forward_order() -> None:
    assert residual_blocks(20, convolutions=2)[3:5] == [(1, "stage2.block1"), (1, "stage2.block2")]


def test_densenet40_prunes_every_convolution() -> None:
    groups = densenet_groups(1.0, depth=40, growth=12, bottleneck=False, compression=1)
    channels = {group.name: group.channels for group in groups}
    assert len(groups) == 39  # 40 layers less the linear one
    assert channels["stem"] == 24
    assert channels["block3.layer12.conv1"] == 12
    assert channels["transition1.conv"] == 24 + 12 * 12
    assert channels["transition2.conv"] == 24 + 24 * 12


def test_densenet_bc100_halves_in_its_transitions_and_has_bottlenecks_four_times_its_growth() -> None:
    groups = densenet_groups(1.0, depth=100, growth=12, bottleneck=True, compression=2)
    channels = {group.name: group.channels for group in groups}
    assert len(groups) == 99
    assert channels["block1.layer1.conv1"] == 48
    assert channels["block1.layer1.conv2"] == 12
    assert channels["transition1.conv"] == (24 + 16 * 12) // 2
    assert channels["transition2.conv"] == ((24 + 16 * 12) // 2 + 16 * 12) // 2


def test_bottlenecks_halve_the_layers_of_a_dense_block() -> None:
    assert dense_layers(100, bottleneck=False) == 2 * dense_layers(100, bottleneck=True)


def test_resnet_s_blocks_that_do_not_halve_the_image_can_go() -> None:
    names = resnet_removable(56)
    assert len(names) == 27 - 2
    assert names[0] == "stage1.block1" and names[9:11] == ("stage2.block2", "stage2.block3")
    assert not {"stage2.block1", "stage3.block1"} & set(names)


def test_preresnet_s_first_block_of_each_stage_widens_the_stream_and_stays() -> None:
    names = preresnet_removable(164)
    assert len(names) == 54 - 3
    assert names[0] == "stage1.block2" and names[-1] == "stage3.block18"
