"""Average precision of boxes, through torchmetrics and pycocotools. The only door to both.

    map         COCO: mean over classes, over ten overlaps (IoU 0.50, 0.55, ..., 0.95) and 101 recalls of the highest precision at
                that recall or beyond
    map50       the same at IoU 0.50 alone
    voc_ap50    VOC 2007: IoU 0.50, 11 recalls (0, 0.1, ..., 1)

All in percent. At most 100 boxes an image count, the best scored. Objects that are marked difficult or as crowds, and boxes found on
them, count neither as found nor as missed.

Source: Lin et al. 2014, arXiv:1405.0312; Everingham et al. 2010, https://doi.org/10.1007/s11263-009-0275-4
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final

import torch
from torch import Tensor, nn

from regrow.detection.batches import Target, read_scene
from regrow.detection.scenes import Scene
from regrow.errors import MissingExtraError

METRICS: Final = ("map", "map50", "voc_ap50")
"""What is measured, in percent; higher is better."""

_RECALLS: Final = [tenth / 10 for tenth in range(11)]


def require_metrics() -> None:
    """Raise `MissingExtraError` where the optional dependencies are not installed."""
    if not (find_spec("torchmetrics") and find_spec("pycocotools")):
        raise MissingExtraError("regrow detect", "detection")


def average_precision(found: Sequence[Mapping[str, Tensor]], true: Sequence[Target]) -> dict[str, float]:
    """The metrics of detections (`boxes`, `scores`, `labels` for each image) against what is there."""
    from torchmetrics.detection import MeanAveragePrecision

    coco, voc = (
        MeanAveragePrecision(backend="pycocotools"),
        MeanAveragePrecision(backend="pycocotools", iou_thresholds=[0.5], rec_thresholds=_RECALLS),
    )
    values: list[dict[str, Any]] = []
    for metric in (coco, voc):
        metric.warn_on_many_detections = False
        metric.update([dict(one) for one in found], [dict(one) for one in true])
        values.append(metric.compute())
    numbers = (values[0]["map"], values[0]["map_50"], values[1]["map"])
    return {name: 100 * float(value) for name, value in zip(METRICS, numbers, strict=True)}


def measure_detector(detector: nn.Module, scenes: Sequence[Scene], image_channels: int) -> dict[str, float]:
    """The metrics of a trained detector on the test images, each seen once, and `test_seconds`."""
    clock = time.perf_counter()
    device = next(detector.parameters()).device
    detector.eval()
    found, true = [], []
    with torch.no_grad():
        for scene in scenes:
            image, target = read_scene(scene, image_channels)
            (boxes,) = detector([image.to(device)])
            found.append({key: tensor.cpu() for key, tensor in boxes.items()})
            true.append(target)
    return {**average_precision(found, true), "test_seconds": time.perf_counter() - clock}
