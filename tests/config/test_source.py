"""Whatever is given for a study file, the answer is one fault."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from regrow.config.packaged import STUDIES
from regrow.config.source import LARGEST, PLAIN, SMALLEST_STUDY, read_source
from regrow.errors import ConfigError


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refusal(name: str | Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_source(name)
    assert len(caught.value.faults) == 1
    return str(caught.value)


def written(content: str | bytes, name: str = "study.toml") -> str:
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return name


def test_a_file_is_read_to_tables(tmp_path: Path) -> None:
    source = read_source(written("seeds = 3\n[data]\nname = 'digits'\n"))
    assert source.tables == {"seeds": 3, "data": {"name": "digits"}}
    assert (source.where, source.file, source.folder) == ("study.toml", "study.toml", tmp_path)


def test_a_packaged_name_wins_over_a_folder_of_that_name() -> None:
    Path("digits").mkdir()
    assert read_source("digits").tables["data"]["name"] == "digits"


def test_a_path_object_is_never_a_packaged_name() -> None:
    assert "neither a packaged study nor a file" in refusal(Path("digits"))


def test_a_byte_order_mark_is_no_fault() -> None:
    assert read_source(written(b"\xef\xbb\xbfseeds = 3\n")).tables == {"seeds": 3}


def test_a_missing_file_is_answered_with_one_that_is_there() -> None:
    written("seeds = 3", "my-study.toml")
    assert refusal("mystudy.toml") == "mystudy.toml: there is no such file\n    Did you mean my-study.toml?"


def test_a_missing_file_without_a_likeness_is_answered_with_packaged_studies() -> None:
    assert refusal("nowhere/x.toml").endswith(f"there is no such file\n    Packaged studies: {', '.join(STUDIES)}.")


def test_a_wrong_name_is_answered_with_packaged_studies() -> None:
    known = f"Did you mean 'digits'? Known: {', '.join(STUDIES)}."
    assert refusal("digit") == f"digit: is neither a packaged study nor a file\n    {known}"


@pytest.mark.parametrize("name", ["", "a\0b", "file.toml/inside.toml", "x" * 5000, "~nobody/x.toml"])
def test_an_odd_path_is_a_fault_like_any_other(name: str) -> None:
    written("seeds = 3", "file.toml")
    assert refusal(name)


def test_a_folder_is_answered_with_the_study_inside() -> None:
    Path("runs").mkdir()
    assert refusal("runs").startswith("runs: is a folder, not a study file\n    Give the path of a TOML file")
    written("seeds = 3", "runs/a.toml")
    assert refusal("runs") == "runs: is a folder, not a study file\n    Did you mean runs/a.toml?"


@pytest.mark.parametrize("content", ["", "   \n\n", "# only a comment\n"])
def test_an_empty_file_is_answered_with_the_smallest_study(content: str) -> None:
    assert refusal(written(content)) == f"study.toml: is empty\n    {SMALLEST_STUDY}"


def test_a_binary_file_is_no_study() -> None:
    assert refusal(written(b"\x89PNG\r\n\x1a\n\0\0\0")).startswith("study.toml: is no text file: it holds zero bytes")


def test_text_that_is_not_utf_8_is_located() -> None:
    content = 'seeds = 3\ntitle = "für"\n'.encode("latin-1")
    assert (
        refusal(written(content))
        == "study.toml: line 2: is no UTF-8 text; found byte 0xFC\n    Save the file as UTF-8."
    )


def test_a_huge_file_is_not_read() -> None:
    with Path("study.toml").open("wb") as file:
        file.truncate(1 << 40)
    assert f"is larger than {LARGEST:,} bytes" in refusal("study.toml")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions do not bind the superuser")
def test_an_unreadable_file_says_why() -> None:
    Path(written("seeds = 3")).chmod(0)
    assert "cannot be read: Permission denied" in refusal("study.toml")


def test_lists_nested_without_end_are_refused() -> None:
    assert "nested too deeply" in refusal(written("seeds = " + "[" * 20_000))


SYNTAX = [
    ("name = digits", "line 1, column 8: there is no TOML value here"),
    ("a = [1, 2", "line 1, column 10: a list is not closed"),
    ("a = { b = 1", "line 1, column 12: a table in braces is not closed"),
    ("a b = 1", "line 1, column 3: a key must be followed by = and a value"),
    ("[data\nname = 1", "line 1, column 6: a table's name must end with ]"),
    ("[data]\n[data]", "line 2, column 6: the table stands twice"),
    ("a = 1\na = 2", "line 2, column 6: the key stands twice"),
    ("a = { b = 1 }\na.c = 2", "line 2, column 8: the table is already complete"),
    ("a = 1 2", "line 1, column 7: a line holds one key and one value"),
    ('a = "open\nb = 1', "line 1, column 10: the text is not closed in its line"),
    ('a = "C:\\data"', "line 1, column 10: a backslash begins an escape"),
    ('a = "C:\\users"', "line 1, column 10: a backslash begins an escape"),
    ("{}", "line 1, column 1: a line must be key = value or [table]"),
    ("a = 1\n= 2", "line 2, column 1: a line must be key = value or [table]"),
    ('a = """open', "line 1, column 12: the text is not closed"),
]


@pytest.mark.parametrize(("content", "start"), SYNTAX)
def test_bad_toml_is_located_and_told_in_plain_words(content: str, start: str) -> None:
    text = refusal(written(content))
    assert text.startswith(f"study.toml: {start}; found "), text
    assert text.count("\n") == 1


def test_every_plain_answer_has_a_rule_and_a_way_out() -> None:
    assert all(start and rule and hint.endswith(".") for start, rule, hint in PLAIN)


def test_a_file_name_is_printed_safely() -> None:
    assert refusal(written("", "bad\x1b[31m.toml")).startswith('"bad\\u001b[31m.toml": is empty')
