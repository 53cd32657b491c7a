from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from regrow.data.datasets import facts
from regrow.data.parquet import parquet, parquet_files
from regrow.data.settings import DataSettings
from regrow.data.source import CHUNK, Images, Pixels
from regrow.errors import DataError
from tests.data.samples import COUNT, labels, noise, parquet_root, parquet_settings, png, write_parquet


def read(settings: DataSettings) -> tuple[Images, Images | None]:
    source = parquet(settings, facts(settings))
    assert isinstance(source.train, Images)
    assert source.test is None or isinstance(source.test, Images)
    return source.train, source.test


def pixels(images: Images) -> Pixels:
    return np.concatenate(list(images.chunks()))


def test_images_and_labels_come_in_the_order_of_the_rows(tmp_path: Path) -> None:
    train, test = read(parquet_settings(parquet_root(tmp_path)))
    assert test is not None
    assert train.labels.tolist() == labels(COUNT)
    assert np.array_equal(pixels(train), noise(COUNT))
    assert np.array_equal(pixels(test), noise(12, seed=1))


def test_a_folder_may_have_no_test_files(tmp_path: Path) -> None:
    assert read(parquet_settings(parquet_root(tmp_path, test=0), test=8))[1] is None


def test_the_hubs_folder_of_numbered_files_is_read_in_their_order(tmp_path: Path) -> None:
    image = png(noise(1)[0])
    for number in (1, 0):
        write_parquet(tmp_path / "data" / f"train-0000{number}-of-00002.parquet", [image], [number])
    write_parquet(tmp_path / "data" / "validation-00000-of-00001.parquet", [image], [3])
    train, test = read(parquet_settings(tmp_path, examples=2, validation=1))
    assert test is not None
    assert train.labels.tolist() == [0, 1]
    assert test.labels.tolist() == [3]


def test_a_test_set_goes_before_a_validation_set(tmp_path: Path) -> None:
    for name in ("train", "validation", "test"):
        (tmp_path / f"{name}.parquet").touch()
    assert parquet_files(tmp_path) == ([tmp_path / "train.parquet"], [tmp_path / "test.parquet"])


def test_columns_can_have_other_names_and_images_can_be_plain_binary(tmp_path: Path) -> None:
    table = pyarrow.table({"photo": [png(noise(1)[0])], "kind": [2]})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    settings = parquet_settings(tmp_path, examples=5, validation=1, image_column="photo", label_column="kind")
    train, _ = read(settings)
    assert train.labels.tolist() == [2]
    assert np.array_equal(pixels(train), noise(1))


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no train\*\.parquet.*data\.root"):
        read(parquet_settings(tmp_path))


@pytest.mark.parametrize(("key", "name"), [("image_column", "imgs"), ("label_column", "labels")])
def test_a_missing_column_is_answered_with_the_nearest(tmp_path: Path, key: str, name: str) -> None:
    with pytest.raises(
        DataError, match=rf"train\.parquet has no column '{name}'; set data\.{key}\. Did you mean '{name[:-1]}'"
    ):
        read(parquet_settings(parquet_root(tmp_path), **{key: name}))


@pytest.mark.parametrize(
    ("classes", "said"), [(["cat", "dog"], "holds string"), ([0.5, 1.0], "holds double"), ([0, None], "lacks 1")]
)
def test_labels_that_are_no_whole_numbers_are_refused(tmp_path: Path, classes: list[object], said: str) -> None:
    write_parquet(tmp_path / "train.parquet", [png(image) for image in noise(2)], classes)
    with pytest.raises(DataError, match=said):
        read(parquet_settings(tmp_path))


def test_a_corrupt_image_is_named_by_its_row(tmp_path: Path) -> None:
    images: list[bytes | None] = [png(image) for image in noise(20)]
    images[17] = b"damaged"
    write_parquet(tmp_path / "train.parquet", images, labels(20))
    train, _ = read(parquet_settings(tmp_path))
    with pytest.raises(DataError, match=r"train\.parquet, row 17 is not a readable image"):
        pixels(train)


def test_rows_are_counted_across_chunks(tmp_path: Path) -> None:
    images: list[bytes | None] = [png(noise(1)[0])] * (CHUNK + 6)
    images[CHUNK + 3] = b"damaged"
    write_parquet(tmp_path / "train.parquet", images, labels(CHUNK + 6))
    train, _ = read(parquet_settings(tmp_path))
    with pytest.raises(DataError, match=f"row {CHUNK + 3} is not"):
        pixels(train)


def test_an_image_that_is_only_a_path_is_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [None], [0])
    train, _ = read(parquet_settings(tmp_path))
    with pytest.raises(DataError, match="row 0: column 'img' holds no encoded image, but NoneType"):
        pixels(train)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    root = parquet_root(tmp_path)
    whole = (root / "train.parquet").read_bytes()
    (root / "train.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"train\.parquet is not a readable parquet file"):
        read(parquet_settings(root))
