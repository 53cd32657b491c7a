"""COCO's folders and JSON files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regrow.detection.coco import read_coco
from regrow.errors import DataError
from tests.detection.conftest import Drawn
from tests.detection.drawn import draw

TRAIN, TEST = "annotations/instances_train2020.json", "annotations/instances_val2020.json"

Content = dict[str, list[dict[str, Any]]]


@pytest.fixture
def root(boxes: Drawn, tmp_path: Path) -> Path:
    return Path(shutil.copytree(boxes.coco, tmp_path / "coco"))


def change(root: Path, how: Callable[[Content], object], file: str = TRAIN) -> None:
    content = json.loads((root / file).read_text())
    how(content)
    (root / file).write_text(json.dumps(content))


def put(content: Content, part: str, **values: Any) -> None:
    content[part][0].update(values)


def test_the_drawn_boxes_come_back(boxes: Drawn) -> None:
    data, (picture, *_) = read_coco(boxes.coco), draw(1)
    assert data.classes == ("disc", "rectangle")
    assert data.train[0].boxes == tuple(tuple(map(float, box)) for _, box in picture.things)
    assert data.train[0].labels == tuple({"disc": 1, "rectangle": 2}[kind] for kind, _ in picture.things)
    assert {scene.ignored for scene in data.test} <= {(False,) * count for count in range(4)}


def test_images_may_lie_in_a_folder_called_images(root: Path) -> None:
    (root / "images").mkdir()
    (root / "val2020").rename(root / "images" / "val2020")
    assert len(read_coco(root).test) == 4


def test_a_test_part_is_tested_on_before_val(root: Path) -> None:
    shutil.copy(root / TEST, root / "annotations" / "instances_test.json")
    shutil.copytree(root / "val2020", root / "test")
    assert read_coco(root).test[0].image == root / "test" / "shape008.png"


def test_a_crowd_is_there_and_does_not_count(root: Path) -> None:
    change(root, lambda content: put(content, "annotations", iscrowd=1))
    assert read_coco(root).train[0].ignored[0] is True


def test_a_category_that_no_training_image_shows_is_no_class(root: Path) -> None:
    change(root, lambda content: content["categories"].append({"id": 90, "name": "toothbrush"}))
    assert read_coco(root).classes == ("disc", "rectangle")


def test_a_box_without_area_is_left_out_and_told(root: Path) -> None:
    change(root, lambda content: put(content, "annotations", bbox=[9.5, 9.5, 4.0, 0.0]))
    data = read_coco(root)
    assert data.notes == ("1 boxes without area were left out",)
    assert len(data.train[0].boxes) == len(draw(1)[0].things) - 1


@pytest.mark.parametrize(
    ("part", "values", "rule"),
    [
        ("annotations", {"bbox": [50, 0, 20, 5]}, r"annotation 0 of image 100 has the box \(50, 0, 70, 5\).* outside the image of 64 x 64"),
        ("annotations", {"bbox": [5, 5, -2, 5]}, "annotation 0 of image 100 has the box"),
        ("annotations", {"bbox": [5, 5, 2]}, r"annotation 0 of image 100: bbox must be \[left, top, width, height\]"),
        ("annotations", {"bbox": [5, 5, 2, "3"]}, "bbox must be"),
        ("annotations", {"category_id": 4}, "category_id is 4, an unknown class. The file's categories are 3, 17"),
        ("annotations", {"image_id": 7}, "annotation 0: image_id is 7, and there is no such image"),
        ("annotations", {"image_id": "a"}, "entry 0: image_id must be a whole number; found 'a'"),
        ("images", {"file_name": "gone.png"}, "image 100 names 'gone.png', and there is no file"),
        ("images", {"file_name": "../val2020/shape008.png"}, "image 100 names .* a path inside"),
        ("images", {"file_name": None}, "image 100: file_name must be a text; found None"),
        ("images", {"width": True}, "entry 100: width must be a whole number; found True"),
        ("categories", {"name": ""}, "category 3: name must be a text"),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_told_with_file_and_object(root: Path, part: str, values: dict[str, Any], rule: str) -> None:
    change(root, lambda content: put(content, part, **values))
    with pytest.raises(DataError, match=rule) as caught:
        read_coco(root)
    assert str(root / TRAIN) in str(caught.value)


def test_a_class_that_training_lacks_is_unknown(root: Path) -> None:
    change(root, lambda content: put(content, "categories", name="rectangel"), TEST)
    with pytest.raises(
        DataError, match=r"instances_val2020.json, annotation .* is of the class 'rectangel'.*Did you mean 'rectangle'"
    ):
        read_coco(root)


@pytest.mark.parametrize(
    ("text", "rule"),
    [("{", "cannot be read as JSON"), ("[]", "images is not a list"), ('{"images": [], "annotations": {}}', "annotations is not"),
     ("[" * 100_000, "cannot be read as JSON")],
)  # fmt: skip
def test_a_file_that_is_not_coco_is_told(root: Path, text: str, rule: str) -> None:
    (root / TRAIN).write_text(text)
    with pytest.raises(DataError, match=rule):
        read_coco(root)


def test_missing_files_and_folders_are_told_what_is_expected(root: Path) -> None:
    shutil.copy(root / TEST, root / "annotations" / "instances_val_b.json")
    with pytest.raises(DataError, match=r"both begin with instances_val"):
        read_coco(root)
    shutil.rmtree(root / "train2020")
    with pytest.raises(DataError, match=r"belongs to the images in .*train2020; there is no such folder"):
        read_coco(root)
    shutil.rmtree(root / "annotations")
    with pytest.raises(DataError, match=r"holds no instances_train\*.json"):
        read_coco(root)
