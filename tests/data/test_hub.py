from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regrow.data.datasets import facts
from regrow.data.hub import hub
from regrow.data.settings import DataSettings
from regrow.data.source import CHUNK, Images, Source
from regrow.errors import DataError, MissingExtraError
from tests.data.samples import CLASSES, COUNT, SHAPE, labels, noise, parquet_root, png, write_parquet


def read(folder: Path, cache: Path, **changes: Any) -> Source:
    """The library takes a local folder for a name, so the real thing runs without a network."""
    given: dict[str, Any] = {
        "name": "hub",
        "hub": str(folder),
        "root": cache,
        "classes": CLASSES,
        "shape": SHAPE,
        "examples": COUNT,
    }
    settings = DataSettings(**(given | changes))
    return hub(settings, facts(settings))


def test_without_the_extra_it_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r'pip install "regrow\[hub\]"'):
        read(tmp_path, tmp_path)


class TestWithTheExtra:
    @pytest.fixture(autouse=True)
    def library(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("datasets", reason="the extra `hub` is not installed")
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def test_splits_are_read_in_order(self, tmp_path: Path) -> None:
        source = read(parquet_root(tmp_path / "set"), tmp_path / "cache")
        assert isinstance(source.train, Images)
        assert isinstance(source.test, Images)
        assert source.train.labels.tolist() == labels(COUNT)
        assert source.test.labels.tolist() == labels(12)
        assert np.array_equal(np.concatenate(list(source.train.chunks())), noise(COUNT))
        assert np.array_equal(np.concatenate(list(source.test.chunks())), noise(12, seed=1))

    def test_a_missing_column_is_answered_with_the_nearest(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"has no column 'lable'; set data\.label_column\. Did you mean 'label'"):
            read(parquet_root(tmp_path / "set"), tmp_path / "cache", label_column="lable")

    def test_a_corrupt_image_is_named_by_split_and_row(self, tmp_path: Path) -> None:
        images = [*[png(noise(1)[0])] * (CHUNK + 3), b"damaged"]
        write_parquet(tmp_path / "set" / "train.parquet", images, labels(CHUNK + 4))
        source = read(tmp_path / "set", tmp_path / "cache")
        assert isinstance(source.train, Images)
        with pytest.raises(DataError, match=f"split train, row {CHUNK + 3} is not a readable image"):
            list(source.train.chunks())

    def test_a_name_that_is_not_there_is_an_error_that_says_what_to_do(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"could not be had from the hub.*data\.name = 'parquet'"):
            read(tmp_path / "nothing", tmp_path / "cache")

    def test_a_set_without_training_examples_is_refused(self, tmp_path: Path) -> None:
        write_parquet(tmp_path / "set" / "test.parquet", [png(noise(1)[0])], [0])
        with pytest.raises(DataError, match="has no split called train; it has test"):
            read(tmp_path / "set", tmp_path / "cache")
