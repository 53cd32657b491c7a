from __future__ import annotations

import pytest
import torch
from torch import nn

from regrow.networks.build import blueprint, build
from regrow.networks.preresnet import Bottleneck

from .zoo_spec import CIFAR, DIGITS, spec_of


def test_the_stream_passes_a_block_unchanged_where_shapes_agree() -> None:
    block = Bottleneck(8, 2, 2, 8, stride=1)
    nn.init.zeros_(block.conv3.weight)
    stream = torch.randn(2, 8, 4, 4)
    assert torch.equal(block(stream), stream)


def test_the_stream_is_projected_where_a_stage_begins() -> None:
    network = blueprint(spec_of("preresnet20"))
    projected = [
        name for name, module in network.named_modules() if name.endswith("shortcut") and isinstance(module, nn.Conv2d)
    ]
    assert projected == ["stage1.block1.shortcut", "stage2.block1.shortcut", "stage3.block1.shortcut"]


@pytest.mark.parametrize("shape", [DIGITS, CIFAR, (3, 9, 9)])
def test_images_become_one_logit_a_class(shape: tuple[int, int, int]) -> None:
    assert build(spec_of("preresnet20", width=0.25, shape=shape), 0)(torch.randn(2, *shape)).shape == (2, 10)


def test_each_inner_convolution_is_normalised_and_read_by_the_next() -> None:
    groups = build(spec_of("preresnet20", width=0.25), 0).channel_groups()  # type: ignore[operator]
    first, second = groups[0], groups[1]
    assert {part.tensor for part in first.slices} >= {"stage1.block1.norm2.bias", "stage1.block1.conv2.weight"}
    assert {part.tensor for part in second.slices} >= {"stage1.block1.norm3.bias", "stage1.block1.conv3.weight"}
