"""Settings of a transfer."""

from __future__ import annotations

from pathlib import Path

import pytest

from regrow.detection.settings import DetectionSettings, read_settings
from regrow.errors import ConfigError


def test_what_is_not_given_keeps_its_default() -> None:
    assert read_settings(root=Path("boxes"), format="voc", epochs=None, lr=None) == DetectionSettings(
        root=Path("boxes"), format="voc"
    )


def test_the_learning_rate_follows_the_batch_unless_it_is_given() -> None:
    assert read_settings(root=Path("a"), format="coco", batch=4).peak_lr == 0.005
    assert read_settings(root=Path("a"), format="coco", batch=16).peak_lr == 0.02
    assert read_settings(root=Path("a"), format="coco", batch=4, lr=0.3).peak_lr == 0.3


def test_the_longer_side_is_at_most_five_thirds_of_the_shorter() -> None:
    assert read_settings(root=Path("a"), format="voc").longest_side == 1000


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings(root=Path("a"), format="voc", epochs=0, lr=-1.0, norms="thawed", device="tpu")
    assert {fault.key for fault in caught.value.faults} == {"epochs", "lr", "norms", "device"}
    assert all(fault.where == "detect" and "found" in fault.rule for fault in caught.value.faults)


def test_the_recipe_says_all_but_where_the_boxes_are() -> None:
    recipes = [read_settings(root=Path(root), format=kind).recipe for root, kind in (("a", "voc"), ("b", "coco"))]
    assert recipes[0] == recipes[1]
    assert recipes[0]["lr"] == 0.01
    assert set(DetectionSettings.model_fields) - set(recipes[0]) == {"root", "format"}
