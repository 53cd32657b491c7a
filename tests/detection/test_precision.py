"""Average precision of detections that were made by hand, against values that were worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from regrow.detection import precision
from regrow.detection.coco import read_coco
from regrow.detection.precision import average_precision, measure_detector, require_metrics
from regrow.errors import MissingExtraError
from tests.detection.conftest import Drawn

Box = tuple[float, float, float, float]
PLACES: tuple[Box, ...] = ((0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10), (60, 0, 70, 10))


def true(*boxes: Box, labels: tuple[int, ...] = (), ignored: tuple[int, ...] = ()) -> dict[str, Tensor]:
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels or (1,) * len(boxes)),
        "iscrowd": torch.tensor(ignored or (0,) * len(boxes)),
    }


def found(*scored: tuple[Box, float], labels: tuple[int, ...] = ()) -> dict[str, Tensor]:
    return {
        "boxes": torch.tensor([box for box, _ in scored], dtype=torch.float32).reshape(-1, 4),
        "scores": torch.tensor([score for _, score in scored]),
        "labels": torch.tensor(labels or (1,) * len(scored), dtype=torch.int64),
    }


def test_perfect_boxes_score_100() -> None:
    result = average_precision([found((PLACES[0], 0.9), (PLACES[1], 0.8))], [true(*PLACES[:2])])
    assert result == pytest.approx({"map": 100, "map50": 100, "voc_ap50": 100})


def test_a_false_box_between_two_right_ones() -> None:
    # Two objects. By score: right (precision 1, recall 1/2), wrong, right (precision 2/3, recall 1).
    # COCO: recalls 0, 0.01, ..., 0.50 see 1 (51 of them), 0.51 ... 1 see 2/3 (50). VOC: 0 ... 0.5 see 1 (6), 0.6 ... 1 see 2/3 (5).
    detections = found((PLACES[0], 0.9), ((0, 50, 9, 59), 0.8), (PLACES[1], 0.7))
    result = average_precision([detections], [true(*PLACES[:2])])
    assert result["map50"] == pytest.approx(100 * (51 + 50 * 2 / 3) / 101)
    assert result["map"] == pytest.approx(100 * (51 + 50 * 2 / 3) / 101)
    assert result["voc_ap50"] == pytest.approx(100 * (6 + 5 * 2 / 3) / 11)


def test_an_object_that_was_missed_bounds_the_recall() -> None:
    # One of four: precision 1 up to recall 1/4. COCO: 26 of 101 recalls; VOC: 0, 0.1, 0.2.
    result = average_precision([found((PLACES[0], 0.9))], [true(*PLACES)])
    assert result["map50"] == pytest.approx(100 * 26 / 101)
    assert result["voc_ap50"] == pytest.approx(100 * 3 / 11)


def test_a_box_that_overlaps_by_seven_tenths_counts_at_five_of_ten_thresholds() -> None:
    # Overlap 72 / 100: right at IoU 0.50, 0.55, 0.60, 0.65, 0.70, wrong from 0.75 on.
    result = average_precision([found(((0, 0, 10, 7.2), 0.9))], [true(PLACES[0])])
    assert result == pytest.approx({"map": 50, "map50": 100, "voc_ap50": 100})


def test_classes_count_alike_and_a_right_place_of_a_wrong_class_is_wrong() -> None:
    detections = found((PLACES[0], 0.9), (PLACES[1], 0.9), (PLACES[2], 0.9), labels=(1, 1, 1))
    result = average_precision([detections], [true(*PLACES[:3], labels=(1, 1, 2))])
    assert result["map50"] == pytest.approx((100 + 0) / 2)


def test_scores_are_ranked_over_all_images() -> None:
    # The second image's false box has the highest score of all: precision is 1/2 at recall 1/2, 2/3 at recall 1.
    detections = [found((PLACES[0], 0.8)), found(((0, 50, 9, 59), 0.9), (PLACES[1], 0.7))]
    result = average_precision(detections, [true(PLACES[0]), true(PLACES[1])])
    assert result["map50"] == pytest.approx(100 * 2 / 3)


def test_an_ignored_object_counts_neither_found_nor_missed() -> None:
    truth = true(*PLACES[:2], ignored=(0, 1))
    without, on_it = found((PLACES[0], 0.8)), found((PLACES[1], 0.9), (PLACES[0], 0.8))
    for detections in (without, on_it):
        assert average_precision([detections], [truth])["map50"] == pytest.approx(100)


def test_nothing_found_scores_0() -> None:
    assert average_precision([found()], [true(PLACES[0])]) == {"map": 0, "map50": 0, "voc_ap50": 0}


class Knows(nn.Module):
    """A detector that was told the answers, in the order of the images."""

    def __init__(self, answers: list[dict[str, Tensor]]) -> None:
        super().__init__()
        self.unused, self.answers = nn.Parameter(torch.zeros(1)), answers

    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        assert not self.training and not torch.is_grad_enabled() and images[0].shape == (3, 64, 64)
        return [self.answers.pop(0)]


def test_a_detector_is_tested_on_every_image_once(boxes: Drawn) -> None:
    scenes = read_coco(boxes.coco).test
    answers = [found(*((box, 0.9) for box in scene.boxes), labels=scene.labels) for scene in scenes]
    knows = Knows(answers)
    result = measure_detector(knows.train(), scenes, 3)
    assert knows.answers == []
    assert result.pop("test_seconds") > 0
    assert result == pytest.approx({"map": 100, "map50": 100, "voc_ap50": 100})


def test_a_missing_extra_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    require_metrics()
    monkeypatch.setattr(precision, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r'pip install "regrow\[detection\]"'):
        require_metrics()
