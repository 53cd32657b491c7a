"""Tables: results and plans on a terminal, and one row per run as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from regrow.files import write_atomic
from regrow.report.cases import ArmSummary, Case, Results, cases, rows
from regrow.report.sentences import time_against_macs
from regrow.report.words import DASH, plural, quantity, rate, seconds, span

COLUMNS: Final = (
    "network",
    "data",
    "variant",
    "method",
    "fraction",
    "design",
    "arm",
    "seed",
    "epochs",
    "lr",
    "tuned",
    "final_lr",
    "schedule",
    "macs",
    "params",
    "nominal_macs",
    "test_accuracy",
    "test_loss",
    "validation_accuracy",
    "train_accuracy",
    "training_flops",
    "train_seconds",
    "stage",
)
"""Columns of results.csv, in this order whatever the rows hold."""


def print_results(results: Results, console: Console) -> None:
    """The verdicts first, one sentence each, then the arms of every case and whether equal MACs were equal seconds, then what the paper's
    numbers beside them are.

    Nothing from the results is read as rich markup.
    """
    found = list(cases(results))
    verdicts = [case.verdict for case in found if case.verdict]
    for verdict in (*rows(results, "between"), *verdicts):  # questions of the study's own come first
        console.print(Text(str(verdict.get("sentence") or verdict.get("word") or ""), style="bold"), soft_wrap=False)
    if not verdicts:
        console.print(
            Text("No verdict: the primary contrast needs both of its arms and at least 3 seeds.", style="bold")
        )
    for case in found:
        console.print()
        console.print(_arms_table(case))
        for sentence in time_against_macs(case)[:1]:
            console.print(Text(sentence, style="dim"))
    from regrow.report.published_text import print_published  # loads scipy, which a plan does without

    print_published(results, console)


def _arms_table(case: Case) -> Table:
    title = Text(", ".join(filter(None, (f"{case.network} on {case.data}", case.method, case.removed, case.variant))))
    table = _table(
        title, ["arm"], ["n", "test\nacc. %", "95 %\ninterval", "epochs", "lr", "MACs", "params", "training\ntime"]
    )
    ranked = case.ranked
    for group in ((case.dense,) if case.dense else (), ranked, case.controls):
        for arm in group:
            table.add_row(*_arm_cells(arm))
        if group is ranked and case.controls:
            table.add_row()
    if case.controls:
        table.caption = Text("last: controls, reported beside the arms and never pooled with them")
    return table


def _arm_cells(arm: ArmSummary) -> list[Text]:
    accuracy = arm.accuracy
    cells = (
        arm.arm,
        str(arm.n),
        DASH if accuracy is None else f"{accuracy:.2f}",
        span(arm.interval),
        str(arm.only("epochs")),
        rate(arm.only("lr")),
        quantity(arm.only("macs")),
        quantity(arm.only("params")),
        seconds(arm.mean("train_seconds")),
    )
    return [Text(cell) for cell in cells]


def write_csv(results: Results, path: Path) -> None:
    """One row per run, sorted by its key columns; the same results give the same bytes, and nothing is rounded."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for run in sorted(rows(results, "runs"), key=_run_order):
        writer.writerow({key: _cell(run.get(key)) for key in COLUMNS})
    write_atomic(path, text.getvalue())


def _run_order(run: Mapping[str, Any]) -> tuple[Any, ...]:
    fraction = run.get("fraction")
    comparison = (
        run["network"],
        run["data"],
        run.get("variant") or "",
        run["method"],
        fraction is not None,
        fraction or 0.0,
        run.get("design") or "",
    )
    return (*comparison, run["arm"], run["seed"])


def _cell(value: Any) -> Any:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else value


def print_plan(plan: Mapping[str, Any], console: Console) -> None:
    """What a study will do and cost: its stages by kind, its architectures, the estimate, and notes. Missing keys are left out."""
    networks = [{"removed": "nothing (dense)", **row} for row in plan.get("networks") or ()]
    tables = (
        _architectures_table([*networks, *(plan.get("architectures") or ())]),
        _conventions_table(plan.get("architectures") or ()),
        _planned_arms_table(plan.get("arms") or ()),
        _stages_table(plan.get("stages") or ()),
    )
    for table in tables:
        if table.row_count:
            console.print(table)
            console.print()
    console.print(Text(_estimate(plan), style="bold"))
    for note in plan.get("notes") or ():
        console.print(Text(f"note: {note}"))


def _architectures_table(architectures: Sequence[Mapping[str, Any]]) -> Table:
    masked = any(row.get("nominal_macs") for row in architectures)
    headers = ["MACs", *(["nominal MACs"] if masked else []), "params", "activations"]
    table = _table(Text("architectures"), ["network", "data", "method", "removed"], headers)
    for row in architectures:
        cells = [row.get("network"), row.get("data"), row.get("method"), _amount(row), quantity(row.get("macs"))]
        cells += [quantity(row.get("nominal_macs"))] if masked else []
        cells += [quantity(row.get("params")), _bytes(row.get("peak_activation_bytes"))]
        table.add_row(*(_text(cell) for cell in cells))
    return table


def _conventions_table(architectures: Sequence[Mapping[str, Any]]) -> Table:
    """Scratch epochs of every architecture under every convention; a dash where one pays for no epoch."""
    conventions = list(dict.fromkeys(name for row in architectures for name in row.get("scratch_epochs") or {}))
    table = _table(
        Text("epochs from scratch, by budget convention"), ["network", "data", "method", "removed"], conventions
    )
    for row in architectures if conventions else ():
        epochs = row.get("scratch_epochs") or {}
        cells = [row.get("network"), row.get("data"), row.get("method"), _amount(row)]
        table.add_row(*(_text(cell) for cell in [*cells, *(epochs.get(name) for name in conventions)]))
    return table


def _planned_arms_table(arms: Sequence[Mapping[str, Any]]) -> Table:
    table = _table(
        Text("arms"), ["network", "data", "method", "removed", "arm"], ["epochs", "schedule", "seeds", "learning rate"]
    )
    for row in arms:
        cells = [row.get("network"), row.get("data"), row.get("method"), _amount(row), row.get("arm")]
        cells += [row.get(key) for key in ("epochs", "schedule", "seeds", "lr")]
        table.add_row(*(_text(cell) for cell in cells))
    return table


def _amount(row: Mapping[str, Any]) -> str | None:
    """What was removed, with the recipe where the study has several."""
    removed, variant = _removed(row), row.get("variant")
    return f"{removed}, {variant}" if removed and variant else removed


def _removed(row: Mapping[str, Any]) -> str | None:
    fraction, said = row.get("fraction"), row.get("design")
    if said is None and fraction is not None:
        return f"{fraction * 100:.4g} %"
    return said or row.get("removed")


def _text(cell: Any) -> Text:
    return Text(DASH if cell in (None, "") else str(cell))


def _bytes(value: float | None) -> str:
    return DASH if value is None else f"{quantity(value)}B" if value >= 1000 else f"{quantity(value)} B"


def _stages_table(stages: Sequence[Mapping[str, Any]]) -> Table:
    table = _table(Text("stages"), ["kind"], ["count", "done", "estimate"])
    for stage in stages:
        cells = (stage.get("kind"), stage.get("count"), stage.get("done", 0), seconds(stage.get("seconds")))
        table.add_row(*(_text(cell) for cell in cells))
    return table


def _estimate(plan: Mapping[str, Any]) -> str:
    stages = plan.get("stages") or ()
    count, done = (sum(stage.get(key) or 0 for stage in stages) for key in ("count", "done"))
    said = f"{plural(count, 'stage')}, {done} already done"
    estimated, workers = plan.get("estimated_seconds"), plan.get("workers")
    if estimated is not None:
        said += f"; about {seconds(estimated)} to go"
    return said + (f" with {plural(workers, 'worker')}." if workers else ".")


def _table(title: Text, left: Sequence[str], right: Sequence[str]) -> Table:
    """No lines, so that it can be copied into a mail. Too narrow a terminal folds numbers and never cuts them."""
    table = Table(
        title=title, title_justify="left", title_style="", caption_justify="left", box=None, padding=(0, 1, 0, 0)
    )
    for header in left:
        table.add_column(header, overflow="fold")
    for header in right:
        table.add_column(header, justify="right", overflow="fold")
    return table
