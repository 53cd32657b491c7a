"""Live progress on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from regrow.report.progress import LiveProgress, line, picture
from regrow.study.progress import Running, Snapshot


def snapshot(done: int = 3, elapsed: float = 12.0, **changed: object) -> Snapshot:
    values = {
        "done": done,
        "total": 40,
        "running": (),
        "elapsed_seconds": elapsed,
        "eta_seconds": 75.0,
        "message": "dense, seed 2",
    }
    return Snapshot(**(values | changed))  # type: ignore[arg-type]


def quiet_console() -> Console:
    return Console(file=io.StringIO(), width=100, force_terminal=False)


def text_of(console: Console) -> str:
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_a_plain_line_says_how_far_and_how_long() -> None:
    assert line(snapshot()) == "3 of 40 stages, 12.0 s, about 1 min 15 s to go: dense, seed 2"


def test_without_an_estimate_none_is_invented() -> None:
    assert line(snapshot(eta_seconds=None, message="")) == "3 of 40 stages, 12.0 s"


def test_a_finished_study_has_nothing_to_go() -> None:
    assert line(snapshot(done=40, message="")) == "40 of 40 stages, 12.0 s"


def test_off_a_terminal_lines_are_rare_and_the_last_state_is_always_written() -> None:
    console = quiet_console()
    with LiveProgress(console, quiet_seconds=30.0) as progress:
        for second in range(0, 70, 5):
            progress(snapshot(done=second, elapsed=float(second), message=""))
    assert [text.split()[0] for text in text_of(console).splitlines()] == ["0", "30", "60", "65"]


def test_the_last_state_is_not_written_twice() -> None:
    console = quiet_console()
    with LiveProgress(console) as progress:
        progress(snapshot())
    assert len(text_of(console).splitlines()) == 1


def test_without_any_state_nothing_is_written() -> None:
    console = quiet_console()
    with LiveProgress(console):
        pass
    assert text_of(console) == ""


def test_messages_are_not_markup() -> None:
    console = quiet_console()
    with LiveProgress(console) as progress:
        progress(snapshot(message="[red]x[/red]"))
    assert "[red]x[/red]" in text_of(console)


def test_the_picture_has_the_study_and_every_training() -> None:
    running = (
        Running(label="vgg11 l1 50 % retrain, seed 3", epoch=4, epochs=8, loss=0.1234),
        Running(label="dense", epoch=0, epochs=30, loss=None),
    )
    console = quiet_console()
    console.print(picture(snapshot(running=running)))
    study, first, second, message = text_of(console).splitlines()
    assert "3 of 40 stages" in study
    assert "about 1 min 15 s to go" in study
    assert first.split("retrain, seed 3")[1].split() == ["epoch", "4/8", "loss", "0.1234"]
    assert second.split("dense")[1].split() == ["epoch", "0/30"]
    assert message == "dense, seed 2"


def test_a_study_without_an_estimate_is_estimating() -> None:
    console = quiet_console()
    console.print(picture(snapshot(eta_seconds=None)))
    assert "estimating" in text_of(console)


def test_on_a_terminal_the_display_is_live_and_leaves_one_line_behind() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    with LiveProgress(console) as progress:
        progress(snapshot())
        progress(snapshot(done=40, eta_seconds=0.0, message="finished"))
    written = text_of(console)
    assert "\x1b[" in written
    assert written.splitlines()[-1].endswith("40 of 40 stages, 12.0 s: finished")
