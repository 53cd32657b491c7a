"""Finished rows on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from regrow.detection.rows import Rows, row_key
from regrow.errors import StoreError


def test_equal_identities_have_one_key_and_others_another() -> None:
    assert row_key({"a": 1, "b": [2]}) == row_key({"b": [2], "a": 1})
    assert row_key({"a": 1}) != row_key({"a": 2})


def test_a_row_comes_back_bit_for_bit(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "rows")
    assert rows.read("k") is None
    rows.write("k", {"map": 0.1 + 0.2, "message": None})
    assert Rows(tmp_path / "rows").read("k") == {"map": 0.1 + 0.2, "message": None}


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"key": "k"}', '{"key": "k", "checksum": "0", "row": {"map": 1}}'])
def test_a_damaged_row_counts_as_none(tmp_path: Path, damage: str) -> None:
    rows = Rows(tmp_path)
    rows.write("k", {"map": 0.5})
    (tmp_path / "k.json").write_text(damage)
    assert rows.read("k") is None


def test_a_changed_number_or_another_rows_file_counts_as_none(tmp_path: Path) -> None:
    rows = Rows(tmp_path)
    rows.write("k", {"map": 0.5})
    path = tmp_path / "k.json"
    path.rename(tmp_path / "other.json")
    assert rows.read("other") is None
    (tmp_path / "k.json").write_text((tmp_path / "other.json").read_text().replace("0.5", "0.6"))
    assert rows.read("k") is None


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="choose another folder with --out"):
        Rows(tmp_path / "file").write("k", {})
