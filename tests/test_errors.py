"""Errors: a tree with exit codes, and messages that teach."""

from __future__ import annotations

import pytest

from regrow import errors
from regrow.errors import ConfigError, Fault, MissingExtraError, RegrowError, UnknownNameError, did_you_mean

CODES = {
    "RegrowError": 1,
    "ConfigError": 2,
    "UnknownNameError": 2,
    "MissingExtraError": 2,
    "ProtocolError": 2,
    "DataError": 1,
    "PruningError": 1,
    "TrainingError": 1,
    "DivergenceError": 1,
    "ExportError": 1,
    "StoreError": 1,
}


def test_every_error_is_in_the_table_above() -> None:
    found = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert found == set(CODES)


@pytest.mark.parametrize(("name", "code"), CODES.items())
def test_every_error_has_its_exit_code_and_stands_in_the_drawing(name: str, code: int) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, RegrowError)
    assert kind.exit_code == code
    assert name in (errors.__doc__ or "")


def test_a_fault_is_one_line_or_two() -> None:
    assert str(Fault(where="a.toml", key="prune.fraction", rule="found 30")) == "a.toml: prune.fraction: found 30"
    assert str(Fault(where="a.toml", key="", rule="is empty", hint="Fill it.")) == "a.toml: is empty\n    Fill it."


def test_a_config_error_holds_all_faults() -> None:
    faults = [Fault(where="a", key="b", rule="c"), Fault(where="d", key="e", rule="f")]
    error = ConfigError(faults=faults)
    assert error.faults == tuple(faults)
    assert str(error) == "a: b: c\nd: e: f"
    assert str(ConfigError("plain")) == "plain"


def test_an_unknown_name_is_answered() -> None:
    error = UnknownNameError("method", "randon", ["l1", "random"])
    assert str(error) == "no method is called 'randon'. Did you mean 'random'? Known: l1, random."
    assert (error.kind, error.name, error.known) == ("method", "randon", ("l1", "random"))


def test_a_name_like_no_other_gets_no_suggestion() -> None:
    assert did_you_mean("quark", ["l1", "b2"]) == "Known: b2, l1."


def test_a_missing_extra_says_what_to_type() -> None:
    assert str(MissingExtraError("a data set on the hub", "hub")).endswith('Install it with: pip install "regrow[hub]"')
