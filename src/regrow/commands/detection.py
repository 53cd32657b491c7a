"""The command `regrow detect`: do a study's networks find objects as well? Imports what it needs when it runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regrow.commands.studies import Changes, Profile, StudyName, Trust
from regrow.commands.terminal import OUT, AsJson, Folder, print_json, told
from regrow.errors import UnknownNameError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def _complete_format(incomplete: str) -> list[str]:
    from regrow.detection.settings import FORMATS

    return [name for name in FORMATS if name.startswith(incomplete)]


def detect_command(
    study: StudyName,
    root: Annotated[Path, typer.Option("--root", metavar="FOLDER", help="Images and boxes, in VOC or COCO format.")],
    format: Annotated[  # noqa: A002 - the name of the option
        str, typer.Option("--format", help="voc or coco.", autocompletion=_complete_format)
    ],
    arms: Annotated[
        list[str] | None,
        typer.Option("--arms", help="Arms of the study, and dense, with commas; repeatable. All of them unless given."),
    ] = None,
    prune_after: Annotated[
        bool,
        typer.Option(
            "--prune-after", help="Also prune dense detectors after their training, and train them once more."
        ),
    ] = False,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images; 12 unless given.")] = None,
    lr: Annotated[
        float | None, typer.Option(help="Peak learning rate; 0.00125 for each image of a batch unless given.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Images of a step; 8 unless given.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Shorter side of images in pixels; 600 unless given.")] = None,
    channels: Annotated[int | None, typer.Option(help="Channels of the feature pyramid; 256 unless given.")] = None,
    regions: Annotated[
        int | None, typer.Option(help="Proposals of an image that are trained on; 512 unless given.")
    ] = None,
    norms: Annotated[
        str | None, typer.Option(help="Batch norms of the backbone: frozen, or trained. Frozen unless given.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; cpu unless given.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads; 1 unless given.")] = None,
    out: Folder = OUT,
    changes: Changes = None,
    profile: Profile = None,
    trust: Trust = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No live progress.")] = False,
    as_json: AsJson = False,
) -> None:
    """Transfer a finished study's networks to detection: each becomes the backbone of a Faster R-CNN, trained alike."""
    recipe: dict[str, Any] = {
        "epochs": epochs,
        "lr": lr,
        "batch": batch,
        "image_size": image_size,
        "channels": channels,
        "regions": regions,
        "norms": norms,
        "device": device,
        "threads": threads,
    }
    with told():
        from regrow.detection.settings import FORMATS, read_settings

        if format not in FORMATS:
            raise UnknownNameError("format of boxes", format, FORMATS)
        settings = read_settings(root=root, format=format, **recipe)
        from regrow.config.load import load_study

        whole = load_study(study, changes or [], trust=trust, profile=profile)
    names = [name for given in arms or () for name in given.split(",") if name]
    again = _command_line(study, root, format, recipe, arms=names, out=out, prune_after=prune_after)
    again += "".join(f" --set {shlex.quote(change)}" for change in changes or ())
    again += f" --profile {shlex.quote(profile)}" if profile else ""
    again += " --trust" if trust else ""
    with told(f"Finished detectors are kept; go on with: {again}"):
        from regrow.detection.transfer import run_transfer

        content = run_transfer(
            whole,
            out,
            settings,
            arms=names or None,
            prune_after=prune_after,
            command=again,
            tell=_silent if quiet else _told_on_stderr,
        )
        _show(content, as_json)
        typer.echo(f"Written: {out / whole.name / 'detection' / 'detection.json'}", err=True)


def _told_on_stderr(line: str) -> None:
    typer.echo(line, err=True)


def _silent(line: str) -> None:
    del line


def _command_line(
    study: str,
    root: Path,
    format: str,  # noqa: A002 - the name of the option
    recipe: Mapping[str, Any],
    *,
    arms: Sequence[str],
    out: Path,
    prune_after: bool,
) -> str:
    """The command that does the same again, but for what changes the study."""
    parts = ["regrow", "detect", study, "--root", str(root), "--format", format]
    parts += ["--arms", ",".join(arms)] if arms else []
    parts += ["--prune-after"] if prune_after else []
    for name, value in recipe.items():
        parts += [f"--{name.replace('_', '-')}", str(value)] if value is not None else []
    parts += ["--out", str(out)] if out != OUT else []
    return shlex.join(parts)


def _show(content: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(content)
        return
    from rich.console import Console

    console = Console()
    print_detection(content, console)
    for line in (*content["data"]["notes"], *content["problems"]):
        typer.echo(f"Note: {line}", err=True)


def print_detection(content: Mapping[str, Any], console: Console) -> None:
    """The arms of every comparison, and their paired differences in mAP. Nothing of the content is read as rich markup."""
    from rich.text import Text

    from regrow.detection.comparison import cases

    for case, rows in cases(content["rows"]):
        console.print(_arms(content, case, rows))
        console.print()
        console.print(_pairs(content, case))
        console.print()
    data = content["data"]
    said = f"{data['train']} training images, {data['test']} test images, {len(data['classes'])} classes"
    console.print(Text(f"{said}. Nothing was chosen; each detector saw the test images once.", style="dim"))


def _table(title: str, columns: Sequence[str], *, texts: int = 1) -> Table:
    """An empty table; its first `texts` columns hold words, which are never broken, all others numbers."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, collapse_padding=True)
    for number, name in enumerate(columns):
        words = number < texts
        table.add_column(Text(name), justify="left" if words else "right", no_wrap=words)
    return table


def _arms(content: Mapping[str, Any], case: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Table:
    from regrow.report.words import quantity, span

    title = ", ".join(str(case[key]) for key in ("network", "variant", "method", "design") if case.get(key))
    names = ["arm", "paper", "n", "mAP\n%", "95 %\ninterval", "AP50\n%", "VOC\nAP50\n%", "MACs", "params", "epochs"]
    table = _table(title, names, texts=2)
    for arm in dict.fromkeys(row["arm"] for row in rows):
        means = {one["metric"]: one for one in content["arms"] if one["arm"] == arm and _same(one, case)}
        first = next(row for row in rows if row["arm"] == arm)
        none = {"n": 0, "mean": None, "ci95": None}
        one, other, voc = (means.get(name, none) for name in ("map", "map50", "voc_ap50"))
        cells = [arm, first["paper"] or "", str(one["n"]), _number(one["mean"]), span(one["ci95"])]
        cells += [_number(other["mean"]), _number(voc["mean"])]
        cells += [quantity(first["backbone_macs"]), quantity(first["backbone_params"]), str(first["epochs"])]
        table.add_row(*map(_plain, cells))
    return table


def _number(value: float | None) -> str:
    from regrow.report.words import DASH

    return DASH if value is None else f"{value:.2f}"


def _pairs(content: Mapping[str, Any], case: Mapping[str, Any]) -> Table:
    from regrow.report.words import points, points_span

    table = _table("paired differences of mAP, percentage points", ["arms", "n", "mean", "95 % interval"])
    for pair in content["pairs"]:
        if pair["metric"] == "map" and _same(pair, case):
            cells = [f"{pair['a']} - {pair['b']}", str(pair["n"]), points(pair["mean"]), points_span(pair["ci95"])]
            table.add_row(*map(_plain, cells))
    return table


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(text)


def _same(row: Mapping[str, Any], case: Mapping[str, Any]) -> bool:
    return all(row[key] == value for key, value in case.items())
