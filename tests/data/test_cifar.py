from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision.datasets import CIFAR10

from regrow.data import cifar
from regrow.data.datasets import facts
from regrow.data.settings import DataSettings
from regrow.data.source import Images
from regrow.errors import DataError
from tests.data.samples import noise


def write_batch(path: Path, content: dict[str, Any]) -> str:
    """A file as CIFAR has them; returns its MD5 sum."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def small_cifar(tmp_path: Path) -> type[CIFAR10]:
    """torchvision's own class, for a CIFAR of six training and two test images whose download would fail at once."""
    folder = tmp_path / "tiny"
    planar = noise(8, (3, 32, 32)).transpose(0, 3, 1, 2).reshape(8, -1)
    one = write_batch(folder / "one", {"data": planar[:4], "labels": [0, 1, 2, 3]})
    two = write_batch(folder / "two", {"data": planar[4:6], "labels": [4, 5]})
    last = write_batch(folder / "last", {"data": planar[6:], "labels": [8, 9]})
    names = write_batch(folder / "names", {"label_names": [str(i) for i in range(10)]})

    class Small(CIFAR10):
        base_folder = "tiny"
        url = "http://127.0.0.1:9/tiny.tar.gz"
        filename = "tiny.tar.gz"
        train_list = [["one", one], ["two", two]]  # noqa: RUF012
        test_list = [["last", last]]  # noqa: RUF012
        meta = {"filename": "names", "key": "label_names", "md5": names}  # noqa: RUF012

    return Small


def test_both_parts_are_read_in_order(small_cifar: type[CIFAR10], tmp_path: Path) -> None:
    source = cifar.read(small_cifar, tmp_path)
    assert isinstance(source.train, Images)
    assert isinstance(source.test, Images)
    assert source.train.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert source.test.labels.tolist() == [8, 9]
    pixels = noise(8, (3, 32, 32))
    assert np.array_equal(np.concatenate(list(source.train.chunks())), pixels[:6])
    assert np.array_equal(np.concatenate(list(source.test.chunks())), pixels[6:])


def test_files_that_are_neither_there_nor_to_be_had_are_an_error_that_says_what_to_do(
    small_cifar: type[CIFAR10], tmp_path: Path
) -> None:
    with pytest.raises(
        DataError, match=r"Small is not in .*empty.*127\.0\.0\.1.*put tiny\.tar\.gz into a folder.*data\.root"
    ):
        cifar.read(small_cifar, tmp_path / "empty")


def test_a_damaged_file_is_not_read(small_cifar: type[CIFAR10], tmp_path: Path) -> None:
    (tmp_path / "tiny" / "two").write_bytes(b"damaged")
    with pytest.raises(DataError):
        cifar.read(small_cifar, tmp_path)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_root_that_cannot_be_made_is_an_error_too(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = DataSettings(name=name, root=tmp_path / "file")
    with pytest.raises(DataError, match="is not in"):
        getattr(cifar, name)(settings, facts(settings))
