"""PASCAL VOC's folders and XML files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from regrow.detection import voc
from regrow.detection.coco import read_coco
from regrow.detection.voc import parse_xml, read_voc
from regrow.errors import DataError
from tests.detection.conftest import Drawn
from tests.detection.drawn import draw

FILE = "Annotations/shape000.xml"


@pytest.fixture
def root(boxes: Drawn, tmp_path: Path) -> Path:
    return Path(shutil.copytree(boxes.voc, tmp_path / "voc"))


def change(root: Path, before: str, after: str, file: str = FILE) -> None:
    text = (root / file).read_text()
    assert before in text
    (root / file).write_text(text.replace(before, after, 1))


def test_the_drawn_boxes_come_back(boxes: Drawn) -> None:
    data, (picture, *_) = read_voc(boxes.voc), draw(1)
    assert data.classes == ("disc", "rectangle")
    assert (len(data.train), len(data.test), data.notes) == (8, 4, ())
    scene = data.train[0]
    assert (scene.name, scene.width, scene.height) == ("shape000", 64, 64)
    assert scene.boxes == tuple(tuple(map(float, box)) for _, box in picture.things)
    assert scene.labels == tuple({"disc": 1, "rectangle": 2}[kind] for kind, _ in picture.things)


def test_both_formats_of_the_same_boxes_are_equal(boxes: Drawn) -> None:
    one, other = read_voc(boxes.voc), read_coco(boxes.coco)
    assert one.classes == other.classes
    assert one.fingerprint == other.fingerprint
    for left, right in zip((*one.train, *one.test), (*other.train, *other.test), strict=True):
        assert (left.name, left.boxes, left.labels, left.ignored) == (
            right.name,
            right.boxes,
            right.labels,
            right.ignored,
        )
        assert left.image.read_bytes() == right.image.read_bytes()


def test_a_test_list_is_tested_on_before_val(root: Path) -> None:
    lists = root / "ImageSets" / "Main"
    shutil.copy(lists / "val.txt", lists / "test.txt")
    shutil.copy(lists / "train.txt", lists / "trainval.txt")
    (lists / "train.txt").write_text("shape000\n")
    data = read_voc(root)
    assert (len(data.train), len(data.test)) == (8, 4)
    (lists / "trainval.txt").unlink()
    assert len(read_voc(root).train) == 1


def test_the_second_column_of_a_list_for_one_class_is_passed_over(root: Path) -> None:
    (root / "ImageSets" / "Main" / "train.txt").write_text("shape000  1\n\nshape001 -1\n")
    assert [scene.name for scene in read_voc(root).train] == ["shape000", "shape001"]


def test_a_difficult_object_is_there_and_does_not_count(root: Path) -> None:
    change(root, "<difficult>0", "<difficult>1")
    assert read_voc(root).train[0].ignored[0] is True


def test_a_box_without_area_is_left_out_and_told(root: Path) -> None:
    text = (root / FILE).read_text()
    change(root, "</annotation>", "<object><name>disc</name><bndbox><xmin>9</xmin><ymin>9</ymin><xmax>8</xmax>"
           "<ymax>20</ymax></bndbox></object></annotation>")  # fmt: skip
    assert (root / FILE).read_text() != text
    data = read_voc(root)
    assert data.notes == ("1 boxes without area were left out",)
    assert len(data.train[0].boxes) == len(draw(1)[0].things)


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        (
            "<width>64",
            "<width>30",
            r"shape000.xml, object 1 \(rectangle\) has the box .* lies outside the image of 30 x 64",
        ),
        ("<name>rectangle</name>", "", "shape000.xml, object 1 has no name"),
        ("<xmax>59", "<xmax>wide", r"object 1 \(rectangle\): bndbox / xmax must be a number of pixels; found 'wide'"),
        ("<height>64</height>", "", "size / height must be a number of pixels; found ''"),
        ("</annotation>", "", "cannot be read as XML"),
        (
            "<annotation>",
            '<!DOCTYPE annotation [<!ENTITY a "b">]><annotation>',
            "declares the document type 'annotation'",
        ),
    ],
)
def test_a_wrong_annotation_is_told_with_file_and_object(root: Path, before: str, after: str, rule: str) -> None:
    change(root, before, after)
    with pytest.raises(DataError, match=rule):
        read_voc(root)


def test_entities_never_unfold(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;&x;">]><annotation>&y;</annotation>'
    outside = '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>'
    for text, encoding in ((bomb, "utf-8"), (outside, "utf-8"), (bomb, "utf-16")):
        (tmp_path / "a.xml").write_bytes(text.encode(encoding))
        with pytest.raises(DataError, match="declares the document type"):
            parse_xml(tmp_path / "a.xml")


def test_a_file_that_no_annotation_can_be_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voc, "LARGEST_FILE", 10)
    (tmp_path / "a.xml").write_text("<annotation></annotation>")
    with pytest.raises(DataError, match="more than 10 bytes"):
        parse_xml(tmp_path / "a.xml")


def test_a_class_that_training_lacks_is_unknown(root: Path) -> None:
    change(root, "<name>", "<name>big ", "Annotations/shape008.xml")
    with pytest.raises(
        DataError, match=r"shape008.xml, object 1 \(big .*, which the training images do not have. Did you mean"
    ):
        read_voc(root)


def test_a_missing_image_and_a_missing_annotation_are_named(root: Path) -> None:
    (root / "JPEGImages" / "shape003.png").unlink()
    with pytest.raises(DataError, match=r"shape003.xml names 'shape003.jpg', and there is no file"):
        read_voc(root)
    (root / FILE).unlink()
    with pytest.raises(DataError, match=r"train.txt names 'shape000.xml', and there is no file"):
        read_voc(root)


def test_folders_without_lists_are_told_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must hold trainval.txt \(or train.txt\) and test.txt"):
        read_voc(tmp_path)
