"""All torchvision detection networks, without trained weights. Boxes below no score are dropped, so that there are some to compare."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torchvision
from benchmarks.exactness.cases import Case, images
from torch import Tensor

SIDE = 128
FIXED = {"ssd300_vgg16": 300, "ssdlite320_mobilenet_v3_large": 320}

RCNN: dict[str, Any] = {
    "box_score_thresh": 0.0,
    "box_detections_per_img": 10,
    "rpn_pre_nms_top_n_test": 60,
    "rpn_post_nms_top_n_test": 20,
    "rpn_post_nms_top_n_train": 20,
    "box_batch_size_per_image": 16,
}
"""Few boxes: what is judged does not depend on how many there are."""


def names() -> tuple[str, ...]:
    """Their names, as torchvision lists them."""
    return tuple(torchvision.models.list_models(module=torchvision.models.detection))


def case(name: str) -> Case:
    """One of them: two images of different sizes, boxes with labels (masks, key points) to train on."""
    side = FIXED.get(name, SIDE)
    more: dict[str, Any] = {} if name in FIXED else {"min_size": side, "max_size": side}
    more |= RCNN if "rcnn" in name else {"score_thresh": 0.0, "detections_per_img": 20}
    build = partial(torchvision.models.get_model, name, weights=None, weights_backbone=None, **more)
    return Case(name, build, partial(pictures, side), partial(lesson, name, side))


def pictures(side: int, seed: int) -> tuple[list[Tensor]]:
    """A list of two images, as detectors take them."""
    wide, high = images((side, side // 2 * 2))(seed), images((side, side - 16))(seed)
    return ([wide[0], high[1]],)


def lesson(name: str, side: int, seed: int) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Images and what is to be seen on them."""
    targets = []
    for image in (pics := pictures(side, seed)[0]):
        height, width = image.shape[-2:]
        boxes = torch.tensor([[4.0, 6.0, width / 2, height / 2], [width / 4, height / 4, width - 5.0, height - 3.0]])
        target = {"boxes": boxes.double(), "labels": torch.tensor([1, 1])}
        if name.startswith("mask"):
            target["masks"] = torch.ones(2, height, width, dtype=torch.uint8)
        if name.startswith("keypoint"):
            middle = boxes.unflatten(1, (2, 2)).mean(1)
            target["keypoints"] = torch.cat([middle, torch.ones(2, 1)], 1)[:, None].expand(2, 17, 3)
        targets.append(target)
    return pics, targets
