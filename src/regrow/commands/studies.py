"""The commands about studies: list, check, plan, run, report. Each imports what it needs when it runs."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regrow.commands.terminal import OUT, AsJson, Folder, print_json, told
from regrow.errors import ConfigError, RegrowError
from regrow.evaluation.seeds import FEWEST_SEEDS

if TYPE_CHECKING:
    from regrow.config.study import Study


def _kinds() -> list[str]:
    from regrow.config.catalog import KINDS

    return list(KINDS)


def _studies() -> list[str]:
    from regrow.config.packaged import STUDIES

    return list(STUDIES)


def _complete_kind(incomplete: str) -> list[str]:
    return [kind for kind in _kinds() if kind.startswith(incomplete)]


def _complete_study(incomplete: str) -> list[str]:
    return [name for name in _studies() if name.startswith(incomplete)]


KindName = Annotated[
    str | None,
    typer.Argument(
        metavar="[KIND]",
        show_default=False,
        help="networks, sources, data, methods, method-sources, designs, arms, conventions, analyses, published or studies; "
        "without one: all studies, and all kinds.",
        autocompletion=_complete_kind,
    ),
]
StudyName = Annotated[
    str,
    typer.Argument(
        metavar="STUDY", help="A packaged study by name, or the path of a TOML file.", autocompletion=_complete_study
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change the study, e.g. --set prune.fraction=0.3. Repeatable."),
]
Profile = Annotated[
    str | None,
    typer.Option(
        "--profile", metavar="NAME", help="A profile of the study, e.g. quick, which every packaged study has."
    ),
]
Trust = Annotated[
    bool, typer.Option("--trust", help="Run code that the study names: your own function, or a saved program.")
]


def list_command(kind: KindName = None, as_json: AsJson = False) -> None:
    """List what a study can name; without a kind, the packaged studies and the kinds."""
    with told():
        from regrow.config.catalog import KINDS, listing

        kinds = [{"name": name, "summary": one.summary} for name, one in KINDS.items()]
        if as_json:
            print_json({"studies": listing("studies"), "kinds": kinds} if kind is None else listing(kind))
        elif kind is None:
            typer.echo(f"Studies, for regrow run:\n{_columns(listing('studies'))}\n")
            typer.echo(f"What a study can name, for regrow list KIND:\n{_columns(kinds)}")
        else:
            typer.echo(_columns(listing(kind)))


def _columns(rows: Sequence[Mapping[str, Any]]) -> str:
    """Names and summaries in two columns, wrapped to the terminal."""
    indent = 2 + max((len(row["name"]) for row in rows), default=0)
    width = max(40 + indent, shutil.get_terminal_size().columns)
    blank = " " * indent
    return "\n".join(
        textwrap.fill(
            f"{row['name']:<{indent}}{row['summary']}", width, subsequent_indent=blank, break_on_hyphens=False
        )
        for row in rows
    )


def check_command(
    study: StudyName,
    changes: Changes = None,
    profile: Profile = None,
    trust: Trust = False,
    as_json: AsJson = False,
) -> None:
    """Check a study file and say everything that is wrong with it. Opens no data and trains nothing."""
    with told():
        from regrow.config.load import check_profiles, load_study

        try:
            whole = load_study(study, changes or [], trust=trust, profile=profile)
            if profile is None:
                check_profiles(study, changes or [], trust=trust)
        except RegrowError as error:
            if as_json:
                print_json({"ok": False, "faults": _faults(error)})
            raise
        if as_json:
            print_json({"ok": True, "faults": [], "settings": whole.settings()})
        else:
            typer.echo(_summary(whole))


def _faults(error: RegrowError) -> list[dict[str, str]]:
    if isinstance(error, ConfigError) and error.faults:
        return [{"where": one.where, "key": one.key, "rule": one.rule, "hint": one.hint} for one in error.faults]
    return [{"where": "", "key": "", "rule": str(error), "hint": ""}]


def _summary(study: Study) -> str:
    """A study in two lines, and what keeps it from a verdict."""
    counts = [
        (len(study.data), "data set"),
        (len(study.network), "network"),
        *([(len(study.variant), "recipe")] if study.variant else []),
        (sum(len(prune.methods) * max(1, len(prune.fractions)) for prune in study.prune), "pruning"),
        (len(study.arms), "arm"),
        (len(study.seeds), "seed"),
    ]
    size = " x ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)
    if any(prune.networks or prune.datasets for prune in study.prune):
        size += " (some prunings for some networks or data sets only)"
    first, second = study.contrast
    margin = f"{study.margin:g} {'point' if study.margin == 1 else 'points'}"
    said = f"{study.name} is a study without faults: {size}.\nIt will compare {first} with {second}, margin {margin}."
    few = len(study.seeds) < FEWEST_SEEDS
    return said + (f"\nNo verdict will come of it: that needs at least {FEWEST_SEEDS} seeds." if few else "")


def plan_command(
    study: StudyName,
    changes: Changes = None,
    profile: Profile = None,
    out: Folder = OUT,
    measure: Annotated[bool, typer.Option(help="Time a few training steps of each architecture.")] = True,
    trust: Trust = False,
    as_json: AsJson = False,
) -> None:
    """Show the stages, the epochs of every arm, and the time a study will take, before anything is spent."""
    with told():
        from regrow.config.load import load_study

        whole = load_study(study, changes or [], trust=trust, profile=profile)
        from regrow.study.plan import describe

        planned = describe(whole, out, measure=measure)
        if as_json:
            print_json(planned)
            return
        from rich.console import Console

        from regrow.report.tables import print_plan

        print_plan(planned, Console())


def run_command(
    study: StudyName,
    out: Folder = OUT,
    workers: Annotated[int | None, typer.Option(min=1, help="Trainings side by side; never changes a result.")] = None,
    changes: Changes = None,
    profile: Profile = None,
    trust: Trust = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No live progress.")] = False,
    as_json: AsJson = False,
) -> None:
    """Do what is missing of a study, then print the verdict and write the report. Stop and start it at will."""
    with told():
        from regrow import api

        said: dict[str, Any] = {
            "out": out,
            "workers": workers,
            "set": changes or [],
            "profile": profile,
            "trust": trust,
        }
        again = api.command_line(study, **said)
    with told(f"What is finished is kept; go on with: {again}"):
        results = api.run(study, quiet=quiet, **said)
        _show(results, as_json)


def _show(results: Any, as_json: bool) -> None:
    """Print results, then what failed; exit code 1 if something did."""
    if as_json:
        print_json(results.content)
    else:
        from rich.console import Console

        from regrow.report.tables import print_results

        print_results(results.content, Console())
    typer.echo(f"Report: {results.page}", err=True)
    for line in results.failures:
        typer.echo(f"Failed: {line}", err=True)
    if results.failures:
        raise typer.Exit(1)


def report_command(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY_OR_FOLDER", help="A study, or the folder of its results.", autocompletion=_complete_study
        ),
    ],
    out: Folder = OUT,
    profile: Profile = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a page in Markdown, for documents.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the results of a study that has run, and write report.html and results.csv again."""
    with told():
        from regrow import api

        results = api.open_results(study, out=out, profile=profile)
        if markdown:
            from regrow.report.markdown import markdown_page

            typer.echo(markdown_page(results.content), nl=False)
            return
        api.write_report(results.content, results.folder)
        _show(results, as_json)
