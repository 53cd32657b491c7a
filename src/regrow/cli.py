"""The command line: list, check, plan, run, report, guide, prune, latency.

What a command was asked for goes to stdout; progress, notes and errors go to stderr, so `--json` can be piped. Exit codes: 0 done,
1 failed, 2 wrong input, 130 stopped by Ctrl-C. The commands stand in `commands/`; each imports what it needs when it runs, so
`--help`, `list`, `check` and completion never wait for torch.
"""

from __future__ import annotations

from typing import Annotated

import typer

from regrow.commands.detection import detect_command
from regrow.commands.guide import guide_command
from regrow.commands.latency import latency_command
from regrow.commands.pruning import prune_command
from regrow.commands.studies import check_command, list_command, plan_command, report_command, run_command

app = typer.Typer(
    name="regrow",
    help="Was pruning worth it, or would the same small network trained from scratch have done as well?",
    epilog="Try: regrow run digits",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help, so that --help need not import rich
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line."""
    app(prog_name="regrow")


def _show_version(wanted: bool) -> None:
    if wanted:
        from regrow.version import __version__

        typer.echo(f"regrow {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Was pruning worth it, or would the same small network trained from scratch have done as well?"""


app.command("list")(list_command)
app.command("check")(check_command)
app.command("plan")(plan_command)
app.command("run")(run_command)
app.command("report")(report_command)
app.command("guide")(guide_command)
app.command("prune")(prune_command)
app.command("latency")(latency_command)
app.command("detect")(detect_command)
