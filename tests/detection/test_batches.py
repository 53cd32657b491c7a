"""Order, mirroring, and reading."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from regrow.detection.batches import mirrored, read_scene, training_batches
from regrow.detection.coco import read_coco
from regrow.detection.scenes import Scene
from regrow.errors import DataError
from tests.detection.conftest import Drawn
from tests.detection.drawn import draw

CPU = torch.device("cpu")


@pytest.fixture
def scenes(boxes: Drawn) -> tuple[Scene, ...]:
    return read_coco(boxes.coco).train


def epoch(scenes: tuple[Scene, ...], seed: int, number: int, batch: int = 3) -> list[Any]:
    return list(training_batches(scenes, batch, seed, number, 3, CPU))


def same(one: list[Any], other: list[Any]) -> bool:
    pairs = zip(
        [image for images, _ in one for image in images],
        [image for images, _ in other for image in images],
        strict=True,
    )
    return all(torch.equal(left, right) for left, right in pairs)


def test_pixels_are_shares_and_boxes_are_kept(scenes: tuple[Scene, ...]) -> None:
    image, target = read_scene(scenes[0], 3)
    assert torch.equal(image, torch.from_numpy(draw(1)[0].pixels).permute(2, 0, 1) / 255)
    assert target["boxes"].tolist() == [list(box) for box in scenes[0].boxes]
    assert (target["labels"].tolist(), target["iscrowd"].tolist()) == (
        list(scenes[0].labels),
        [0] * len(scenes[0].labels),
    )


def test_a_grey_network_sees_grey_images(scenes: tuple[Scene, ...]) -> None:
    assert read_scene(scenes[0], 1)[0].shape == (1, 64, 64)


def test_mirroring_moves_a_box_with_its_pixels() -> None:
    image = torch.zeros(1, 4, 10)
    image[0, 1:3, 2:5] = 1
    turned, target = mirrored(image, {"boxes": torch.tensor([[2.0, 1.0, 5.0, 3.0]]), "labels": torch.tensor([1])})
    (left, top, right, bottom) = target["boxes"][0].int().tolist()
    assert (left, top, right, bottom) == (5, 1, 8, 3)
    assert turned[0, top:bottom, left:right].all() and turned.sum() == image.sum()


def test_an_epoch_is_every_image_once_in_nearly_equal_batches(scenes: tuple[Scene, ...]) -> None:
    found = epoch(scenes, 0, 0)
    assert [len(images) for images, _ in found] == [3, 3, 2]
    known = {tuple(sorted(map(tuple, read_scene(scene, 3)[1]["boxes"][:, [1, 3]].tolist()))) for scene in scenes}
    seen = [
        tuple(sorted(map(tuple, target["boxes"][:, [1, 3]].tolist()))) for _, targets in found for target in targets
    ]
    assert len(seen) == len(scenes) and set(seen) == known


def test_order_and_mirroring_follow_from_seed_and_epoch_alone(scenes: tuple[Scene, ...]) -> None:
    torch.manual_seed(1)
    one = epoch(scenes, 0, 1)
    torch.manual_seed(2)
    assert same(one, epoch(scenes, 0, 1))
    assert not same(one, epoch(scenes, 0, 2))
    assert not same(one, epoch(scenes, 1, 1))


def test_some_images_are_mirrored_and_some_are_not(scenes: tuple[Scene, ...]) -> None:
    plain = {read_scene(scene, 3)[0].numpy().tobytes() for scene in scenes}
    seen = [image.numpy().tobytes() in plain for images, _ in epoch(scenes, 0, 0) for image in images]
    assert 0 < np.sum(seen) < len(scenes)


def test_objects_that_do_not_count_are_not_trained_on(scenes: tuple[Scene, ...]) -> None:
    nothing = replace(scenes[0], ignored=(True,) * len(scenes[0].boxes))
    ((_, (target,)),) = epoch((nothing,), 0, 0)
    assert target["boxes"].shape == (0, 4) and set(target) == {"boxes", "labels"}


def test_an_image_of_another_size_than_its_annotation_says_is_refused(scenes: tuple[Scene, ...]) -> None:
    with pytest.raises(DataError, match=r"shape000.png has 64 x 64 pixels, and its annotation says 32 x 64"):
        read_scene(replace(scenes[0], width=32), 3)
