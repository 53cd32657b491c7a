"""The pages of docs/results that follow from committed results, written anew: `python -m benchmarks.pages`.

    docs/results/<name>/results.json    what `regrow run` found
    docs/results/<name>/page.toml       what a person says about it: question, answer, more, caveats, repeat; `short` for the
                                        summary, whose `rows` are cases, between (contrasts declared between them) or both
    docs/results/<name>.md              the page
    docs/hooks/<summary>.md             what a person says about all of them, with a mark where the table of all comes
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
SUMMARY: Final = "was-pruning-worth-it.md"
MARK: Final = "<!-- all comparisons -->"
SCRATCH_B: Final = ("scratch-b", "scratch-b0", "scratch-b0-cap")


def pages(folder: Path = FOLDER) -> Iterator[tuple[Path, str]]:
    """Every page with the text that its results and words make, and the summary of all."""
    yield from _results_pages(folder)
    said = folder.parent / "hooks" / SUMMARY
    if said.exists():
        yield folder.parent / SUMMARY, said.read_text(encoding="utf-8").replace(MARK, summary(folder))


def _results_pages(folder: Path) -> Iterator[tuple[Path, str]]:
    for said in sorted(folder.glob("*/page.toml")):
        results = json.loads((said.parent / "results.json").read_text(encoding="utf-8"))
        page = markdown_page(results, words(said)) + _files(said.parent)
        yield folder / f"{said.parent.name}.md", page


def summary(folder: Path = FOLDER) -> str:
    """One row for each comparison of the studies whose `page.toml` has a `short` name."""
    header = (
        "study",
        "what goes",
        "fine-tuned",
        "from scratch, same epochs",
        "from scratch, same compute",
        "difference",
        "verdict",
        "published",
    )
    lines = []
    for said in sorted(folder.glob("*/page.toml")):
        told = tomllib.loads(said.read_text(encoding="utf-8"))
        if "short" in told:
            results = json.loads((said.parent / "results.json").read_text(encoding="utf-8"))
            link = f"[{told['short']}](results/{said.parent.name}.md)"
            lines += [(link, *line) for line in _lines(results, told.get("rows", "both"))]
    return table(header, lines)


def _lines(results: Results, kept: str) -> Iterator[tuple[str, ...]]:
    """The summary's rows of one study: contrasts between comparisons first, as in its report."""
    if kept != "cases":
        yield from (_between(row) for row in rows(results, "between"))
    if kept != "between":
        yield from (_line(results, case) for case in cases(results) if case.verdict)


def _between(row: Row) -> tuple[str, ...]:
    where = f"{row['between']} ({row['design']})" if row.get("design") else str(row["between"])
    return (where, DASH, DASH, DASH, _difference(row), str(row.get("word") or "no verdict"), DASH)


def _difference(row: Row) -> str:
    return f"{row['a']} − {row['b']}: {points(row['mean'])} ({points_span(row['ci95'])})"


def _line(results: Results, case: Case) -> tuple[str, ...]:
    verdict = case.verdict or {}
    arms = ("fine-tune", "ticket", "retrain"), ("scratch-e",), SCRATCH_B
    found = [next((arm for name in names if (arm := case.find(name))), None) for names in arms]
    reached = [f"{arm.accuracy:.1f}" if arm and arm.accuracy is not None else DASH for arm in found]
    removed = f"{case.method}, {case.design}" + (f", {case.variant}" if case.variant else "")
    return (
        removed,
        *reached,
        _difference(verdict),
        str(verdict.get("word") or "no verdict"),
        _published(results, case),
    )


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
    for key in ("short", "rows"):
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
