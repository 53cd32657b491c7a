"""A function of one's own is called with what it takes, and nothing else; what is wrong with it is told."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from regrow.errors import ConfigError
from regrow.networks.factories import own_network
from regrow.networks.settings import NetworkSettings
from regrow.networks.sources import foreign_spec

from .own_nets import NETS, write_nets


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] in ("nets", "mine"):
            del sys.modules[name]


def network(folder: Path, name: str = "nets:build", **options: object) -> nn.Module:
    settings = NetworkSettings(name=name, options=options)
    spec, access = foreign_spec(settings, classes=7, shape=(1, 8, 8), folder=folder)
    return own_network(name, spec, replace(access, trust=True))()


@pytest.mark.parametrize(("name", "classes"), [("nets:build", 7), ("nets:plain", 10), ("nets:anything", 7)])
def test_classes_and_shape_are_handed_to_a_function_that_takes_them(tmp_path: Path, name: str, classes: int) -> None:
    write_nets(tmp_path)
    assert network(tmp_path, name)(torch.zeros(2, 1, 8, 8)).shape == (2, classes)


@pytest.mark.parametrize("name", ["nets:build", "nets:anything"])
def test_options_are_handed_over_too(tmp_path: Path, name: str) -> None:
    write_nets(tmp_path)
    assert network(tmp_path, name, width=12).get_parameter("stem.weight").shape[0] == 12


def test_a_class_is_a_function_too(tmp_path: Path) -> None:
    write_nets(tmp_path)
    assert type(network(tmp_path, "nets:Net", width=4, channels=1)).__name__ == "Net"


def test_a_module_in_a_package_is_imported_with_its_package(tmp_path: Path) -> None:
    write_nets(tmp_path, "mine.widths", "WIDTH = 6\n")
    write_nets(
        tmp_path, "mine.nets", NETS + "\n\nfrom mine.widths import WIDTH\n\n\ndef six():\n    return Net(WIDTH, 7, 1)\n"
    )
    assert network(tmp_path, "mine.nets:six").get_parameter("stem.weight").shape[0] == 6


def test_two_folders_may_hold_modules_of_the_same_name(tmp_path: Path) -> None:
    write_nets(tmp_path / "one")
    write_nets(tmp_path / "two", text=NETS.replace("width=8", "width=5"))
    sizes = [network(tmp_path / folder).get_parameter("stem.weight").shape[0] for folder in ("one", "two", "one")]
    assert sizes == [8, 5, 8]


def test_a_file_that_was_changed_is_imported_anew_for_the_next_study(tmp_path: Path) -> None:
    write_nets(tmp_path)
    assert network(tmp_path).get_parameter("stem.weight").shape[0] == 8
    write_nets(tmp_path, text=NETS.replace("width=8", "width=11"))
    assert network(tmp_path).get_parameter("stem.weight").shape[0] == 11


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("nets:biuld", {}, "nets has nothing called 'biuld'. Did you mean 'build'?"),
        ("nets:NUMBER", {}, "must be a function that returns a network; found int"),
        ("nets:nothing", {}, "must return a torch.nn.Module; it returned NoneType"),
        ("nets:build", {"widht": 3}, "does not take 'widht' of network.options. Did you mean 'width'?"),
        ("nets:needy", {}, "needs the argument 'depth', which regrow does not know"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, name: str, options: dict[str, object], told: str) -> None:
    write_nets(tmp_path)
    with pytest.raises(ConfigError) as error:
        network(tmp_path, name, **options)
    assert told in str(error.value)


def test_a_module_that_needs_another_is_told(tmp_path: Path) -> None:
    write_nets(tmp_path, text="import nothing_of_this_name\n")
    with pytest.raises(ConfigError, match=r"nothing_of_this_name.*beside regrow"):
        network(tmp_path)


def test_a_file_that_was_changed_since_the_study_was_read_is_refused(tmp_path: Path) -> None:
    path = write_nets(tmp_path)
    spec, access = foreign_spec(NetworkSettings(name="nets:build"), classes=7, shape=(1, 8, 8), folder=tmp_path)
    path.write_text(NETS + "\n# changed\n")
    with pytest.raises(ConfigError, match="was changed after the study was read"):
        own_network("nets:build", spec, access)


def test_only_the_folder_in_use_is_on_pythons_path_and_an_installed_one_keeps_its_place(tmp_path: Path) -> None:
    before = list(sys.path)
    write_nets(tmp_path / "one")
    write_nets(tmp_path / "two")
    network(tmp_path / "one")
    network(tmp_path / "two")
    assert sys.path == [str(tmp_path / "two"), *before]
    with pytest.raises(ConfigError, match="must be a function"):
        network(tmp_path, "torchvision.models.resnet:__all__")
    assert sys.path == before
