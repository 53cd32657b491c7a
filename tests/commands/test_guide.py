"""From widths that pruning found, through `regrow guide`, to the same network and a deeper one: the whole way on real digits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import regrow
from regrow.pruning.guide import read_guide
from tests.commands.shell import called

SEARCH = """
seeds = 2
arms  = ["retrain", "scratch-e"]
contrast = ["retrain", "scratch-e"]

[data]
name = "digits"

[network]
name  = "vgg11"
width = 0.125

[train]
epochs = 1
batch  = 256
lr     = 0.05

[[prune]]
method   = "slimming"
of       = "macs"

[[prune]]
method   = "magnitude"
fraction = 0.8

[retrain]
epochs  = 1
tune_lr = false

[compute]
device        = "cpu"
precision     = "fp32"
channels_last = false
"""

DESIGN = SEARCH.partition("[[prune]]")[0].replace('name  = "vgg11"', 'name  = "vgg13"') + (
    """
[[prune]]
method   = "guided"
guide    = "guide.json"
of       = "macs"

[[prune]]
method   = "guided-sparsity"
guide    = "weights.json"
fraction = 0.8

[retrain]
epochs  = 1
tune_lr = false

[compute]
device        = "cpu"
precision     = "fp32"
channels_last = false
"""
)


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study that found widths and masks."""
    folder = tmp_path_factory.mktemp("search")
    (folder / "search.toml").write_text(SEARCH)
    results = regrow.run(folder / "search.toml", out=folder / "out", workers=1, quiet=True)
    assert not results.failures
    return folder


def of_method(rows: list[dict[str, Any]], method: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["method"] == method]


def test_a_guide_is_the_mean_of_what_the_seeds_found_and_designs_a_deeper_network(search: Path) -> None:
    results = search / "out" / "search"
    done = called("guide", str(results), "--method", "slimming", "-o", str(search / "guide.json"))
    assert (done.code, done.err) == (0, f"Guide: {search / 'guide.json'}\n")
    lines = done.out.splitlines()
    assert lines[0] == "slimming 50 % of macs on vgg11 x0.125, digits, mean of 2 seeds:"
    assert len(lines) == 6 and all("% of its channels" in line for line in lines[1:])
    found = of_method(json.loads((results / "results.json").read_text())["architectures"], "slimming")
    last = [sum(row["widths"][6:]) / 128 for row in found]
    assert read_guide(search / "guide.json").channels[-1] == pytest.approx(sum(last) / 2, abs=1e-6)  # type: ignore[index]
    assert called("guide", str(results), "--method", "magnitude", "-o", str(search / "weights.json")).code == 0

    (search / "design.toml").write_text(DESIGN)
    designed = regrow.run(search / "design.toml", out=search / "out", workers=1, quiet=True)
    assert not designed.failures
    (guided,) = of_method(designed.content["architectures"], "guided")
    dense = designed.content["networks"][0]
    assert guided["seed"] is None
    assert guided["macs"] / dense["macs"] == pytest.approx(0.5, abs=0.01)
    masks = of_method(designed.content["prunings"], "guided-sparsity")
    assert [row["kept"] for row in masks] == [masks[0]["total"] - round(0.8 * masks[0]["total"])] * 2
    assert all(sorted(row["kernels"]) == ["0", "1", "2", "3", "4"] for row in masks)


def test_a_guide_as_json_is_the_file(search: Path) -> None:
    path = search / "again.json"
    done = called("guide", str(search / "out" / "search"), "--method", "magnitude", "-o", str(path), "--json")
    assert json.loads(done.out) == json.loads(path.read_text())


def test_what_cannot_be_a_guide_is_wrong_input_and_leaves_no_file(search: Path) -> None:
    path = search / "never.json"
    done = called("guide", str(search / "out" / "search"), "-o", str(path))
    assert (done.code, done.out) == (2, "")
    assert "2 comparisons have architectures that pruning found" in done.err
    assert "--method slimming --design '50 % of macs'" in done.err
    assert called("guide", str(search / "nowhere"), "-o", str(path)).code == 2
    assert not path.exists()
