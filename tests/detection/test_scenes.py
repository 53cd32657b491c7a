"""What holds for images with boxes in every format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from regrow.detection.scenes import Box, Raw, Thing, box_data, check_known, checked_box, path_inside
from regrow.errors import DataError


def where() -> str:
    return "a.xml, object 2"


def raw(path: Path, *things: Thing) -> Raw:
    path.write_bytes(b"x")
    return Raw(path, path.stem, 20, 10, things)


DOG = Thing("dog", (1.0, 1.0, 5.0, 5.0))
CAT = Thing("cat", (2.0, 2.0, 6.0, 6.0))


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        ((0, 0, 20, 10), (0, 0, 20, 10)),
        ((-0.5, 0, 20.75, 10), (0, 0, 20, 10)),
        ((3, 3, 3, 9), None),
        ((19.5, 0, 20, 10), (19.5, 0, 20, 10)),
    ],
)
def test_a_box_is_cut_to_its_image_and_left_out_without_area(box: Box, inside: Box | None) -> None:
    assert checked_box(box, 20, 10, where) == inside


@pytest.mark.parametrize(
    ("box", "rule"),
    [
        ((0, 0, 22, 10), "lies outside the image of 20 x 10 pixels"),
        ((-2, 0, 5, 5), "lies outside"),
        ((5, 0, 3, 5), "whose right or bottom edge lies before"),
        ((0, float("nan"), 3, 5), "whose right or bottom edge"),
    ],
)
def test_a_box_that_cannot_be_names_its_object(box: Box, rule: str) -> None:
    with pytest.raises(DataError, match=rule) as caught:
        checked_box(box, 20, 10, where)
    assert str(caught.value).startswith("a.xml, object 2 has the box (")


def test_classes_are_numbered_by_name_from_1(tmp_path: Path) -> None:
    data = box_data([raw(tmp_path / "a", DOG, CAT)], [raw(tmp_path / "b", DOG)], ["dog", "cat"], ["a note"])
    assert data.classes == ("cat", "dog")
    assert (data.train[0].labels, data.test[0].labels) == ((2, 1), (2,))
    assert data.train[0].boxes == (DOG.box, CAT.box)
    assert data.notes == ("a note",)


def test_the_fingerprint_changes_with_boxes_files_and_classes_and_not_with_the_folder(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()

    def fingerprint(folder: Path, *things: Thing, classes: Sequence[str] = ("cat", "dog")) -> str:
        return box_data([raw(folder / "a", *things)], [raw(folder / "b", DOG)], classes, []).fingerprint

    plain = fingerprint(tmp_path, DOG)
    assert plain == fingerprint(tmp_path / "other", DOG)
    assert len({plain, fingerprint(tmp_path, DOG, CAT), fingerprint(tmp_path, DOG, classes=["dog"])}) == 3
    data = box_data([raw(tmp_path / "a", DOG)], [raw(tmp_path / "b", DOG)], ["cat", "dog"], [])
    (tmp_path / "a").write_bytes(b"longer")
    assert data.fingerprint != plain


def test_an_image_may_not_be_trained_on_and_tested_on(tmp_path: Path) -> None:
    one = raw(tmp_path / "a", DOG)
    with pytest.raises(DataError, match="is a training image and a test image"):
        box_data([one], [one], ["dog"], [])


def test_an_image_counts_once(tmp_path: Path) -> None:
    one = raw(tmp_path / "a", DOG)
    with pytest.raises(DataError, match="is listed twice among the test images"):
        box_data([raw(tmp_path / "b", DOG)], [one, one], ["dog"], [])


def test_images_without_objects_may_stand_among_others_but_not_alone(tmp_path: Path) -> None:
    full, empty, more = raw(tmp_path / "a", DOG), raw(tmp_path / "b"), raw(tmp_path / "c", DOG)
    assert box_data([full, empty], [more], ["dog"], []).train[1].boxes == ()
    with pytest.raises(DataError, match="none of the 1 test images has an object"):
        box_data([full], [empty], ["dog"], [])
    ignored = raw(tmp_path / "d", Thing("dog", DOG.box, ignored=True))
    with pytest.raises(DataError, match="none of the 1 training images has an object"):
        box_data([ignored], [full], ["dog"], [])
    with pytest.raises(DataError, match="no test images"):
        box_data([full], [], ["dog"], [])


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/passwd", "a/../../b.jpg", "", "a\\b.jpg"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="a path inside"):
        path_inside(tmp_path, name, "list.json")


def test_a_missing_file_is_named_with_its_way_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"list.json names 'b.jpg', and there is no file .*b.jpg. Add it, or take"):
        path_inside(tmp_path, "b.jpg", "list.json")


def test_an_unknown_class_is_told_with_the_nearest_one() -> None:
    with pytest.raises(DataError, match=r"object 2 is of the class 'dgo'.*Did you mean 'dog'"):
        check_known("dgo", ["cat", "dog"], where)
