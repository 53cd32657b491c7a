"""From a finished study to detection.json: plumbing, pairing, resuming."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from regrow.config.load import load_study
from regrow.detection.settings import DetectionSettings
from regrow.detection.transfer import run_transfer
from regrow.errors import ConfigError, PruningError
from tests.detection.conftest import Drawn, Finished, finish
from tests.detection.drawn import write_study
from tests.networks.own_nets import write_nets


@pytest.fixture
def out(finished: Finished, tmp_path: Path) -> Path:
    """The study's store in a folder of its own."""
    return Path(shutil.copytree(finished.out, tmp_path / "out"))


def settings(boxes: Drawn, **changes: Any) -> DetectionSettings:
    short = {"epochs": 1, "batch": 4, "image_size": 64, "channels": 4, "regions": 8}
    return DetectionSettings(root=boxes.coco, format="coco", **(short | changes))


def lasting(value: Any) -> Any:
    """What does not differ between two runs."""
    if isinstance(value, dict):
        return {k: lasting(v) for k, v in value.items() if k != "provenance" and not k.endswith("_seconds")}
    return [lasting(entry) for entry in value] if isinstance(value, list) else value


def test_every_network_becomes_a_detector_and_arms_are_paired(finished: Finished, boxes: Drawn, out: Path) -> None:
    told: list[str] = []
    content = run_transfer(
        finished.study, out, settings(boxes), prune_after=True, command="regrow detect ...", tell=told.append
    )
    assert json.loads((out / "shapes" / "detection" / "detection.json").read_text()) == content
    arms = [(row["arm"], row["paper"], row["seed"], row["epochs"]) for row in content["rows"]]
    assert arms == [
        ("dense", None, 0, 1), ("dense", None, 1, 1),
        ("fine-tune", "Prune-C", 0, 1), ("fine-tune", "Prune-C", 1, 1),
        ("prune-after", "Prune-D", 0, 2), ("prune-after", "Prune-D", 1, 2),
        ("scratch-e", "Scratch-E", 0, 1), ("scratch-e", "Scratch-E", 1, 1),
    ]  # fmt: skip
    sizes = {(row["arm"], row["backbone_macs"], row["backbone_params"]) for row in content["rows"]}
    assert len(sizes) == 4  # one size an arm, whatever the seed
    by_arm = {arm: (macs, params) for arm, macs, params in sizes}
    assert by_arm["fine-tune"] == by_arm["scratch-e"] == by_arm["prune-after"] < by_arm["dense"]
    assert all(0 <= row[name] <= 100 for row in content["rows"] for name in ("map", "map50", "voc_ap50"))
    assert all(row["lr"] == 0.005 and not row["diverged"] for row in content["rows"])
    pairs = [(pair["a"], pair["b"], pair["n"]) for pair in content["pairs"] if pair["metric"] == "map"]
    assert len(pairs) == 6 and ("fine-tune", "scratch-e", 2) in pairs and all(n == 2 for _, _, n in pairs)
    assert content["data"]["classes"] == ["disc", "rectangle"]
    assert (content["data"]["train"], content["data"]["test"]) == (8, 4)
    assert content["provenance"]["command"] == "regrow detect ..."
    assert {"torchmetrics", "pycocotools", "torchvision"} <= content["provenance"]["versions"].keys()
    assert len(told) == 8 and told[0].startswith("resnet20 l1 50 %, dense, seed 0: epoch 1, loss ")
    assert not list((out / "shapes" / "detection" / "rows").glob("*.safetensors"))  # nobody needs them any more


def test_finished_rows_are_kept_and_a_repetition_gives_the_same_bits(
    finished: Finished, boxes: Drawn, out: Path
) -> None:
    told: list[str] = []
    study, arms = load_study(finished.file, ["seeds=[0]"]), ["fine-tune", "dense"]
    first = run_transfer(study, out, settings(boxes), arms=arms, tell=told.append)
    assert len(told) == 2
    lost, kept = sorted((out / "shapes" / "detection" / "rows").glob("*.json"))
    before = kept.read_bytes()
    lost.write_text(lost.read_text()[:100])  # as a disk that was full may leave it
    again = run_transfer(study, out, settings(boxes), arms=arms, tell=told.append)
    assert len(told) == 3
    assert kept.read_bytes() == before
    assert lasting(again) == lasting(first)
    run_transfer(study, out, settings(boxes, lr=0.001), arms=["fine-tune"], tell=told.append)
    assert len(told) == 4  # another recipe is another row


def test_pruning_after_needs_no_dense_row_and_the_same_bits_come_from_kept_weights(
    finished: Finished, boxes: Drawn, out: Path
) -> None:
    study = load_study(finished.file, ["seeds=[1]"])
    alone = run_transfer(study, out, settings(boxes), arms=["scratch-e"], prune_after=True)
    assert [row["arm"] for row in alone["rows"]] == ["prune-after", "scratch-e"]
    shutil.rmtree(out / "shapes" / "detection")
    both = run_transfer(study, out, settings(boxes), arms=["dense"], prune_after=True)
    one, other = (next(row for row in content["rows"] if row["arm"] == "prune-after") for content in (alone, both))
    assert lasting(one) == lasting(other)


def test_comparisons_that_share_a_network_train_it_once_and_each_has_its_row(
    finished: Finished, boxes: Drawn, out: Path
) -> None:
    both = finish(finished.file, out, "seeds=[0]", 'prune.method=["l1", "l2"]')
    told: list[str] = []
    content = run_transfer(both.study, out, settings(boxes), arms=["scratch-e"], prune_after=True, tell=told.append)
    arms = [(row["method"], row["arm"]) for row in content["rows"]]
    assert arms == [(method, arm) for method in ("l1", "l2") for arm in ("prune-after", "scratch-e")]
    assert len(told) == 4  # the shared scratch-e, the dense network, and two that are pruned from it
    assert {(pair["method"], pair["a"], pair["b"]) for pair in content["pairs"]} == {
        (method, "prune-after", "scratch-e") for method in ("l1", "l2")
    }


def test_a_loss_that_becomes_infinite_is_a_row_without_numbers(finished: Finished, boxes: Drawn, out: Path) -> None:
    study = load_study(finished.file, ["seeds=[0]"])
    content = run_transfer(study, out, settings(boxes, lr=100.0, epochs=3), arms=["fine-tune"])
    (row,) = content["rows"]
    assert row["diverged"] and row["map"] is None and row["backbone_macs"] is None
    assert content["pairs"] == content["arms"] == []
    assert content["problems"] == [f"fine-tune, seed 0: {row['message']}"]


def test_a_folder_that_is_not_there_is_told_before_anything(finished: Finished, boxes: Drawn, out: Path) -> None:
    wrong = settings(boxes).model_copy(update={"root": out / "nowhere"})
    with pytest.raises(ConfigError, match="--root: there is no folder"):
        run_transfer(finished.study, out, wrong)


def test_what_cannot_be_pruned_after_is_told_before_anything_is_trained(
    finished: Finished, boxes: Drawn, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(pruning: object) -> None:
        raise PruningError("not this one")

    monkeypatch.setattr("regrow.detection.transfer.check_pruning", refuse)
    with pytest.raises(PruningError, match="not this one"):
        run_transfer(finished.study, out, settings(boxes), prune_after=True)
    assert not (out / "shapes" / "detection").exists()


def test_a_network_of_ones_own_is_carved_transferred_and_pruned_after(boxes: Drawn, tmp_path: Path) -> None:
    write_nets(tmp_path)
    file = write_study(tmp_path, seeds=1, epochs=1, count=8, network="nets:build")
    file.write_text(file.read_text().replace("width = 0.25", "options = { width = 4 }"))
    path = list(sys.path)
    try:
        own = finish(file, tmp_path / "out")
        content = run_transfer(own.study, own.out, settings(boxes, image_size=32), prune_after=True)
    finally:
        sys.path[:] = path
        sys.modules.pop("nets", None)
    levels = {row["arm"]: [(one["stride"], one["channels"]) for one in row["levels"]] for row in content["rows"]}
    assert levels["fine-tune"] == levels["scratch-e"] == levels["prune-after"]
    assert [stride for stride, _ in levels["dense"]] == [stride for stride, _ in levels["prune-after"]]
    assert [wide // 2 for _, wide in levels["dense"]] == [narrow for _, narrow in levels["prune-after"]]
    assert all(row["map"] is not None for row in content["rows"])
