from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from regrow.networks.build import build
from regrow.networks.initialise import initialise

from .zoo_spec import spec_of


def convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


@pytest.mark.parametrize("name", ["vgg16", "resnet20", "preresnet20", "densenet40"])
def test_convolutions_follow_he_by_fan_out_at_the_width_they_really_have(name: str) -> None:
    spec = spec_of(name)
    halved = replace(spec, widths=tuple(width // 2 for width in spec.widths))
    large = [layer for layer in convolutions(build(halved, 0)) if layer.weight.numel() > 5_000]
    assert large
    for layer in large:
        expected = math.sqrt(2 / (layer.out_channels * math.prod(layer.kernel_size)))
        # The standard deviation of n normal draws is off by about 1 / sqrt(2 n) of itself; five of those.
        assert float(layer.weight.detach().std()) == pytest.approx(
            expected, rel=5 / math.sqrt(2 * layer.weight.numel())
        )


def test_the_fan_out_of_a_depthwise_convolution_is_one_kernel() -> None:
    layer = nn.Conv2d(4096, 4096, 3, groups=4096, bias=False)
    initialise(layer, norm_scale=1.0)
    assert float(layer.weight.detach().std()) == pytest.approx(math.sqrt(2 / 9), rel=0.02)


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("vgg16", 0.5),
        ("vgg19", 0.5),
        ("resnet20", 1.0),
        ("preresnet56", 0.5),
        ("preresnet110", 1.0),
        ("densenet40", 0.5),
    ],
)
def test_norms_over_images_start_at_the_scale_of_the_papers_experiment(name: str, scale: float) -> None:
    network = build(spec_of(name, width=0.25), 0)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {float(value) for module in norms for value in module.weight.detach()} == {scale}
    assert {float(value) for module in norms for value in module.bias.detach()} == {0.0}


def test_the_norm_in_the_head_of_vgg16_starts_at_one() -> None:
    network = build(spec_of("vgg16", width=0.25), 0)
    head = next(module for module in network.modules() if isinstance(module, nn.BatchNorm1d))
    assert torch.equal(head.weight.detach(), torch.ones_like(head.weight))


def test_linear_layers_of_vgg_are_small_and_without_bias_at_first() -> None:
    hidden = build(spec_of("vgg16"), 0).get_submodule("classifier.hidden")
    assert isinstance(hidden, nn.Linear)
    assert float(hidden.weight.detach().std()) == pytest.approx(0.01, rel=0.01)
    assert float(hidden.bias.detach().abs().max()) == 0.0


def test_the_linear_layer_of_a_resnet_stays_as_pytorch_made_it() -> None:
    layer = build(spec_of("resnet20"), 0).get_submodule("classifier")
    assert isinstance(layer, nn.Linear)
    bound = 1 / math.sqrt(layer.in_features)
    assert 0.9 * bound < float(layer.weight.detach().abs().max()) <= bound  # uniform within the bound
