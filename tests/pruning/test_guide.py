"""Guides: plain values that are written, read back, known by their content, and refused where they say nothing that holds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from regrow.errors import ConfigError
from regrow.pruning.guide import FORMAT, LARGEST, Guide, misfit, read_guide, write_guide

from .guides import CENTRE, of_channels, of_weights

CHANNELS = of_channels(1.0, 0.5)
WEIGHTS = of_weights([0.3, 0.0], [CENTRE, None])


@pytest.mark.parametrize("guide", [CHANNELS, WEIGHTS])
def test_what_was_written_is_read_back(tmp_path: Path, guide: Guide) -> None:
    write_guide(tmp_path / "guide.json", guide)
    assert read_guide(tmp_path / "guide.json") == guide


def test_a_guide_is_known_by_its_content_and_not_by_its_path_or_layout(tmp_path: Path) -> None:
    write_guide(tmp_path / "a.json", CHANNELS)
    (tmp_path / "b.json").write_text(json.dumps(json.loads((tmp_path / "a.json").read_text())))
    assert read_guide(tmp_path / "a.json").digest == read_guide(tmp_path / "b.json").digest
    assert of_channels(1.0, 0.500001).digest != CHANNELS.digest


def changed(**changes: Any) -> dict[str, Any]:
    return {**CHANNELS.to_json(), **changes}


def source(**changes: Any) -> dict[str, Any]:
    return {**CHANNELS.to_json()["source"], **changes}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (changed(channels=[0.5, 0.0]), "channels.1: Input should be greater than 0; found 0.0"),
        (changed(channels=[0.5, 1.5]), "channels.1: Input should be less than or equal to 1; found 1.5"),
        (changed(channels=["0.5"]), "channels.0: Input should be a valid number"),
        (changed(channels=None), "channels: a guide holds channels or weights; found neither"),
        (changed(weights=[0.5, 0.5], kernels=[None, None]), "channels: a guide holds channels or weights; found both"),
        (changed(kernels=[None]), "kernels: stand beside weights, and the guide has none"),
        (changed(code="import os"), "code: Unexpected keyword argument"),
        (changed(source=source(n=3)), "source.n: is the number of different seeds, 2; found 3"),
        (changed(source=source(seeds=[])), "source.seeds: Tuple should have at least 1 item"),
        ({**WEIGHTS.to_json(), "kernels": [None]}, "kernels: must have an entry for each of the 2 stages"),
        ({**WEIGHTS.to_json(), "kernels": [[[1, 1], [1, 1]], None]}, "kernels.0.0.2: Field required"),
    ],
)
def test_a_guide_that_says_what_cannot_be_is_refused(tmp_path: Path, content: object, told: str) -> None:
    (tmp_path / "guide.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError) as caught:
        read_guide(tmp_path / "guide.json")
    assert any(line.startswith(f"guide.json: {told}") for line in str(caught.value).splitlines()), caught.value


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\x80\x04pickle", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[]", f"must be a guide, with format \"{FORMAT}\"; found 'list'"),
        (b'{"format": "regrow masks 1"}', f"must be a guide, with format \"{FORMAT}\"; found 'regrow masks 1'"),
        (b" " * (LARGEST + 1), "is larger than 1,048,576 bytes"),
    ],
)
def test_another_file_is_refused_and_the_command_that_makes_one_is_told(
    tmp_path: Path, content: bytes, told: str
) -> None:
    (tmp_path / "guide.json").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_guide(tmp_path / "guide.json")
    assert str(caught.value).startswith(f"guide.json: {told}")
    assert "regrow guide RESULTS -o guide.json" in str(caught.value)


def test_a_guide_that_is_not_there_is_a_mistake_in_the_input(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the guide cannot be read: No such file"):
        read_guide(tmp_path / "none.json")


def test_stages_are_matched_by_number() -> None:
    assert misfit(CHANNELS, "resnet20", 2) == ""
    assert "the guide was found on vgg16 and has 2 stages; vgg19 has 5" in misfit(CHANNELS, "vgg19", 5)
    assert "has 2 stages" in misfit(WEIGHTS, "vgg19", 5)


def test_guides_are_made_and_read_without_torch() -> None:
    script = (
        "import sys; from regrow.pruning import guide, guide_making, guide_widths; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
