from __future__ import annotations

import json
from pathlib import Path

import pytest

from regrow.errors import ConfigError, StoreError
from regrow.shipping import record
from regrow.shipping.bundle import save
from regrow.shipping.record import RECORD, check_file, read_record, stored_file

from .small_networks import tiny


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(*tiny(), tmp_path / "bundle", notes="as it was")


def test_a_record_is_read_back_as_it_was_written(folder: Path) -> None:
    found = read_record(folder)
    assert found.to_json() == json.loads((folder / RECORD).read_text())
    assert found.notes == "as it was"
    assert found.network == "tests.shipping.small_networks:Tiny"
    row = next(row for row in found.tensors if row.name == "conv2.weight")
    assert (row.shape, row.dense, row.numel, row.dense_numel) == ((4, 5, 3, 3), (6, 8, 3, 3), 180, 432)


def test_a_folder_without_a_record_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"holds no bundle.json: it is not a folder that regrow.save wrote"):
        read_record(tmp_path)


def test_a_record_that_is_not_json_is_refused(folder: Path) -> None:
    (folder / RECORD).write_text("{")
    with pytest.raises(StoreError, match="is not JSON"):
        read_record(folder)


def test_a_record_nested_without_end_is_refused(folder: Path) -> None:
    (folder / RECORD).write_text("[" * 200_000)
    with pytest.raises(StoreError, match="is not JSON"):
        read_record(folder)


def test_a_record_that_is_too_large_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "LARGEST_JSON", 100)
    with pytest.raises(StoreError, match="has at most 100, so it is not read"):
        read_record(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", "regrow-bundle-2"),
        ("tensors", [{"name": "a"}]),
        ("weights", {"bytes": -1, "sha256": "0"}),
        ("more", 1),
    ],
)
def test_every_value_of_a_record_is_checked(folder: Path, key: str, value: object) -> None:
    written = json.loads((folder / RECORD).read_text())
    (folder / RECORD).write_text(json.dumps({**written, key: value}))
    with pytest.raises(ConfigError, match=key):
        read_record(folder)


def test_a_file_that_was_saved_is_accepted_and_any_other_is_not(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    expected = stored_file(path)
    check_file(path, expected)
    path.write_bytes(b"abd")
    with pytest.raises(StoreError, match="is not the file that was saved: its SHA-256 is a52d159f262b"):
        check_file(path, expected)
    path.write_bytes(b"ab")
    with pytest.raises(StoreError, match="has 2 bytes, 3 were saved"):
        check_file(path, expected)
    path.unlink()
    with pytest.raises(StoreError, match="lacks file"):
        check_file(path, expected)
