"""From a specification to a factory, and the trial of what it builds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from regrow.errors import ConfigError
from regrow.networks.foreign import check_network, factory_of, made_up_images
from regrow.networks.settings import NetworkSettings
from regrow.networks.sources import Access, foreign_spec
from regrow.networks.spec import NetworkSpec

from .own_nets import write_nets

SPEC = NetworkSpec(name="nets:build", width=1.0, widths=(), classes=10, shape=(3, 8, 8))


class Odd(nn.Module):
    """Answers with something of its own."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, images: Tensor) -> object:
        del images
        return self.answer


def test_code_that_nobody_trusts_is_not_run(tmp_path: Path) -> None:
    write_nets(tmp_path, text="raise RuntimeError('imported')")
    spec, access = foreign_spec(NetworkSettings(name="nets:build"), classes=10, shape=(3, 8, 8), folder=tmp_path)
    with pytest.raises(ConfigError, match="--trust"):
        factory_of(spec, access)
    with pytest.raises(RuntimeError, match="imported"):
        factory_of(spec, replace(access, trust=True))


def test_a_factory_builds_the_network_anew_each_time() -> None:
    spec = replace(SPEC, name="torchvision:squeezenet1_1")
    factory = factory_of(spec, Access())
    first, second = factory(), factory()
    assert first is not second and type(first) is type(second)


def test_made_up_images_are_always_the_same_and_all_different() -> None:
    images = made_up_images(SPEC, 4)
    assert images.shape == (4, 3, 8, 8) and images.dtype == torch.float32
    assert torch.equal(images, made_up_images(SPEC, 4))
    assert all((images[0] - images[i]).abs().max() > 1 for i in (1, 2, 3))


def test_a_network_that_gives_a_row_of_logits_an_image_is_right_and_keeps_its_modes() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(192, 10))
    network[1].eval()
    check_network(network, SPEC)
    assert network.training and not network[1].training


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(100, 10)), "cannot take 3x8x8 images: RuntimeError"),
        (nn.Sequential(nn.Flatten(), nn.Linear(192, 5)), "it gave a tensor [2, 5]"),
        (Odd({"logits": 1}), "it gave a dict"),
        (Odd(torch.zeros(10)), "it gave a tensor [10]"),
    ],
)
def test_a_network_that_gives_anything_else_is_refused(network: nn.Module, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_network(network, SPEC)
    assert told in str(error.value)


def test_a_network_of_timm_that_takes_one_size_only_says_which() -> None:
    pytest.importorskip("timm")
    spec = replace(SPEC, name="timm:test_vit", options='{"img_size":160}')
    with pytest.raises(ConfigError, match="It is made for 3x160x160"):
        check_network(factory_of(spec, Access())(), spec)
