"""Named networks: the zoo and elsewhere, by one function."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from regrow.errors import ConfigError
from regrow.networks.named import named_network


def test_a_network_of_the_zoo_takes_small_images_unless_it_is_said(tmp_path: Path) -> None:
    network, spec = named_network("resnet20", folder=tmp_path)
    assert (spec.shape, spec.classes) == ((3, 32, 32), 10)
    assert network.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_a_network_from_elsewhere_takes_large_images_unless_it_is_said(tmp_path: Path) -> None:
    _, spec = named_network("torchvision:squeezenet1_1", folder=tmp_path)
    assert (spec.shape, spec.classes) == ((3, 224, 224), 1000)


def test_sizes_can_be_said(tmp_path: Path) -> None:
    network, _ = named_network("torchvision:squeezenet1_1", classes=3, shape=(3, 64, 64), folder=tmp_path)
    assert network.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 3)


def test_the_weights_are_the_same_every_time(tmp_path: Path) -> None:
    first, second = (named_network("vgg11", folder=tmp_path)[0].state_dict() for _ in range(2))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_an_own_function_needs_trust(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from torch import nn\ndef build(classes, shape):\n    return nn.Sequential(nn.Flatten(), nn.Linear(12, classes))\n"
    )
    with pytest.raises(ConfigError, match="--trust"):
        named_network("mine:build", classes=2, shape=(3, 2, 2), folder=tmp_path)
    network, _ = named_network("mine:build", classes=2, shape=(3, 2, 2), folder=tmp_path, trust=True)
    assert network(torch.zeros(1, 3, 2, 2)).shape == (1, 2)


def test_a_name_that_there_is_not_is_answered_with_one_that_there_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'resnet56'"):
        named_network("resnet-56", folder=tmp_path)
