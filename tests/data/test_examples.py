from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from regrow.data.examples import Examples, FolderExamples, Paths, open_training, read_meta
from regrow.errors import DataError
from tests.data.samples import (
    COUNT,
    image_root,
    image_settings,
    labels,
    noise,
    parquet_root,
    parquet_settings,
    prepared,
)

MEGABYTE = 2**20


def private_megabytes(kind: str = "Private_(?:Clean|Dirty)") -> float:
    """Memory of this process that no other process shares."""
    smaps = Path("/proc/self/smaps_rollup").read_text()
    return sum(int(kilobytes) for kilobytes in re.findall(rf"^{kind}:\s+(\d+) kB", smaps, re.MULTILINE)) / 1024


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepared(parquet_settings(parquet_root(tmp_path / "root")), tmp_path / "out")


def in_memory(examples: Examples | FolderExamples) -> Examples:
    assert isinstance(examples, Examples)
    return examples


def test_training_and_validation_are_what_was_prepared(folder: Path) -> None:
    train, validation = map(in_memory, open_training(folder))
    assert (len(train), len(validation)) == (36, 4)
    together = torch.cat([train.images, validation.images]).permute(0, 2, 3, 1).numpy()
    assert sorted(map(bytes, together)) == sorted(map(bytes, noise(COUNT)))
    assert sorted(torch.cat([train.labels, validation.labels]).tolist()) == sorted(labels(COUNT))
    assert (train.images.dtype, train.labels.dtype, train.shape) == (torch.uint8, torch.int64, (3, 8, 8))
    assert train.mean == tuple(read_meta(folder)["mean"]) == validation.mean


def test_images_lie_as_in_the_file(folder: Path) -> None:
    train, _ = map(in_memory, open_training(folder))
    assert train.images.is_contiguous(memory_format=torch.channels_last)


def test_writing_to_an_image_does_not_reach_the_file(folder: Path) -> None:
    before = (folder / "train.u8").read_bytes()
    train, _ = map(in_memory, open_training(folder))
    train.images.zero_()
    assert (folder / "train.u8").read_bytes() == before


def test_opening_is_possible_where_nothing_may_be_written(folder: Path) -> None:
    for file in folder.iterdir():
        file.chmod(0o444)
    assert len(open_training(folder)[0]) == 36


@pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="this system does not tell how much memory is private"
)
def test_a_set_of_the_size_of_cifar10_takes_no_private_memory(folder: Path, tmp_path: Path) -> None:
    meta = read_meta(folder) | {"shape": [3, 32, 32], "train": 45_000, "validation": 5_000}
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    for part, count in (("train", 45_000), ("validation", 5_000)):
        for name, size in ((f"{part}.u8", 3072 * count), (f"{part}.labels", 8 * count)):
            with (tmp_path / name).open("wb") as file:
                file.truncate(size)
    before = private_megabytes()
    train, validation = map(in_memory, open_training(tmp_path))
    assert private_megabytes() - before < 5
    written = private_megabytes("Private_Dirty")
    assert int(train.images.amax()) == int(validation.images.amax()) == 0  # every page is read
    assert private_megabytes("Private_Dirty") - written < 20


def test_files_are_listed_and_not_opened(tmp_path: Path) -> None:
    root = image_root(tmp_path / "root")
    train, validation = open_training(prepared(image_settings(root), tmp_path / "out"))
    assert isinstance(train, FolderExamples)
    assert isinstance(validation, FolderExamples)
    assert (len(train), len(validation), train.shape) == (8, 4, (3, 16, 16))
    found = [*train.paths, *validation.paths]
    assert sorted(found) == sorted(file.relative_to(root).as_posix() for file in root.glob("train/*/*.png"))
    assert ["bee" in path for path in train.paths] == train.labels.bool().tolist()


class TestDamage:
    def test_a_folder_without_data_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"holds no prepared data .*Prepare it again"):
            open_training(tmp_path)

    @pytest.mark.parametrize("name", ["train.u8", "validation.labels"])
    def test_a_file_that_is_cut_short_is_named(self, folder: Path, name: str) -> None:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[:-1])
        with pytest.raises(DataError, match=rf"{name} has {len(whole) - 1} bytes; {len(whole)} are expected"):
            open_training(folder)

    def test_a_missing_file_is_named(self, folder: Path) -> None:
        (folder / "train.labels").unlink()
        with pytest.raises(DataError, match=r"train\.labels has 0 bytes"):
            open_training(folder)

    def test_a_list_of_files_that_is_cut_short_is_named(self, tmp_path: Path) -> None:
        out = prepared(image_settings(image_root(tmp_path / "root")), tmp_path / "out")
        (out / "train.paths").write_bytes(b"train/ape/0.png\0")
        with pytest.raises(DataError, match=r"train\.paths names 1 files; 8 are expected"):
            open_training(out)


class TestPaths:
    def test_it_is_a_sequence_of_the_names(self) -> None:
        names = ["a/b.png", "ü.png", "", "z"]
        paths = Paths(b"".join(name.encode() + b"\0" for name in names))
        assert list(paths) == names
        assert (len(paths), paths[-1], paths[1:3]) == (4, "z", ["ü.png", ""])

    def test_beyond_its_end_there_is_nothing(self) -> None:
        with pytest.raises(IndexError):
            Paths(b"a\0")[1]

    def test_without_content_it_is_empty(self) -> None:
        assert list(Paths(b"")) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_examples_live_on_the_device_that_is_asked_for(folder: Path) -> None:
    here, there = in_memory(open_training(folder)[0]), in_memory(open_training(folder, "cuda")[0])
    assert there.images.is_cuda
    assert there.labels.is_cuda
    assert np.array_equal(there.images.cpu().numpy(), here.images.numpy())
