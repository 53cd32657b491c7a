"""What can be asked about speed."""

from __future__ import annotations

import pytest

from regrow.errors import UnknownNameError
from regrow.evaluation import setup
from regrow.evaluation.setup import BACKENDS, Setup, usual_backends
from regrow.table import load


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_says_what_it_is_and_can_be_found(name: str) -> None:
    assert BACKENDS[name].summary
    assert callable(load(BACKENDS[name].target))


def test_compiling_is_slow_so_it_waits_to_be_asked_for() -> None:
    assert "eager" in usual_backends()
    assert "compiled" not in usual_backends()


def test_what_is_not_installed_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "find_spec", lambda _: None)
    assert usual_backends() == ("eager",)
    assert not BACKENDS["onnxruntime"].installed


def test_an_unknown_backend_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'compiled'"):
        BACKENDS["compile"]


def test_one_thread_on_the_cpu_unless_it_is_said() -> None:
    asked = Setup(backends=("eager",))
    assert (asked.threads, asked.device, asked.channels_last) == (1, "cpu", False)
