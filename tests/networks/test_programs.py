"""Saved programs: two modes, fresh weights, and a file that must be what it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from regrow.channels.registrations import listening
from regrow.errors import ConfigError
from regrow.networks.foreign import check_network, factory_of, made_up_images
from regrow.networks.programs import Program
from regrow.networks.settings import NetworkSettings
from regrow.networks.sources import Access, foreign_spec
from regrow.networks.spec import NetworkSpec


class Small(nn.Module):
    """Convolution, norm, dropout, a token of its own, linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 64, 3, padding=1)
        self.norm = nn.BatchNorm2d(64)
        self.drop = nn.Dropout(0.5)
        self.token = nn.Parameter(torch.zeros(64))
        self.scale = nn.LayerNorm(64)
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Images to logits."""
        maps = self.norm(self.conv(images)).relu()
        return self.head(self.scale(self.drop(maps.mean((2, 3)) + self.token)))


@pytest.fixture(scope="module", params=["train", "eval"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program, exported in either mode."""
    network = Small().train(request.param == "train")
    batch = torch.export.Dim("batch", min=2, max=4096)
    program = torch.export.export(network, (torch.randn(3, 1, 8, 8),), dynamic_shapes=({0: batch},))
    path = tmp_path_factory.mktemp("program") / "network.pt2"
    torch.export.save(program, path)
    return path


def known(path: Path) -> tuple[NetworkSpec, Access]:
    settings = NetworkSettings(name=path.name)
    spec, access = foreign_spec(settings, classes=10, shape=(1, 8, 8), folder=path.parent)
    return spec, replace(access, trust=True)


def test_it_takes_any_number_of_images(saved: Path) -> None:
    spec, access = known(saved)
    network = factory_of(spec, access)()
    check_network(network, spec)
    assert network.eval()(made_up_images(spec, 5)).shape == (5, 10)


def test_training_drops_and_evaluation_does_not(saved: Path) -> None:
    spec, access = known(saved)
    network, images = factory_of(spec, access)(), made_up_images(spec, 8)
    network.train()
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))


def test_training_moves_the_norms_statistics_and_evaluation_does_not(saved: Path) -> None:
    spec, access = known(saved)
    network, images = factory_of(spec, access)(), made_up_images(spec, 8)
    mean = network.get_buffer("graph_module.norm.running_mean")
    network.eval()(images)
    assert not mean.any()
    network.train()(images)
    assert mean.any()


def test_every_build_draws_fresh_weights_as_layers_draw_theirs(saved: Path) -> None:
    factory = factory_of(*known(saved))
    first, second = (dict(factory().named_parameters()) for _ in range(2))
    weight = first["graph_module.conv.weight"]
    assert not torch.equal(weight, second["graph_module.conv.weight"])
    assert weight.std().item() == pytest.approx((1 / 9 / 3) ** 0.5, rel=0.1)
    assert weight.abs().max() <= 1 / 3
    assert torch.equal(first["graph_module.norm.weight"], torch.ones(64))
    assert torch.equal(first["graph_module.scale.weight"], torch.ones(64))
    assert not first["graph_module.head.bias"].any()
    assert first["graph_module.token"].std().item() == pytest.approx(0.02, rel=0.4)


def test_all_tensors_are_registered_before_they_are_filled_so_that_they_can_be_made_small(saved: Path) -> None:
    spec, access = known(saved)

    def hear(module: nn.Module, name: str, tensor: Tensor) -> None:
        if name == "weight" and tensor.ndim == 4:
            tensor.data = tensor.data[:16]

    factory = factory_of(spec, access)
    with listening(hear):
        network = factory()
    assert isinstance(network, Program)
    small = network.get_parameter("graph_module.conv.weight")
    assert small.shape[0] == 16 and small.std() > 0.1


def test_a_file_that_is_no_program_is_told(tmp_path: Path) -> None:
    path = tmp_path / "network.pt2"
    path.write_bytes(b"no program")
    with pytest.raises(ConfigError, match=r"no program that torch\.export\.save wrote"):
        factory_of(*known(path))


def test_a_file_that_was_changed_since_the_study_was_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.pt2"
    path.write_bytes(b"one")
    spec, access = known(path)
    path.write_bytes(b"two")
    with pytest.raises(ConfigError, match="was changed after the study was read"):
        factory_of(spec, access)
