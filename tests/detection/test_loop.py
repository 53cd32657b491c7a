"""The training of a detector."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from regrow.detection.coco import read_coco
from regrow.detection.detector import build_detector
from regrow.detection.loop import lr_at, train_detector
from regrow.detection.scenes import Scene
from regrow.detection.settings import DetectionSettings
from regrow.errors import DivergenceError
from tests.detection.conftest import Drawn
from tests.detection.networks import zoo
from tests.detection.test_detector import IMAGES

SHORT = DetectionSettings(root=Path("unused"), format="coco", image_size=64, channels=4, regions=8, batch=2, epochs=1, lr=0.01)  # fmt: skip


def test_the_learning_rate_warms_up_and_drops_twice() -> None:
    steps = 100
    assert lr_at(0, steps, 12, 2.0) == pytest.approx(0.002)
    assert lr_at(50, steps, 12, 2.0) == pytest.approx(2.0 * (0.001 + 0.999 * 0.5))
    assert [lr_at(epoch * steps, steps, 12, 2.0) for epoch in (1, 7, 8, 10, 11)] == pytest.approx(
        [2, 2, 0.2, 0.2, 0.02]
    )


def test_the_warm_up_takes_no_more_than_a_thousand_steps() -> None:
    assert lr_at(999, 5000, 12, 1.0) < 1.0
    assert lr_at(1000, 5000, 12, 1.0) == 1.0


def scenes(boxes: Drawn, count: int) -> tuple[Scene, ...]:
    return read_coco(boxes.coco).train[:count]


def detector(seed: int = 0) -> nn.Module:
    return build_detector(zoo("resnet20"), IMAGES, 2, SHORT, seed)


def test_the_same_seed_gives_the_same_bits_whatever_was_drawn_before(boxes: Drawn) -> None:
    found = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        one = detector()
        loss = train_detector(one, scenes(boxes, 4), SHORT, seed=0, image_channels=3)
        found.append((loss, one.state_dict()))
    assert found[0][0] == found[1][0]
    assert all(torch.equal(found[0][1][name], found[1][1][name]) for name in found[0][1])


def test_it_tells_every_epoch_and_learns(boxes: Drawn) -> None:
    told: list[tuple[int, float]] = []
    one, longer = detector(), SHORT.model_copy(update={"epochs": 4, "lr": 0.02})
    before = {name: tensor.clone() for name, tensor in one.state_dict().items()}
    last = train_detector(
        one, scenes(boxes, 4), longer, seed=0, image_channels=3, on_epoch=lambda *row: told.append(row)
    )
    assert [epoch for epoch, _ in told] == [1, 2, 3, 4]
    assert told[-1][1] == last < told[0][1]
    after = one.state_dict()
    for part in (
        "backbone.trunk.network.stem.conv",
        "backbone.pyramid.inner_blocks.0.0",
        "rpn.head.conv.0.0",
        "roi_heads.box_head.fc6",
    ):
        assert not torch.equal(before[f"{part}.weight"], after[f"{part}.weight"]), part


def test_the_stream_is_read_from_the_epoch_that_is_given(boxes: Drawn) -> None:
    first, later = (
        train_detector(detector(), scenes(boxes, 4), SHORT, seed=0, image_channels=3, first_epoch=epoch)
        for epoch in (0, 1)
    )
    assert first != later


def test_a_loss_that_is_not_finite_ends_the_training(boxes: Drawn) -> None:
    one = detector()
    with torch.no_grad():
        one.get_parameter("roi_heads.box_predictor.cls_score.bias").fill_(float("nan"))
    with pytest.raises(DivergenceError, match=r"the detector's loss became nan in epoch 1. Give a lower --lr"):
        train_detector(one, scenes(boxes, 2), SHORT, seed=0, image_channels=3)
