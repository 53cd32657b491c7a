"""Overrides are TOML, or bare words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from regrow.config.overrides import Override, absolute, apply, parse

READ = [
    ("prune.fraction=0.3", ("prune", "fraction"), 0.3),
    (" prune.fraction = 0.3 ", ("prune", "fraction"), 0.3),
    ("seeds=[1, 2]", ("seeds",), [1, 2]),
    ("retrain.tune_lr=false", ("retrain", "tune_lr"), False),
    ('title="a = b"', ("title",), "a = b"),
    ("prune.method=l1", ("prune", "method"), "l1"),
    ("title=two words", ("title",), "two words"),
    ("network={ name = 'vgg13' }", ("network",), {"name": "vgg13"}),
]


@pytest.mark.parametrize(("text", "path", "value"), READ)
def test_a_value_is_toml_or_a_bare_word(text: str, path: tuple[str, ...], value: Any) -> None:
    assert parse([text]) == ([Override(path, value)], [])


NO_VALUE = ["arms=[retrain, scratch-b]", 'title="open', "seeds=", "a=1\nb=2", "a=" + "[" * 5000]


@pytest.mark.parametrize("text", NO_VALUE)
def test_what_is_neither_is_a_fault(text: str) -> None:
    overrides, faults = parse([text])
    assert overrides == []
    assert "is no TOML value; found" in str(faults[0])
    assert str(faults[0]).count("\n") == 1


@pytest.mark.parametrize("text", ["fraction", "=3", "prune.=3", ".fraction=3", ""])
def test_what_has_no_key_is_a_fault(text: str) -> None:
    _, faults = parse([text])
    assert str(faults[0]).startswith("--set: must be KEY=VALUE; found ")


def test_all_overrides_are_read_even_when_some_are_wrong() -> None:
    overrides, faults = parse(["a=1", "b", "c=[x]", "d=2"])
    assert [one.key for one in overrides] == ["a", "d"]
    assert len(faults) == 2


def test_an_override_replaces_adds_and_makes_tables() -> None:
    tables = {"prune": {"fraction": 0.5}, "margin": 1.0}
    overrides, _ = parse(["prune.fraction=0.3", "prune.method=l1", "train.lr=0.2", "margin=2.0"])
    assert apply(tables, overrides) == []
    assert tables == {"prune": {"fraction": 0.3, "method": "l1"}, "train": {"lr": 0.2}, "margin": 2.0}


def test_the_last_of_two_overrides_of_one_key_counts() -> None:
    tables: dict[str, Any] = {}
    apply(tables, parse(["seeds=3", "seeds=4"])[0])
    assert tables == {"seeds": 4}


def test_an_array_of_one_table_is_that_table() -> None:
    tables = {"network": [{"name": "vgg11"}]}
    assert apply(tables, parse(["network.name=vgg13"])[0]) == []
    assert tables == {"network": [{"name": "vgg13"}]}


def test_several_tables_leave_no_single_place() -> None:
    tables = {"network": [{"name": "vgg11"}, {"name": "vgg13"}]}
    (fault,) = apply(tables, parse(["network.width=0.5"])[0])
    assert str(fault) == (
        "--set: network.width: names one table; the study has 2 [[network]] tables\n    Change the study file instead."
    )


def test_a_value_has_no_keys_inside() -> None:
    (fault,) = apply({"margin": 1.0}, parse(["margin.points=2"])[0])
    assert fault.rule == "margin is no table; found 1.0"


def test_paths_on_the_command_line_are_meant_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    (root, checkpoint), _ = parse(["data.root=images", "dense.checkpoint=~/net.safetensors"])
    assert root.value == str(tmp_path / "images")
    assert checkpoint.value == "/home/somebody/net.safetensors"


def test_what_cannot_be_a_path_stays_as_it_is() -> None:
    assert absolute("a\0b", Path("/")) == "a\0b"
    assert absolute("~nobody-of-this-name/x", Path("/")) == "~nobody-of-this-name/x"
    assert absolute("/full", Path("/other")) == "/full"
