from __future__ import annotations

from pathlib import Path

import pytest

from regrow.data.datasets import facts
from regrow.data.folder import folder, imagenet
from regrow.data.settings import DataSettings
from regrow.data.source import Files
from regrow.errors import DataError
from tests.data.samples import image_root, image_settings


def read(settings: DataSettings) -> tuple[Files, Files | None]:
    source = folder(settings, facts(settings))
    assert isinstance(source.train, Files)
    assert source.test is None or isinstance(source.test, Files)
    return source.train, source.test


def test_classes_are_numbered_by_name_and_files_sorted(tmp_path: Path) -> None:
    train, test = read(image_settings(image_root(tmp_path, train=2, test=1)))
    assert test is not None
    assert train.paths == ("train/ape/0.png", "train/ape/1.png", "train/bee/0.png", "train/bee/1.png")
    assert train.labels.tolist() == [0, 0, 1, 1]
    assert (test.paths, test.labels.tolist()) == (("val/ape/0.png", "val/bee/0.png"), [0, 1])
    assert train.root == tmp_path.resolve()


def test_the_test_folder_goes_before_val(tmp_path: Path) -> None:
    image_root(tmp_path)
    for name in ("ape", "bee"):
        (tmp_path / "test" / name).mkdir(parents=True)
        (tmp_path / "test" / name / "x.JPEG").touch()
    _, test = read(image_settings(tmp_path))
    assert test is not None
    assert test.paths == ("test/ape/x.JPEG", "test/bee/x.JPEG")


def test_the_test_set_of_imagenet_is_val_whatever_else_lies_there(tmp_path: Path) -> None:
    root = image_root(tmp_path, train=3, test=1)
    (root / "test").mkdir()
    (root / "test" / "ILSVRC2012_test_00000001.JPEG").touch()  # ImageNet's own test images have no labels
    settings = DataSettings(name="imagenet", root=root)
    source = imagenet(settings, facts(settings))
    assert isinstance(source.test, Files) and isinstance(source.train, Files)
    assert source.test.paths == ("val/ape/0.png", "val/bee/0.png")
    assert len(source.train.paths) == 6
    with pytest.raises(DataError, match="test holds no class folders"):
        read(image_settings(root))


def test_imagenet_without_val_is_refused(tmp_path: Path) -> None:
    root = image_root(tmp_path, part="test")
    with pytest.raises(DataError, match="val is not a folder"):
        imagenet(settings := DataSettings(name="imagenet", root=root), facts(settings))


def test_there_may_be_no_test_folder(tmp_path: Path) -> None:
    root = image_root(tmp_path, part="extra")
    assert read(image_settings(root, test=2))[1] is None


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    root = image_root(tmp_path, train=1)
    (root / "train" / "ape" / "notes.txt").touch()
    (root / "train" / ".DS_Store").touch()
    assert read(image_settings(root))[0].paths == ("train/ape/0.png", "train/bee/0.png")


def test_images_are_not_opened(tmp_path: Path) -> None:
    root = image_root(tmp_path, train=1)
    (root / "train" / "ape" / "0.png").write_bytes(b"damaged")
    assert len(read(image_settings(root))[0].paths) == 2


def test_a_missing_training_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train is not a folder.*<class>.*data\.root"):
        read(image_settings(tmp_path))


def test_a_folder_without_classes_is_named(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="train holds no class folders"):
        read(image_settings(tmp_path))


def test_an_empty_class_is_named(tmp_path: Path) -> None:
    root = image_root(tmp_path)
    (root / "train" / "cow").mkdir()
    with pytest.raises(DataError, match="cow holds no images"):
        read(image_settings(root))


def test_a_test_class_that_is_never_trained_is_refused(tmp_path: Path) -> None:
    root = image_root(tmp_path)
    (root / "val" / "apes").mkdir()
    with pytest.raises(DataError, match=r"a class that train has not: 'apes'\. Did you mean 'ape'"):
        read(image_settings(root))
