from __future__ import annotations

import subprocess
import sys
import time
from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from regrow.networks.build import build
from regrow.networks.cost import cost, cost_of

from .zoo_spec import DIGITS, spec_of


@pytest.mark.parametrize(
    ("name", "millions_of_macs", "params"),
    [
        ("vgg16", 313.5, 14_987_722),
        ("vgg19", 398.1, 20_035_018),
        ("resnet20", 40.6, 269_722),
        ("resnet56", 125.5, 853_018),
        ("resnet110", 252.9, 1_727_962),
        ("preresnet164", 247.6, 1_711_338 - 8_080),  # the paper's count less its index buffers
        ("densenet40", 282.9, 1_068_658 - 9_360),  # the same
        ("densenet-bc100", 287.9, 769_162),
    ],
)
def test_macs_and_parameters_are_those_of_the_literature(name: str, millions_of_macs: float, params: int) -> None:
    found = cost(spec_of(name))
    assert round(found.macs / 1e6, 1) == millions_of_macs
    assert found.params == params


def test_a_convolution_multiplies_its_kernel_at_every_output() -> None:
    assert cost_of(nn.Conv2d(3, 8, 3, padding=1, stride=2), (3, 10, 10)).macs == 8 * 5 * 5 * 3 * 9


def test_a_grouped_convolution_reads_its_group_only() -> None:
    assert cost_of(nn.Conv2d(8, 16, 3, padding=1, groups=4), (8, 6, 6)).macs == 16 * 36 * 2 * 9


def test_a_depthwise_convolution_reads_one_channel() -> None:
    assert cost_of(nn.Conv2d(64, 64, 3, padding=1, groups=64), (64, 6, 6)).macs == 64 * 36 * 9


def test_a_transposed_convolution_multiplies_its_kernel_at_every_input() -> None:
    assert cost_of(nn.ConvTranspose2d(4, 6, 2, stride=2), (4, 5, 5)).macs == 4 * 25 * 6 * 4


def test_a_linear_layer_multiplies_its_weights_once() -> None:
    assert cost_of(nn.Linear(20, 30), (20,)).macs == 600
    assert cost_of(nn.Linear(20, 30, bias=False), (7, 20)).macs == 7 * 600


def test_norms_activations_and_pools_multiply_nothing() -> None:
    network = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
    assert cost_of(network, (4, 8, 8)).macs == 0


class Branching(nn.Module):
    """Hand-counted: 2 channels of 4x4 come in, see the test below."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(2, 8, 1, bias=False)
        self.narrow = nn.Conv2d(8, 2, 1, bias=False)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        return (self.narrow(self.relu(self.wide(images))) + images).flatten(1)


def test_the_peak_is_the_worst_moment_of_a_hand_counted_network() -> None:
    channel = 4 * 4 * 4  # bytes of one 4x4 map of float32
    # wide:   input 2 + result 8          relu: in place, input 2 (still needed) + 8
    # narrow: input 2 + 8 + result 2 = 12 channels, the worst      sum: 2 + 2 + 2      flatten: a view
    assert cost_of(Branching(), (2, 4, 4)).peak_activation_bytes == 12 * channel


def test_a_chain_frees_what_no_later_operation_reads() -> None:
    chain = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Conv2d(3, 4, 1), nn.Conv2d(4, 1, 1))
    assert cost_of(chain, (1, 2, 2)).peak_activation_bytes == (3 + 4) * 2 * 2 * 4


def test_an_activation_in_place_saves_a_value() -> None:
    kept, in_place = (nn.Sequential(nn.Conv2d(1, 8, 1), nn.ReLU(inplace=flag)) for flag in (False, True))
    assert cost_of(kept, (1, 2, 2)).peak_activation_bytes == (8 + 8) * 16
    assert cost_of(in_place, (1, 2, 2)).peak_activation_bytes == (1 + 8) * 16


def test_indices_of_a_max_pool_count_as_nothing() -> None:
    assert cost_of(nn.MaxPool2d(2), (1, 4, 4)).peak_activation_bytes == (16 + 4) * 4


def test_a_weight_seen_through_a_view_is_not_an_activation() -> None:
    assert cost_of(nn.Linear(100, 1), (100,)).peak_activation_bytes == (100 + 1) * 4


def test_vgg16_is_worst_in_its_first_norms() -> None:
    assert cost(spec_of("vgg16")).peak_activation_bytes == 2 * 64 * 32 * 32 * 4


def test_densenet_is_worst_at_the_last_concatenation_of_its_first_block() -> None:
    read, new = 24 + 11 * 12, 12
    assert cost(spec_of("densenet40")).peak_activation_bytes == (read + new + (read + new)) * 32 * 32 * 4


def test_counting_leaves_the_network_as_it_was() -> None:
    network = build(spec_of("resnet20", width=0.25), 0).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    cost_of(network, (3, 32, 32))
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert all(module.training for module in network.modules())


def test_a_network_and_its_specification_cost_the_same() -> None:
    spec = spec_of("densenet40", width=0.25, shape=DIGITS)
    assert cost_of(build(spec, 0), DIGITS) == cost(spec)


def test_frozen_and_tied_parameters_are_counted_once() -> None:
    first = nn.Linear(4, 4, bias=False)
    second = nn.Linear(4, 4, bias=False)
    second.weight = first.weight
    first.weight.requires_grad_(False)
    assert cost_of(nn.Sequential(OrderedDict(a=first, b=second)), (4,)).params == 16


@pytest.mark.parametrize("name", ["vgg11", "resnet20", "preresnet20", "densenet40", "densenet-bc100"])
def test_a_network_is_cheaper_with_one_channel_less_in_each_group(name: str) -> None:
    spec = spec_of(name, shape=DIGITS)
    fewer = cost(replace(spec, widths=tuple(width - 1 for width in spec.widths)))
    assert fewer.macs < cost(spec).macs
    assert fewer.params < cost(spec).params


def test_counting_is_quick() -> None:
    spec = spec_of("resnet110", classes=11)  # a specification that no other test has asked for
    start = time.process_time()
    cost(spec)
    assert time.process_time() - start < 2.0


def test_counting_the_zoo_does_not_import_the_compiler() -> None:
    script = (
        "import sys; from regrow.networks.cost import cost; from regrow.networks.zoo import NETWORKS, dense_spec; "
        "from regrow.networks.settings import NetworkSettings; "
        "[cost(dense_spec(NetworkSettings(name=name), classes=10, shape=(3, 32, 32))) for name in NETWORKS]; "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


class LooksAtNumbers(nn.Module):
    """Takes a path by the values of its input, so it cannot run without them."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(20, 30)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images) if images.sum().item() <= 0 else images


class Attention(nn.Module):
    """Attention by PyTorch's one operation; can be made to look at numbers, too."""

    def __init__(self, looks: bool) -> None:
        super().__init__()
        self.looks = looks

    def forward(self, x: Tensor) -> Tensor:
        if self.looks:
            x = x * (1 + int(x.sum().item()))
        return nn.functional.scaled_dot_product_attention(x, x, x)


def test_a_network_that_looks_at_numbers_is_counted_all_the_same_and_left_as_it_is() -> None:
    network = LooksAtNumbers().train()
    found = cost_of(network, (20,))
    assert (found.macs, found.params) == (600, 630)
    assert found.peak_activation_bytes >= 4 * (20 + 30)
    assert network.training


@pytest.mark.parametrize("looks", [False, True])
def test_both_products_of_attention_are_counted(looks: bool) -> None:
    assert cost_of(Attention(looks), (2, 5, 8)).macs == 2 * 2 * 5 * 5 * 8


def test_a_removed_block_costs_nothing() -> None:
    spec = spec_of("resnet20")
    dense, left = cost(spec), cost(replace(spec, removed=("stage1.block2", "stage3.block3")))
    # Two 3 x 3 convolutions each: 16 to 16 channels on 32 x 32, and 64 to 64 on 8 x 8; batch norms have two numbers a channel.
    assert dense.macs - left.macs == 2 * 9 * 16 * 16 * 32 * 32 + 2 * 9 * 64 * 64 * 8 * 8
    assert dense.params - left.params == 2 * (9 * 16 * 16 + 2 * 16) + 2 * (9 * 64 * 64 + 2 * 64)
