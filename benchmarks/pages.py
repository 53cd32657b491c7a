"""The pages of docs/results that follow from committed results, written anew: `python -m benchmarks.pages`.

    docs/results/<name>/results.json    what `regrow run` found
    docs/results/<name>/page.toml       what a person says about it: question, answer, more, caveats, repeat; for the summary
                                        `short`, `place` (rows are in this order) and `rows`: cases, or between for the
                                        contrasts that the study declares between its comparisons
    docs/results/<name>.md              the page
    benchmarks/<summary>.md             what a person says about all of them, with a mark where each table comes
    docs/<summary>.md                   the summary

A test compares every page with what this writes, so no number on a page can differ from its results.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from regrow.report.cases import Case, Results, Row, cases, rows
from regrow.report.markdown import Words, markdown_page, table
from regrow.report.published import comparison_row
from regrow.report.words import DASH, points, points_span

DOCS: Final = Path(__file__).parents[1] / "docs"
FOLDER: Final = DOCS / "results"
SAID: Final = Path(__file__).with_name("was-pruning-worth-it.md")
MARKS: Final = {"cases": "<!-- comparisons -->", "between": "<!-- between comparisons -->"}
HEADERS: Final = {
    "cases": ("study", "fine-tuned", "scratch-e", "scratch-b", "difference", "n", "verdict", "published"),
    "between": ("study", "question", "first", "second", "difference", "n", "verdict"),
}
SCRATCH_B: Final = ("scratch-b", "scratch-b0", "scratch-b0-cap")


def pages(folder: Path = FOLDER) -> Iterator[tuple[Path, str]]:
    """Every page with the text that its results and words make, and the summary of all."""
    yield from _results_pages(folder)
    text = SAID.read_text(encoding="utf-8")
    for kind, mark in MARKS.items():
        text = text.replace(mark, summary(kind, folder))
    yield folder.parent / SAID.name, text


def _results_pages(folder: Path) -> Iterator[tuple[Path, str]]:
    for said in sorted(folder.glob("*/page.toml")):
        results = json.loads((said.parent / "results.json").read_text(encoding="utf-8"))
        page = markdown_page(results, words(said)) + _files(said.parent)
        yield folder / f"{said.parent.name}.md", page


def summary(kind: str, folder: Path = FOLDER) -> str:
    """One row for each comparison, or each contrast between comparisons, of the studies whose `page.toml` has a `short` name."""
    found = [
        (tomllib.loads(said.read_text(encoding="utf-8")), said.parent) for said in sorted(folder.glob("*/page.toml"))
    ]
    chosen = [(told, at) for told, at in found if told.get("short") and told.get("rows", "cases") == kind]
    lines = []
    for told, at in sorted(chosen, key=lambda one: one[0].get("place", 0)):
        results = json.loads((at / "results.json").read_text(encoding="utf-8"))
        link = f"[{told['short']}](results/{at.name}.md)"
        lines += [(link + told_apart, *line) for told_apart, *line in _lines(results, kind)]
    return table(HEADERS[kind], lines)


def _lines(results: Results, kind: str) -> Iterator[tuple[str, ...]]:
    """The rows of one study; first in each what tells it from the study's other rows."""
    if kind == "between":
        yield from (("", *_between(row)) for row in rows(results, "between"))
        return
    judged = [case for case in cases(results) if case.verdict]
    for case in judged:
        yield (f": {case.variant or case.design}" if len(judged) > 1 else "", *_line(results, case))


def _between(row: Row) -> tuple[str, ...]:
    said = f"{points(row['mean'])} ({points_span(row['ci95'])})"
    return (str(row["between"]), str(row["a"]), str(row["b"]), said, str(row["n"]), _word(row))


def _word(row: Row) -> str:
    return str(row.get("word") or "no verdict")


def _difference(row: Row) -> str:
    return f"{row['a']} − {row['b']}: {points(row['mean'])} ({points_span(row['ci95'])})"


def _line(results: Results, case: Case) -> tuple[str, ...]:
    verdict = case.verdict
    assert verdict is not None
    arms = ("fine-tune", "ticket", "retrain"), ("scratch-e",), SCRATCH_B
    found = [next((arm for name in names if (arm := case.find(name))), None) for names in arms]
    reached = [f"{arm.accuracy:.1f}" if arm and arm.accuracy is not None else DASH for arm in found]
    return (*reached, _difference(verdict), str(verdict["n"]), _word(verdict), _published(results, case))


def _published(results: Results, case: Case) -> str:
    """The published difference of the same two arms, and whether ours agrees."""
    row, verdict = comparison_row(results, case), case.verdict or {}
    pair = (verdict.get("a"), str(verdict.get("b")).removesuffix("0-cap").removesuffix("0"))
    for one in (row or {}).get("differences", ()):
        if (one["a"], one["b"]) == pair and one["theirs"]:
            return f"{points(one['theirs']['mean'])} ({points_span(one['theirs']['ci95'])}): {one['word']}"
    return DASH


def words(path: Path) -> Words:
    """What a person says about one study."""
    said = tomllib.loads(path.read_text(encoding="utf-8"))
    for key in ("short", "place", "rows"):
        said.pop(key, None)
    return Words(**{key: tuple(value) if isinstance(value, list) else value.strip() for key, value in said.items()})


def _files(folder: Path) -> str:
    """Links to everything else that stands beside the results."""
    found = [path.name for path in sorted(folder.iterdir()) if path.name != "page.toml"]
    return f"\n**Everything:** {', '.join(f'[{name}]({folder.name}/{name})' for name in found)}.\n"


def main() -> None:
    """Write every page."""
    for path, text in pages():
        path.write_text(text, encoding="utf-8")
        print(path.name)


if __name__ == "__main__":
    main()
