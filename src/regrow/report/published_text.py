"""What stands beside the published numbers, in words: cells of tables, lines on a terminal, Markdown for documents.

Every published number carries how sure it is: what was recalled and read in no file is marked `(recalled)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from regrow.report.cases import Results
from regrow.report.published import comparison_rows
from regrow.report.published_protocol import base_name
from regrow.report.words import DASH, listing, points, points_span

Row = Mapping[str, Any]

MARKED: Final = {"read": "", "recalled": "recalled", "recalled-unsure": "recalled, unsure"}
"""How a mark is written behind a number."""

EXPLAINED: Final = (
    "Recalled: from memory of the paper, read in no file. All others were read in the README of the released code or in the table "
    "that ShrinkBench extracted from the paper."
)


def mean_and_spread(side: Row | None, kind: str = "accuracy", unit: str = "accuracy") -> str:
    """A mean with its standard deviation: `93.41 ± 0.12`, a change `−1.23`; an accuracy among changes has its unit.

    >>> mean_and_spread({"mean": 93.414, "std": 0.12}), mean_and_spread({"mean": -1.23, "std": None}, "change", "change")
    ('93.41 ± 0.12', '−1.23')
    >>> mean_and_spread({"mean": 76.13, "std": None}, "accuracy", "change")
    '76.13 %'
    """
    if side is None:
        return DASH
    said = points(side["mean"]) if kind == "change" else f"{side['mean']:.2f}"
    said += f" ± {side['std']:.2f}" if side.get("std") is not None else ""
    return f"{said} %" if kind != unit and kind == "accuracy" else said


def certainty(theirs: Row) -> str:
    """How sure a published mean and its deviation are; empty for what was read.

    >>> certainty({"mark": "read", "std_mark": "recalled"}), certainty({"mark": "recalled", "std_mark": "recalled"})
    ('sd recalled', 'recalled')
    """
    mark, spread = theirs["mark"], theirs.get("std_mark")
    if mark == "read" and spread not in (None, "read"):
        return f"sd {MARKED[spread]}"
    return MARKED[mark]


def in_brackets(text: str) -> str:
    """A remark behind a number; nothing of nothing.

    >>> in_brackets("recalled"), in_brackets("")
    (' (recalled)', '')
    """
    return f" ({text})" if text else ""


def estimate(side: Row) -> str:
    """A difference with its interval: `−0.37 (−0.57 to −0.17)`.

    >>> estimate({"mean": -0.37, "ci95": [-0.57, -0.17]}), estimate({"mean": 0.5, "ci95": None})
    ('−0.37 (−0.57 to −0.17)', '+0.50')
    """
    return points(side["mean"]) + in_brackets("" if side["ci95"] is None else points_span(side["ci95"]))


def beside(row: Row) -> str:
    """What stands beside what: a heading for one case."""
    case = ", ".join(filter(None, (row["method"], row["design"], row["variant"])))
    return f"{row['network']} on {row['data']}, {case}, beside {row['title']}"


def name_of(row: Row) -> str:
    """What tells the cases of one study apart, shortly: network, design and recipe.

    >>> name_of({"network": "vgg16 x0.5", "design": "vgg16-a", "variant": ""})
    'vgg16-a'
    >>> name_of({"network": "vgg19", "design": "80 %", "variant": "long"})
    'vgg19 80 % long'
    """
    network = base_name(row["network"])
    return " ".join(
        filter(None, ("" if row["design"].startswith(f"{network}-") else network, row["design"], row["variant"]))
    )


def differing(row: Row) -> str:
    """In what the protocols differ, by name, each once.

    >>> differing({"protocol": [{"what": "batch"}, {"what": "epochs, dense"}, {"what": "epochs, fine-tune"}]})
    'batch and epochs'
    """
    return listing(list(dict.fromkeys(line["what"].partition(",")[0] for line in row["protocol"])))


def notes(row: Row) -> list[str]:
    """Notes on single published numbers, and remarks on the table, each once."""
    found = [f"{one['arm']}: {one['theirs']['note']}." for one in row["arms"] if one["theirs"]["note"]]
    return list(dict.fromkeys([*found, *row["remarks"]]))


def reasons(row: Row) -> str:
    """Why not all differences of a row can be told to agree or not: each reason once, without its numbers, and where it is not
    all of them that it holds for, which."""
    found: dict[str, list[str]] = {}
    for one in row["differences"]:
        for reason in dict.fromkeys(reason.partition(" (")[0] for reason in one["reasons"]):
            found.setdefault(reason, []).append(f"{one['a']} − {one['b']}")
    every = len(row["differences"])
    return "; ".join(
        reason if len(pairs) == every else f"{reason} (of {listing(pairs)})" for reason, pairs in found.items()
    )


def print_published(results: Results, console: Console) -> None:
    """One compact table of all cases that a published table knows, then why nothing more can be told. Nothing where there are none."""
    found = comparison_rows(results)
    if not found:
        return
    console.print()
    console.print(_table(found))
    for row in found:
        if said := reasons(row):
            console.print(Text(f"{name_of(row)}: cannot tell, since {said}.", style="dim"))
        console.print(Text(f"{name_of(row)}: the protocols differ in {differing(row)}.", style="dim"))


def _table(found: Sequence[Row]) -> Table:
    titles = " and ".join(dict.fromkeys(str(row["title"]) for row in found))
    table = Table(
        title=Text(f"beside the published numbers ({titles}), points with 95 % intervals"),
        title_justify="left",
        title_style="",
        box=None,
        padding=(0, 1, 0, 0),
    )
    for header in ("network", "difference"):
        table.add_column(header, overflow="fold")
    for header, side in (("published", "right"), ("", "left"), ("ours", "right"), ("", "left")):
        table.add_column(header, justify=cast(JustifyMethod, side), overflow="fold")
    for row in found:
        for one in row["differences"]:
            published = (estimate(one["theirs"]), MARKED[one["theirs"]["mark"]])
            cells = (name_of(row), f"{one['a']} − {one['b']}", *published, estimate(one["ours"]), one["word"])
            table.add_row(*(Text(str(cell)) for cell in cells))
    return table


def markdown(results: Results) -> str:
    """All cases that a published table knows as Markdown: per case the arms, their differences, and how the two were made.

    No headings of its own, so that it fits under any; empty where nothing matches.
    """
    found = comparison_rows(results)
    parts = [_markdown_case(row) for row in found]
    return "\n\n".join([*parts, EXPLAINED]) + "\n" if parts else ""


def _markdown_case(row: Row) -> str:
    blocks = [
        f"**{plain_markdown(beside(row))}.** {plain_markdown(row['source'])}.",
        _markdown_arms(row),
        _markdown_differences(row) if row["differences"] else "",
        _markdown_protocol(row) if row["protocol"] else "",
        "\n".join(f"- {plain_markdown(note)}" for note in notes(row)),
    ]
    return "\n\n".join(block for block in blocks if block)


def _markdown_arms(row: Row) -> str:
    unit = "top-1, %" if row["unit"] == "accuracy" else "change of top-1 against the unpruned network, points"
    lines = [_line("arm", f"published ({unit})", "n", "ours", "n"), _line("---", "---:", "---:", "---:", "---:")]
    for one in row["arms"]:
        theirs, ours = one["theirs"], one["ours"]
        name = one["arm"] if ours is None or ours["arm"] == one["arm"] else f"{one['arm']} (here {ours['arm']})"
        said = mean_and_spread(theirs, theirs["kind"], row["unit"]) + in_brackets(certainty(theirs))
        own = mean_and_spread(ours, theirs["kind"], row["unit"])
        lines.append(_line(name, said, theirs["n"], own, DASH if ours is None else ours["n"]))
    return "\n".join(lines)


def _markdown_differences(row: Row) -> str:
    head = _line("difference, points", "published", "ours", "ours − published", "")
    lines = [head, _line("---", "---:", "---:", "---:", "---")]
    for one in row["differences"]:
        theirs = estimate(one["theirs"]) + in_brackets(MARKED[one["theirs"]["mark"]])
        said = f"**{one['word']}**" + (f": {'; '.join(one['reasons'])}" if one["reasons"] else "")
        sides = (theirs, estimate(one["ours"]), estimate(one["distance"]))
        lines.append(_line(f"{one['a']} − {one['b']}", *sides, said))
    return "\n".join(lines)


def _markdown_protocol(row: Row) -> str:
    lines = [_line("what differs", "published", "ours"), _line("---", "---", "---")]
    return "\n".join([*lines, *(_line(line["what"], line["theirs"], line["ours"]) for line in row["protocol"])])


def _line(*cells: Any) -> str:
    return "| " + " | ".join(plain_markdown(str(cell)) if cell != "---" else cell for cell in cells) + " |"


def plain_markdown(text: str) -> str:
    """Names from a file as they are: nothing of them becomes a cell, a tag or a link.

    >>> plain_markdown("a|b <i> [x]")
    'a\\\\|b &lt;i&gt; \\\\[x\\\\]'
    """
    for character, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|"), ("[", "\\["), ("]", "\\]")):
        text = text.replace(character, safe)
    return text
