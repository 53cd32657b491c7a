"""The command `regrow prune`, on the smallest networks of the zoo."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from regrow.channels.architecture import read_architecture
from regrow.networks.build import build
from regrow.networks.named import named_network
from regrow.shipping.bundle import load
from regrow.training.checkpoint import save_weights
from tests.commands.shell import called

SHAPE = ("--shape", "3x8x8")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Trained weights of resnet20, as far as a command can tell."""
    _, spec = named_network("resnet20", shape=(3, 8, 8), folder=tmp_path)
    save_weights(build(spec, 7), tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


def test_a_checkpoint_becomes_a_small_network_in_a_folder(weights: Path) -> None:
    out = weights.parent / "small"
    done = called("prune", "resnet20", *SHAPE, "--checkpoint", str(weights), "--fraction", "0.25", "--out", str(out))
    assert done.code == 0
    assert "stage1.block1.conv1" in done.out and "verification: verified" in done.out
    assert f"Written (folder): {out}" in done.err and "random" not in done.err
    architecture = read_architecture(out / "architecture.json")
    assert architecture.indices["stage1.block1.conv1"] != ()
    rows = list(architecture.indices["stage1.block1.conv1"])
    columns = list(architecture.indices["stem.conv"])
    dense = load_file(weights)["stage1.block1.conv1.weight"]
    found = load_file(out / "model.safetensors")["stage1.block1.conv1.weight"]
    assert (len(rows), len(columns)) == (12, 12)
    assert torch.equal(found, dense[rows][:, columns])
    small = load(out, lambda: named_network("resnet20", shape=(3, 8, 8), folder=out)[0])
    assert small(torch.zeros(1, 3, 8, 8)).shape == (1, 10)


def test_shares_may_differ_by_pattern_and_the_answer_may_be_json(weights: Path) -> None:
    out = str(weights.parent / "small")
    shares = ("--fraction", "stage1.*=0.5", "--fraction", "stage2.*=0", "--fraction", "*=0.25")
    done = called("prune", "resnet20", *SHAPE, *shares, "--ignore", "stem", "--out", out, "--json")
    answer = json.loads(done.out)
    kept = {group["group"]: group["kept"] for group in answer["groups"]}
    assert (kept["stage1.block2.conv1"], kept["stage2.block2.conv1"], kept["stage3.block2.conv1"]) == (8, 32, 48)
    assert kept["stem.conv"] == 16
    assert answer["parameters"]["small"] < answer["parameters"]["dense"]
    assert answer["files"] == {"folder": out} and answer["latency"] is None
    assert "the weights are random" in done.err


def test_a_share_of_macs_is_asked_for_with_one_ranking_and_a_floor(weights: Path) -> None:
    budget = ("--fraction", "0.4", "--of", "macs", "--scope", "global", "--floor", "0.25")
    done = called("prune", "resnet20", *SHAPE, *budget, "--out", str(weights.parent / "small"), "--json")
    answer = json.loads(done.out)
    assert 1 - answer["macs"]["small"] / answer["macs"]["dense"] == pytest.approx(0.4, abs=0.01)
    shares = {group["kept"] / group["channels"] for group in answer["groups"]}
    assert len(shares) > 2 and min(shares) >= 0.25
    beyond = called(
        "prune", "resnet20", *SHAPE, "--fraction", "0.99", "--of", "macs", "--floor", "0.25", "--scope", "global"
    )
    assert beyond.code == 1 and "The largest fraction that can be reached is" in beyond.err


def test_it_exports_and_measures_in_the_same_go(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from regrow.evaluation import stopwatch

    monkeypatch.setattr(stopwatch, "WARM_UP_SECONDS", 0.0)
    monkeypatch.setattr(stopwatch, "TURN_SECONDS", 0.0)
    out = weights.parent / "small"
    asked = ["--program", "--latency", "--seconds", "0"]
    if importlib.util.find_spec("onnxscript") and importlib.util.find_spec("onnxruntime"):
        asked.append("--onnx")
    done = called("prune", "vgg11", *SHAPE, "--out", str(out), "--json", *asked)
    answer = json.loads(done.out)
    assert done.code == 0
    assert (out / "model.pt2").stat().st_size > 0
    assert (out / "model.onnx").exists() == ("--onnx" in asked)
    assert {row["name"] for row in answer["latency"]["rows"]} == {"dense", "pruned"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--fraction", "half"), "--fraction: must be a number, or PATTERN=NUMBER; found 'half'"),
        (("--fraction", "30"), "Did you mean 0.3?"),
        (("--fraction", "0.5", "--fraction", "a=0.1"), "as '*=0.5'"),
        (("--fraction", "stge1.*=0.5"), "matches no prunable group"),
        (("--criterion", "l3"), "no method is called 'l3'"),
        (("--checkpoint", "absent.pt"), "--checkpoint: there is no file 'absent.pt'"),
        (("--ignore", "stm"), "Did you mean 'stem'?"),
        (("--shape", "8"), "--shape: must be channels x height x width"),
    ],
)
def test_wrong_input_is_told_without_a_traceback(options: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = called("prune", "resnet20", *SHAPE, "--out", str(tmp_path / "small"), *options)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert not (tmp_path / "small").exists()
