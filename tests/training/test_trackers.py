"""Metrics: a line an epoch, and trackers that say how to install them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from regrow.errors import MissingExtraError, UnknownNameError
from regrow.training.trackers import TRACKERS, MetricsFile, open_tracker

PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow"}


def test_every_epoch_is_one_line_that_is_on_disk_at_once(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl", [])
    file.add({"epoch": 1, "validation_loss": None})
    assert (tmp_path / "metrics.jsonl").read_text() == '{"epoch":1,"validation_loss":null}\n'
    file.close()


def test_a_resumed_file_begins_with_the_history_and_forgets_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"epoch": 1}\n{"epoch": 2}\n{"epo')
    file = MetricsFile(path, [{"epoch": 1}])
    file.add({"epoch": 2, "lr": 0.1})
    file.close()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"epoch": 1}, {"epoch": 2, "lr": 0.1}]


def test_every_tracker_has_its_package_here() -> None:
    assert PACKAGES.keys() == TRACKERS.keys()


@pytest.mark.parametrize(("name", "package"), PACKAGES.items())
def test_a_tracker_that_is_not_installed_says_what_to_type(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf'pip install "regrow\[{name}\]"'):
        open_tracker(name, tmp_path, "a run")


def test_an_unknown_tracker_is_answered(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'tensorboard'"):
        open_tracker("tensorbord", tmp_path, "a run")
