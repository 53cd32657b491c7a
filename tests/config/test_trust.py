"""Code that came with a study runs only when its reader says so; nothing of it runs while the study is checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from regrow.config.load import load_study
from regrow.config.trust import require_trust, untrusted
from regrow.errors import ConfigError

from .cases import study

STUDY = """
[data]
name = "digits"
[network]
name = "nets:build"
[prune]
method = "l1"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A study beside a module that must not be imported."""
    (tmp_path / "nets.py").write_text("raise RuntimeError('imported')\n")
    (tmp_path / "own.toml").write_text(STUDY)
    return tmp_path / "own.toml"


def test_a_function_of_ones_own_needs_trust(path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_study(path)
    (fault,) = error.value.faults
    assert (fault.key, fault.where) == ("network.name", str(path))
    assert "nets:build" in fault.rule and "--trust" in fault.hint


def test_a_trusted_study_is_read_without_running_its_code(path: Path) -> None:
    assert load_study(path, trust=True).trusted


def test_trust_is_no_part_of_a_study(path: Path) -> None:
    trusted = load_study(path, trust=True)
    assert trusted.settings()["network"] == [{"name": "nets:build", "width": 1.0}]
    assert "trust" not in str(trusted.settings())


def test_a_saved_program_needs_trust_because_it_may_hold_a_pickle() -> None:
    (fault,) = untrusted(study(network={"name": "nets/network.pt2"}))
    assert fault.key == "network.name"


@pytest.mark.parametrize("name", ["vgg11", "torchvision:resnet18", "timm:resnet18", "transformers:vit"])
def test_the_zoo_and_libraries_need_no_trust(name: str) -> None:
    assert list(untrusted(study(network={"name": name}))) == []


def test_the_second_of_two_networks_is_named() -> None:
    (fault,) = untrusted(study(network=[{"name": "vgg11"}, {"name": "nets:build"}]))
    assert fault.key == "network #2.name"


def test_a_run_asks_again_because_a_study_may_be_made_in_python() -> None:
    made = study(network={"name": "nets:build"})
    with pytest.raises(ConfigError, match="trust=True"):
        require_trust(made)
    require_trust(made.trusting())
