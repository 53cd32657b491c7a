"""The command `regrow detect`, on a study that was really run and on boxes that the tests draw."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.commands.shell import called, environment
from tests.detection.conftest import finish, small_study
from tests.detection.drawn import draw, write_coco, write_study, write_voc

SHORT = ("--epochs", "1", "--batch", "4", "--image-size", "64", "--channels", "4", "--regions", "8")


@pytest.fixture(autouse=True)
def _process_as_it_was() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    torch.set_flush_denormal(False)


@dataclass(frozen=True)
class Done:
    """A study with a store of its own, and the folder of both formats of the same boxes."""

    file: Path
    out: Path
    boxes: Path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder, pictures = tmp_path_factory.mktemp("detect"), draw(6)
    write_voc(folder / "voc", pictures[:4], pictures[4:])
    write_coco(folder / "coco", pictures[:4], pictures[4:])
    run = small_study(tmp_path_factory.getbasetemp())
    return Done(run.file, Path(shutil.copytree(run.out, folder / "out")), folder)


def detect(done: Done, *options: str, form: str = "voc") -> Any:
    root = str(done.boxes / form)
    return called("detect", str(done.file), "--root", root, "--format", form, "--out", str(done.out), *SHORT, *options)


def test_arms_and_their_differences_are_told_to_people(done: Done) -> None:
    told = detect(done, "--prune-after", "--set", "seeds=[1]")
    assert told.code == 0, told.err
    assert told.out.startswith("resnet20 x0.25, l1, 50 %")
    lines = told.out.splitlines()
    assert any("fine-tune" in line and "Prune-C" in line for line in lines)
    assert any("prune-after" in line and "Prune-D" in line for line in lines)
    assert any(line.startswith("fine-tune - scratch-e") for line in lines)
    assert "4 training images, 2 test images, 2 classes. Nothing was chosen" in told.out
    assert "prune-after, seed 1: epoch 2, loss " in told.err
    assert told.err.strip().endswith("detection.json")


def test_both_formats_give_the_same_numbers_to_programs(done: Done) -> None:
    first, again = (
        json.loads(detect(done, "--arms", "fine-tune,scratch-e", "--quiet", "--json", form=form).out)
        for form in ("voc", "coco")
    )
    assert first["rows"] == again["rows"]  # found by content, so nothing is trained twice, seconds included
    assert [row["arm"] for row in first["rows"]] == ["fine-tune", "fine-tune", "scratch-e", "scratch-e"]
    assert "--arms fine-tune,scratch-e" in first["provenance"]["command"]
    assert "--image-size 64" in first["provenance"]["command"]


def test_the_command_that_goes_on_names_what_changes_the_study(done: Done) -> None:
    told = detect(done, "--set", "seeds=[1]", "--arms", "fine-tune", "--quiet", "--json")
    content = json.loads(told.out)
    assert content["provenance"]["command"].endswith(f"--out {done.out} --set 'seeds=[1]'")
    assert [row["seed"] for row in content["rows"]] == [1]
    assert content["pairs"] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format", "yolo"), "no format of boxes is called 'yolo'"),
        (("--arms", "scratch-b"), "Did you mean 'scratch-e'"),
        (("--epochs", "0"), "detect: epochs: Input should be greater than or equal to 1; found 0"),
        (("--lr", "0"), "detect: lr: "),
        (("--root", "nowhere"), "--root: there is no folder nowhere"),
        (("--out", "nowhere"), "Finish it first with `regrow run`"),
    ],
)
def test_wrong_input_is_told_without_a_traceback(
    done: Done, options: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = detect(done, *options)
    assert (told.code, told.out) == (2, "")
    assert message in told.err.replace("\n", " ")


def test_wrong_boxes_are_an_error_of_the_data(done: Done, tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc", draw(2)[:1], draw(2)[1:])
    (root / "JPEGImages" / "shape000.png").unlink()
    told = detect(done, "--root", str(root))
    assert (told.code, told.out) == (1, "")
    assert "shape000.xml names 'shape000.jpg', and there is no file" in told.err


def test_help_says_what_is_taken_unless_given() -> None:
    text = " ".join(called("detect", "--help").out.split())
    assert "600 unless given" in text and "--prune-after" in text


@pytest.mark.skipif(os.name != "posix", reason="sends a signal that only POSIX systems have")
def test_killed_in_between_it_goes_on_with_the_first_detector_that_is_not_finished(done: Done) -> None:
    rows = done.out / "shapes" / "detection" / "rows"
    recipe = ["--lr", "0.003", "--arms", "fine-tune,scratch-e", "--quiet", "--json", "--out", str(done.out), *SHORT]
    command = [sys.executable, "-m", "regrow", "detect", str(done.file), "--root", str(done.boxes / "voc")]
    before = set(rows.glob("*.json"))
    with subprocess.Popen(
        [*command, "--format", "voc", *recipe],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 120
        while not (set(rows.glob("*.json")) - before):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
    kept = {path: path.stat().st_mtime_ns for path in set(rows.glob("*.json")) - before}
    assert 1 <= len(kept) < 4
    content = json.loads(detect(done, "--lr", "0.003", "--arms", "fine-tune,scratch-e", "--json").out)
    assert len(content["rows"]) == 4
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(list(rows.glob("*.json"))) == len(before) + 4


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_detectors_learn_to_find_discs_and_rectangles(tmp_path: Path) -> None:
    pictures = draw(60)
    root = write_coco(tmp_path / "coco", pictures[:40], pictures[40:])
    done = finish(write_study(tmp_path, width=0.5, epochs=20, count=60, seeds=1), tmp_path / "out")
    told = called(
        "detect", str(done.file), "--root", str(root), "--format", "coco", "--out", str(done.out), "--prune-after", "--json",
        "--epochs", "8", "--batch", "4", "--image-size", "64", "--channels", "32", "--regions", "64",
    )  # fmt: skip
    found = {row["arm"]: (row["map"], row["map50"], row["voc_ap50"]) for row in json.loads(told.out)["rows"]}
    print(found, file=sys.stderr)  # noqa: T201 - the figures of a run by hand
    assert set(found) == {"dense", "fine-tune", "prune-after", "scratch-e"}
    # A detector that has learnt nothing finds less than 1 % here (see `map` after one epoch of the short runs above).
    assert all(average > 30 and at_half > 60 for average, at_half, _ in found.values())
