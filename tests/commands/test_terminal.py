"""What all commands do alike: errors are told, JSON is JSON."""

from __future__ import annotations

import json

import pytest
import typer

from regrow.commands.terminal import STOPPED, image_shape, print_json, told
from regrow.errors import ConfigError, DataError


@pytest.mark.parametrize(("error", "code"), [(ConfigError("no such thing"), 2), (DataError("no such thing"), 1)])
def test_an_error_raised_on_purpose_is_told_and_ends_with_its_code(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as exit_, told():
        raise error
    assert exit_.value.exit_code == code
    assert capsys.readouterr() == ("", "no such thing\n")


def test_ctrl_c_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as exit_, told("Go on with: this"):
        raise KeyboardInterrupt
    assert exit_.value.exit_code == STOPPED
    assert capsys.readouterr().err == "\nStopped. Go on with: this\n"


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), told():
        _ = 1 / 0


def test_json_keeps_letters_and_refuses_what_is_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "größer"})
    assert json.loads(capsys.readouterr().out) == {"name": "größer"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json(float("nan"))


def test_the_shape_of_an_image_is_written_with_crosses() -> None:
    assert image_shape("3x224X200") == (3, 224, 200)
    for wrong in ("224", "3x0x8", "3x8x-8", "3x8x8x8", "axbxc"):
        with pytest.raises(ConfigError, match=f"--shape: must be channels x height x width; found '{wrong}'"):
            image_shape(wrong)
