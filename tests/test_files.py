"""Files: one text per value, and writes that are seen whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regrow.files import canonical_json, digest, file_digest, pretty_json, sync_folder, write_atomic

VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def test_canonical_json_sorts_keys_and_wastes_nothing() -> None:
    assert canonical_json({"b": [1, 2.0], "a": None, "ü": True}) == '{"a":null,"b":[1,2.0],"ü":true}'


def test_canonical_json_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical_json({"a": 1, "b": 2}) == canonical_json({"b": 2, "a": 1})


@given(VALUES)
def test_both_kinds_of_json_give_the_value_back(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value
    assert json.loads(pretty_json(value)) == value


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"loss": number})
    with pytest.raises(ValueError, match="not JSON compliant"):
        pretty_json({"loss": number})


def test_pretty_json_has_one_entry_a_line() -> None:
    assert pretty_json({"b": 1, "a": [2]}) == '{\n "a": [\n  2\n ],\n "b": 1\n}\n'


def test_a_digest_is_the_sha256_of_the_canonical_json() -> None:
    assert digest({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()
    assert digest({"a": 1}) != digest({"a": 1.0})


def test_a_file_digest_is_the_sha256_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert file_digest(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(("content", "found"), [("ü\n", b"\xc3\xbc\n"), (b"\0\1", b"\0\1")])
def test_text_and_bytes_are_written(tmp_path: Path, content: str | bytes, found: bytes) -> None:
    write_atomic(tmp_path / "deep" / "er" / "x", content)
    assert (tmp_path / "deep" / "er" / "x").read_bytes() == found


def test_an_old_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    for content in ("old", "new"):
        write_atomic(tmp_path / "x", content)
    assert (tmp_path / "x").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "inside").touch()
    with pytest.raises(OSError):  # which one depends on the system
        write_atomic(tmp_path / "x", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.skipif(os.name != "posix", reason="file modes")
def test_a_written_file_can_be_read_by_others(tmp_path: Path) -> None:
    write_atomic(tmp_path / "x", "text")
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o644


def test_a_reader_sees_the_old_content_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_atomic(path, "old")
    with path.open() as reader:
        write_atomic(path, "new")
        assert reader.read() == "old"


def test_a_folder_can_be_synced(tmp_path: Path) -> None:
    sync_folder(tmp_path)
    with pytest.raises(OSError, match="No such file"):
        sync_folder(tmp_path / "missing")
