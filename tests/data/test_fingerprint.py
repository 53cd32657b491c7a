from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from regrow.data.fingerprint import fingerprint
from regrow.data.settings import DataSettings
from regrow.errors import DataError
from tests.data.samples import image_root, image_settings, noise, parquet_root, parquet_settings, png, write_parquet


@pytest.mark.parametrize("name", ["digits", "cifar10", "cifar100"])
def test_data_that_cannot_change_have_none(name: str) -> None:
    assert fingerprint(DataSettings(name=name)) == ""


def test_a_copied_folder_keeps_its_fingerprint(tmp_path: Path) -> None:
    for make, settings in ((parquet_root, parquet_settings), (image_root, image_settings)):
        root = make(tmp_path / make.__name__)
        copy = Path(shutil.copytree(root, tmp_path / f"copy of {make.__name__}"))
        assert fingerprint(settings(root)) == fingerprint(settings(copy))
        assert len(fingerprint(settings(root))) == 64


def test_it_follows_what_a_parquet_file_holds(tmp_path: Path) -> None:
    settings = parquet_settings(parquet_root(tmp_path))
    before = fingerprint(settings)
    write_parquet(tmp_path / "test.parquet", [png(noise(1)[0])], [0])
    assert fingerprint(settings) != before


def test_one_changed_byte_of_a_parquet_file_changes_it(tmp_path: Path) -> None:
    settings = parquet_settings(parquet_root(tmp_path))
    before = fingerprint(settings)
    content = bytearray((tmp_path / "train.parquet").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "train.parquet").write_bytes(content)
    assert fingerprint(settings) != before


def test_it_follows_the_names_of_image_files(tmp_path: Path) -> None:
    settings = image_settings(image_root(tmp_path))
    before = fingerprint(settings)
    (tmp_path / "train" / "ape" / "0.png").rename(tmp_path / "train" / "ape" / "00.png")
    assert fingerprint(settings) != before


def test_the_images_of_imagenet_count_by_name_and_size(tmp_path: Path) -> None:
    root = image_root(tmp_path)
    assert fingerprint(DataSettings(name="imagenet", root=root)) == fingerprint(image_settings(root))


def test_a_missing_root_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.root"):
        fingerprint(parquet_settings(tmp_path / "gone"))


def test_it_is_taken_without_torch() -> None:
    code = "import sys, regrow.data.fingerprint; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
