"""The command `regrow latency`, on the smallest network of the zoo."""

from __future__ import annotations

import json

import pytest

from regrow.evaluation import stopwatch
from tests.commands.shell import called

TINY = ("latency", "resnet20", "--shape", "3x8x8", "--backend", "eager", "--seconds", "0", "--roundings", "")


@pytest.fixture(autouse=True)
def _hardly_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopwatch, "WARM_UP_SECONDS", 0.0)
    monkeypatch.setattr(stopwatch, "TURN_SECONDS", 0.0)


def test_it_is_told_to_people() -> None:
    done = called(*TINY, "--fractions", "0.5")
    assert (done.code, done.err) == (0, "Pruning at random, warming up, then measuring for about 0 s.\n")
    assert done.out.startswith("resnet20, 3x8x8, batch 1")
    assert "Fraction 0.5: MACs fall 2." in done.out.replace("\n", " ")


def test_it_is_told_to_programs() -> None:
    done = called(*TINY, "--fractions", "0.25,0.5", "--batch", "2", "--classes", "7", "--json")
    answer = json.loads(done.out)
    assert [row["name"] for row in answer["rows"]] == ["dense", "0.25", "0.5"]
    assert (answer["network"], answer["classes"], answer["setup"]["batch"]) == ("resnet20", 7, 2)
    assert answer["provenance"]["processor"]
    assert all(row["median_seconds"] > 0 for row in answer["rows"])


def test_groups_can_be_left_whole() -> None:
    done = called(*TINY, "--fractions", "0.5", "--ignore", "stage1.*", "--ignore", "stage2.*", "--json")
    whole = called(*TINY, "--fractions", "0.5", "--json")
    cut, more = (json.loads(one.out)["rows"][1]["mac_cut"] for one in (done, whole))
    assert 1 < cut < more


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--shape", "32", "--shape: must be channels x height x width; found '32'"),
        ("--fractions", "half", "--fractions: must be numbers with commas between them; found 'half'"),
        ("--fractions", "50", "Did you mean 0.5?"),
        ("--backend", "eagre", "Did you mean 'eager'"),
        ("--device", "tpu", "found 'tpu'"),
        ("--ignore", "stge1", "stge1"),
    ],
)
def test_wrong_input_is_told_without_a_traceback(option: str, value: str, message: str) -> None:
    done = called(*TINY, option, value)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_an_unknown_network_is_wrong_input() -> None:
    done = called("latency", "resnet-56")
    assert (done.code, done.out) == (2, "")
    assert "Did you mean 'resnet56'" in done.err


def test_help_shows_the_defaults() -> None:
    text = called("latency", "--help").out
    assert "0,0.25,0.5,0.75" in text and "8,16,32" in text
