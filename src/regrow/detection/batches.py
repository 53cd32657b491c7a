"""Batches of scenes: read when they are needed, in an order and with mirroring that follow from (seed, epoch) alone.

Every arm of a seed sees the same images, mirrored alike, in the same batches. An epoch of N images is cut into ceil(N / batch) batches
that differ by at most one image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from regrow.data.pixels import open_image
from regrow.data.stream import steps
from regrow.detection.scenes import Scene
from regrow.errors import DataError
from regrow.randomness import generator

Target: TypeAlias = dict[str, Tensor]
"""`boxes` float32 [n, 4] in pixels, `labels` int64 [n] from 1; for tests also `iscrowd` int64 [n]."""

Batch: TypeAlias = tuple[list[Tensor], list[Target]]


def training_batches(
    scenes: Sequence[Scene], batch: int, seed: int, epoch: int, image_channels: int, device: torch.device
) -> Iterator[Batch]:
    """The batches of an epoch, counted from 0. Objects that do not count are left out."""
    order_N = torch.randperm(len(scenes), generator=generator(seed, "detection order", epoch))
    mirrored_N = torch.randint(2, (len(scenes),), generator=generator(seed, "detection mirror", epoch)).bool()
    for indices in order_N.tensor_split(steps(len(scenes), batch)):
        pairs = [_trained_on(scenes[i], bool(mirrored_N[i]), image_channels) for i in indices.tolist()]
        images = [image.to(device) for image, _ in pairs]
        yield images, [{key: tensor.to(device) for key, tensor in target.items()} for _, target in pairs]


def _trained_on(scene: Scene, mirror: bool, image_channels: int) -> tuple[Tensor, Target]:
    image, whole = read_scene(scene, image_channels)
    counted = whole["iscrowd"] == 0
    target = {"boxes": whole["boxes"][counted], "labels": whole["labels"][counted]}
    return mirrored(image, target) if mirror else (image, target)


def mirrored(image: Tensor, target: Target) -> tuple[Tensor, Target]:
    """Left and right exchanged."""
    left, top, right, bottom = target["boxes"].unbind(1)
    width = image.shape[-1]
    return image.flip(-1), {**target, "boxes": torch.stack((width - right, top, width - left, bottom), 1)}


def read_scene(scene: Scene, image_channels: int) -> tuple[Tensor, Target]:
    """The image, float32 [C, H, W] of 0..1, and all its objects. Raises `DataError` where its size is not the declared one."""
    image = open_image(scene.image, image_channels, str(scene.image))
    if image.size != (scene.width, scene.height):
        raise DataError(
            f"{scene.image} has {image.width} x {image.height} pixels, and its annotation says {scene.width} x {scene.height}, so its "
            "boxes mean other places. Correct the annotation, or put the image there that it was made for."
        )
    pixels = np.array(image, dtype=np.uint8).reshape(scene.height, scene.width, image_channels)
    target = {
        "boxes": torch.tensor(scene.boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(scene.labels, dtype=torch.int64),
        "iscrowd": torch.tensor(scene.ignored, dtype=torch.int64),
    }
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255, target
