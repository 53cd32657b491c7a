"""Networks of libraries: built without weights, for the data's classes and images."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from regrow.errors import ConfigError, MissingExtraError
from regrow.networks import libraries
from regrow.networks.foreign import factory_of
from regrow.networks.settings import NetworkSettings
from regrow.networks.sources import dense_network

TINY_VIT = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "patch_size": 4,
}


def network(name: str, shape: tuple[int, int, int] = (3, 32, 32), **options: object) -> nn.Module:
    settings = NetworkSettings(name=name, options=options)
    spec, access = dense_network(settings, classes=7, shape=shape, folder=Path.cwd())
    return factory_of(spec, access)()


def logits(built: nn.Module, shape: tuple[int, int, int] = (3, 32, 32)) -> tuple[int, ...]:
    with torch.no_grad():
        return tuple(built.train()(torch.zeros(2, *shape)).shape)


def test_a_classifier_of_torchvision_has_the_datas_classes() -> None:
    assert logits(network("torchvision:squeezenet1_1")) == (2, 7)


def test_a_vision_transformer_of_torchvision_is_told_the_size_of_the_images() -> None:
    built = network("torchvision:vit_b_32", shape=(3, 32, 32))
    assert built.image_size == 32


@pytest.mark.filterwarnings("error")
def test_auxiliary_outputs_are_left_out_unless_they_are_asked_for() -> None:
    assert logits(network("torchvision:googlenet", init_weights=False)) == (2, 7)


def test_an_unknown_name_is_answered_with_the_nearest_ones() -> None:
    with pytest.raises(ConfigError, match=r"called 'resnet19'\. Did you mean resnet18 or"):
        network("torchvision:resnet19")


def test_an_option_that_the_code_does_not_take_is_told() -> None:
    with pytest.raises(ConfigError, match=r"does not take these network\.options: .*'bogus'"):
        network("torchvision:resnet18", bogus=1)


@pytest.mark.parametrize("name", ["timm", "transformers"])
def test_a_library_that_is_not_there_is_named_with_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf'pip install "regrow\[{name}\]"'):
        libraries.library(name)


class TestTimm:
    @pytest.fixture(autouse=True)
    def _timm(self) -> None:
        pytest.importorskip("timm")

    @pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 48)])
    def test_channels_and_size_follow_the_data(self, shape: tuple[int, int, int]) -> None:
        assert logits(network("timm:test_vit", shape=shape, patch_size=4), shape) == (2, 7)

    def test_a_network_for_any_size_is_told_none(self) -> None:
        assert logits(network("timm:test_resnet", shape=(1, 16, 16)), (1, 16, 16)) == (2, 7)
        assert libraries.timm_size("test_resnet") is None
        assert libraries.timm_size("test_vit") == (3, 160, 160)

    def test_a_size_that_the_study_gives_is_left_alone(self) -> None:
        built = network("timm:test_vit", shape=(3, 32, 32), img_size=64)
        assert built.patch_embed.img_size == (64, 64)  # type: ignore[union-attr]

    def test_an_unknown_name_is_answered_with_the_nearest_ones(self) -> None:
        with pytest.raises(ConfigError, match="Did you mean resnet18 or"):
            network("timm:resnet19")

    def test_an_option_that_the_code_does_not_take_is_told(self) -> None:
        with pytest.raises(ConfigError, match="does not take"):
            network("timm:test_vit", bogus=1)


class TestTransformers:
    @pytest.fixture(autouse=True)
    def _transformers(self) -> None:
        pytest.importorskip("transformers")

    @pytest.mark.parametrize("kind", ["vit", "ViTConfig"])
    def test_a_classifier_is_named_by_its_type_or_its_configuration(self, kind: str) -> None:
        built = network(f"transformers:{kind}", shape=(1, 8, 8), **TINY_VIT)
        assert logits(built, (1, 8, 8)) == (2, 7)

    def test_every_build_starts_from_the_same_configuration(self) -> None:
        settings = NetworkSettings(name="transformers:vit", options=TINY_VIT)
        spec, access = dense_network(settings, classes=7, shape=(1, 8, 8), folder=Path.cwd())
        factory = factory_of(spec, access)
        first, second = (sum(p.numel() for p in factory().parameters()) for _ in range(2))
        assert first == second

    def test_an_unknown_type_is_answered_with_the_nearest_ones(self) -> None:
        with pytest.raises(ConfigError, match="Did you mean vit or"):
            network("transformers:vitt")

    def test_an_option_that_would_be_ignored_is_told(self) -> None:
        with pytest.raises(ConfigError, match=r"no option 'hiden_size' .* Did you mean hidden_size"):
            network("transformers:vit", hiden_size=8)
