from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regrow.data.datasets import DATASETS, facts
from regrow.data.prepare import prepare
from regrow.data.settings import DataSettings
from regrow.data.source import Labels, Pixels
from regrow.data.split import split
from regrow.errors import ConfigError, DataError
from tests.data.samples import (
    COUNT,
    SHAPE,
    image_root,
    image_settings,
    labels,
    noise,
    parquet_root,
    parquet_settings,
    png,
    prepared,
    write_parquet,
)


def pixels_of(folder: Path, part: str) -> Pixels:
    channels, height, width = SHAPE
    return np.fromfile(folder / f"{part}.u8", np.uint8).reshape(-1, height, width, channels)


def labels_of(folder: Path, part: str) -> Labels:
    return np.fromfile(folder / f"{part}.labels", "<i8")


def meta_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "meta.json").read_text()))


def digits(root: Path) -> DataSettings:
    return DataSettings(name="digits")


def parquet(root: Path) -> DataSettings:
    return parquet_settings(parquet_root(root))


def folder(root: Path) -> DataSettings:
    return image_settings(image_root(root))


@pytest.mark.parametrize("make", [digits, parquet, folder])
class TestEveryKind:
    def test_two_runs_give_the_same_bytes(self, make: Callable[[Path], DataSettings], tmp_path: Path) -> None:
        settings = make(tmp_path / "root")
        one, two = prepared(settings, tmp_path / "one"), prepared(settings, tmp_path / "two")
        names = sorted(file.name for file in one.iterdir())
        assert names == sorted(file.name for file in two.iterdir())
        assert len(names) == 7
        for name in names:
            assert (one / name).read_bytes() == (two / name).read_bytes()

    def test_an_interrupted_run_leaves_nothing_behind_in_the_next(
        self, make: Callable[[Path], DataSettings], tmp_path: Path
    ) -> None:
        settings = make(tmp_path / "root")
        whole = prepared(settings, tmp_path / "whole")
        (tmp_path / "torn").mkdir()
        for file in whole.iterdir():
            (tmp_path / "torn" / file.name).write_bytes(file.read_bytes()[:7])
        torn = prepared(settings, tmp_path / "torn")
        assert all((torn / file.name).read_bytes() == file.read_bytes() for file in whole.iterdir())

    def test_the_plan_knew_the_facts(self, make: Callable[[Path], DataSettings], tmp_path: Path) -> None:
        settings = make(tmp_path / "root")
        known, meta = facts(settings), prepare(settings, tmp_path)
        assert (meta["label"], meta["classes"], tuple(meta["shape"])) == (known.label, known.classes, known.shape)
        assert (meta["train"], meta["validation"], meta["augment"]) == (known.train, known.validation, known.augment)
        assert known.test in (meta["test"], None)

    def test_what_is_returned_is_what_is_written(self, make: Callable[[Path], DataSettings], tmp_path: Path) -> None:
        assert prepare(make(tmp_path / "root"), tmp_path) == meta_of(tmp_path)


class TestPixels:
    def test_every_example_lies_in_its_part_in_the_order_of_the_source(self, tmp_path: Path) -> None:
        settings = parquet_settings(parquet_root(tmp_path / "root"))
        found = prepared(settings, tmp_path / "out")
        parts = split(np.array(labels(COUNT)), validation=4, test=None, seed=0)
        for name, positions in (("train", parts.train), ("validation", parts.validation)):
            assert np.array_equal(pixels_of(found, name), noise(COUNT)[positions])
            assert np.array_equal(labels_of(found, name), np.array(labels(COUNT))[positions])
        assert np.array_equal(pixels_of(found, "test"), noise(12, seed=1))
        assert labels_of(found, "test").tolist() == labels(12)
        assert meta_of(found)["split_digest"] == parts.digest()

    def test_a_test_set_can_be_held_out(self, tmp_path: Path) -> None:
        settings = parquet_settings(parquet_root(tmp_path / "root", test=0), test=0.3)
        found = prepared(settings, tmp_path / "out")
        parts = split(np.array(labels(COUNT)), validation=2, test=12, seed=0)
        assert parts.test is not None
        assert np.array_equal(pixels_of(found, "test"), noise(COUNT)[parts.test])
        assert np.bincount(labels_of(found, "test")).tolist() == [3, 3, 3, 3]

    def test_mean_and_std_are_those_of_training_pixels_alone(self, tmp_path: Path) -> None:
        found = prepared(parquet_settings(parquet_root(tmp_path / "root")), tmp_path / "out")
        training = pixels_of(found, "train").reshape(-1, 3) / 255
        assert meta_of(found)["mean"] == pytest.approx(training.mean(0), abs=1e-12)
        assert meta_of(found)["std"] == pytest.approx(training.std(0), abs=1e-12)

    def test_mean_and_std_by_hand(self, tmp_path: Path) -> None:
        # 0 and 255 in equal number: mean 1/2, std 1/2
        images = [png(np.full((8, 8, 1), value, np.uint8)) for value in (0, 255, 0, 255)]
        write_parquet(tmp_path / "train.parquet", images, [0, 1, 0, 1])
        write_parquet(tmp_path / "test.parquet", images, [0, 1, 0, 1])
        settings = parquet_settings(tmp_path, classes=2, shape=(1, 8, 8), examples=4, validation=2)
        meta = prepare(settings, tmp_path)
        assert (meta["mean"], meta["std"]) == ([0.5], [0.5])

    def test_other_pixels_have_another_digest(self, tmp_path: Path) -> None:
        one = prepared(parquet_settings(parquet_root(tmp_path / "a")), tmp_path / "one")
        changed = noise(COUNT)
        changed[5, 0, 0, 0] ^= 1
        write_parquet(tmp_path / "a" / "train.parquet", [png(image) for image in changed], labels(COUNT))
        two = prepared(parquet_settings(tmp_path / "a"), tmp_path / "two")
        assert meta_of(one)["source_digest"] != meta_of(two)["source_digest"]
        assert meta_of(one)["split_digest"] == meta_of(two)["split_digest"]

    def test_training_images_without_any_difference_are_refused(self, tmp_path: Path) -> None:
        write_parquet(tmp_path / "train.parquet", [png(np.full((8, 8, 3), 7, np.uint8))] * COUNT, labels(COUNT))
        with pytest.raises(DataError, match="all training pixels of channel 0 are equal"):
            prepare(parquet_settings(tmp_path, test=4), tmp_path)


class TestFiles:
    def test_paths_and_labels_lie_side_by_side(self, tmp_path: Path) -> None:
        found = prepared(image_settings(image_root(tmp_path / "root")), tmp_path / "out")
        for part, count in (("train", 8), ("validation", 4), ("test", 4)):
            paths = (found / f"{part}.paths").read_bytes().split(b"\0")
            assert paths.pop() == b""
            assert [b"bee" in path for path in paths] == labels_of(found, part).astype(bool).tolist()
            assert len(paths) == count

    def test_no_image_is_opened(self, tmp_path: Path) -> None:
        root = image_root(tmp_path / "root")
        for file in root.rglob("*.png"):
            file.write_bytes(b"not opened")
        assert prepare(image_settings(root), tmp_path)["format"] == "files"

    def test_constants_are_imagenets(self, tmp_path: Path) -> None:
        meta = prepare(image_settings(image_root(tmp_path / "root")), tmp_path)
        assert (meta["mean"], meta["std"]) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        row = DATASETS["imagenet"]
        assert row.mean and row.std and (meta["mean"], meta["std"]) == (list(row.mean), list(row.std))

    def test_a_part_of_imagenet_is_prepared_as_a_folder_and_not_as_imagenet(self, tmp_path: Path) -> None:
        root = image_root(tmp_path / "root")
        with pytest.raises(DataError, match=r'of 1000 classes, 998 have no training example.*data\.name = "folder"'):
            prepare(DataSettings(name="imagenet", root=root, validation=4), tmp_path)
        meta = prepare(image_settings(root, shape=(3, 224, 224)), tmp_path)
        assert (meta["train"], meta["validation"], meta["test"]) == (8, 4, 4)


class TestErrors:
    def test_a_missing_root_is_an_error_of_the_data(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"data\.root is not set"):
            prepare(DataSettings(name="cifar10-jpeg"), tmp_path)

    def test_an_undeclared_shape_is_an_error_of_the_study(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="must declare shape"):
            prepare(parquet_settings(parquet_root(tmp_path), shape=None), tmp_path)

    def test_a_wrong_number_of_classes_is_found(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"with 3 classes.*Set data\.classes = 4"):
            prepare(parquet_settings(parquet_root(tmp_path), classes=3), tmp_path)

    def test_a_corrupt_image_is_found(self, tmp_path: Path) -> None:
        images = [png(image) for image in noise(COUNT)]
        write_parquet(tmp_path / "train.parquet", [*images[:-1], b"damaged"], labels(COUNT))
        with pytest.raises(DataError, match="row 39 is not a readable image"):
            prepare(parquet_settings(tmp_path, test=4), tmp_path)

    def test_a_full_disk_is_an_error_that_names_the_file(self, tmp_path: Path) -> None:
        resource = pytest.importorskip("resource", reason="this system cannot limit the size of a file")
        # The kernel's limit on the size of a file stands in for the end of the disk.
        settings = parquet_settings(parquet_root(tmp_path / "root"))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        try:
            with pytest.raises(DataError, match=r"cannot write .*train\.u8: File too large\. Make room"):
                prepare(settings, tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(
    "REGROW_CIFAR10_JPEG" not in os.environ, reason="REGROW_CIFAR10_JPEG does not name the folder of cifar10-jpeg"
)
def test_cifar10_jpeg_is_split_45000_5000_10000_with_equal_classes(tmp_path: Path) -> None:
    settings = DataSettings(name="cifar10-jpeg", root=Path(os.environ["REGROW_CIFAR10_JPEG"]))
    found = prepared(settings, tmp_path / "out")
    for part, each in (("train", 4500), ("validation", 500), ("test", 1000)):
        assert np.bincount(labels_of(found, part)).tolist() == [each] * 10
        assert (found / f"{part}.u8").stat().st_size == each * 10 * 32 * 32 * 3
    training = np.fromfile(found / "train.u8", np.uint8).reshape(-1, 3) / 255
    assert training.mean(0) == pytest.approx(meta_of(found)["mean"], abs=0.01)


class TestAShare:
    def test_repeats_the_examples_that_it_uses_until_an_epoch_is_as_long_as_before(self, tmp_path: Path) -> None:
        whole = prepared(DataSettings(name="digits"), tmp_path / "whole")
        part = prepared(DataSettings(name="digits", share=0.3), tmp_path / "part")
        assert meta_of(part)["train"] == meta_of(whole)["train"] == len(labels_of(part, "train"))
        rows = np.fromfile(part / "train.u8", np.uint8).reshape(-1, 64)
        assert len(np.unique(rows, axis=0)) == meta_of(part)["distinct"] == 339
        assert (rows[339:678] == rows[:339]).all() and (rows[-115:] == rows[:115]).all()

    def test_is_drawn_from_every_class_and_leaves_validation_and_test_alone(self, tmp_path: Path) -> None:
        whole = prepared(DataSettings(name="digits"), tmp_path / "whole")
        part = prepared(DataSettings(name="digits", share=0.1), tmp_path / "part")
        assert set(np.bincount(labels_of(part, "train")[: meta_of(part)["distinct"]]).tolist()) <= {11, 12}
        for name in ("validation", "test"):
            assert (part / f"{name}.u8").read_bytes() == (whole / f"{name}.u8").read_bytes()

    def test_of_image_files_repeats_whole_paths(self, tmp_path: Path) -> None:
        root = image_root(tmp_path / "images")
        settings = image_settings(root).model_copy(update={"share": 0.4})
        part = prepared(settings, tmp_path / "part")
        paths = (part / "train.paths").read_bytes().split(b"\0")[:-1]
        distinct = meta_of(part)["distinct"]
        assert len(paths) == meta_of(part)["train"] and len(set(paths)) == distinct
        assert paths[distinct : 2 * distinct] == paths[:distinct][: len(paths) - distinct]

    def test_has_a_label_of_its_own(self) -> None:
        assert facts(DataSettings(name="digits", share=0.3)).label == "digits 30 %"
