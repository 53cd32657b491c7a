from __future__ import annotations

from pathlib import Path

import pytest

from regrow.channels.carve import carve
from regrow.networks.cost import cost
from regrow.shipping.bundle import save

from ..channels.zoo_networks import random_architecture, restless, small_spec
from .small_networks import tiny


def test_it_states_sizes_widths_fractions_origin_and_how_to_load(tmp_path: Path) -> None:
    network, architecture = tiny()
    text = (save(network, architecture, tmp_path / "bundle") / "README.md").read_text()
    assert "| parameters | 693 | 348 | 49.8% |" in text
    assert "| `conv1` | 8 | 5 | 37.5% |" in text and "| `conv2` | 6 | 4 | 33.3% |" in text
    assert architecture.fingerprint in text and "torch 2." in text
    assert 'regrow.load("path/to/this/folder", factory)' in text
    assert "## What is not known" in text and "## Notes" not in text


def test_notes_stand_in_it(tmp_path: Path) -> None:
    text = (save(*tiny(), tmp_path / "bundle", notes="Trained on digits.") / "README.md").read_text()
    assert "## Notes\n\nTrained on digits.\n" in text


def test_a_network_of_the_zoo_needs_no_factory_and_has_macs(tmp_path: Path) -> None:
    dense = small_spec("vgg11")
    network = restless(dense)
    architecture = random_architecture(network, dense)
    text = (save(carve(network, architecture), architecture, tmp_path / "bundle") / "README.md").read_text()
    assert 'regrow.load("path/to/this/folder")' in text
    assert "| MACs of one example |" in text


def test_the_hub_reads_its_first_block(tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    folder = save(*tiny(), tmp_path / "bundle")
    found = hub.ModelCard.load(folder / "README.md").data.to_dict()
    assert found == {"library_name": "regrow", "tags": ["regrow", "pruning", "structured-pruning", "pytorch"]}


def test_blocks_that_are_gone_stand_in_it_and_count(tmp_path: Path) -> None:
    dense = small_spec("resnet20")
    network = restless(dense)
    architecture = random_architecture(network, dense).without(["stage1.block2"])
    text = (save(carve(network, architecture), architecture, tmp_path / "bundle") / "README.md").read_text()
    assert "Blocks that are gone whole, an identity in their place: `stage1.block2`." in text
    assert "| `stage1.block2.conv1` | 4 | 0 | 100.0% |" in text
    params = cost(dense).params, cost(architecture.pruned_spec()).params
    assert f"| parameters | {params[0]:,} | {params[1]:,} |" in text
