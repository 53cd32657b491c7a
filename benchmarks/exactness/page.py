"""The page of the documentation, made from the results."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import Any

from benchmarks.exactness.cases import SETS

Record = dict[str, Any]

RIGHT = ("exact", "exact*", "exact**", "exactB")
HALF = 0.5
NOTHING = "nothing of the network can be pruned"

HEAD = """# Is every network pruned exactly?

**Question.** When half of every channel group of a network is removed, does the small network compute what the dense one computes with
those channels silenced? Does it still train, and can it be grown afresh?

**Method.** Every network gets unique random float64 weights and norm statistics of a batch, and is pruned with `fraction={"*": 0.5}` and no
other argument. An oracle that knows nothing of the engine (`tests/channels/oracle.py`) finds by value which indices of every tensor were
kept, silences the others in the dense network, and compares the outputs on two inputs, and how they change between these. A difference of
1e-6 of the largest output is the limit. Then the small network takes a training step, and the architecture is regrown from the factory and
takes one too. Every network is judged in a process of its own with a time limit.

| verdict | the small network equals the dense one ... |
| --- | --- |
| exact | whose removed channels are zero where they are made |
| exact\\* | and whose LayerNorm, RMSNorm and GroupNorm take their statistics over the kept channels |
| exact\\*\\* | and whose scale computed from a size, 1/sqrt(head size), is the small one's |
| exactB | and whose removed channels are cut where they are read too, because something between maps 0 to another number |
| refused | unknown to the user: regrow's own verification found a difference and returned nothing |
| WRONG | in none of these ways, and nobody noticed |
| kept whole | nothing could be removed, for the reasons that are listed |
| FAIL | it could not be pruned, or the small network could not run |
| no-op | nothing was removed |
"""

TAIL = """
**Caveats.** Random weights, one seed, one fraction, one CPU. Seconds are of tracing, choosing and carving, in float64, on a machine that
had other work to do. MACs are those of the inputs that were used, which are small. Networks of transformers are small
configurations. Many of them compute norms or rotary angles in float32 whatever their weights are; rounding then hides differences
below 1e-8.

**Repeat it:** `python -m benchmarks.exactness`, or one set with `--set torchvision`; `--page docs/results/exactness.md` writes this page.
"""

TITLES = {
    "constructs": "Constructs, one toy network each",
    "torchvision": "torchvision classification",
    "segmentation": "torchvision segmentation",
    "detection": "torchvision detection",
    "timm": "timm",
    "transformers": "transformers",
}


def page(records: list[Record]) -> str:
    """The whole page."""
    parts = [HEAD, versions(records), "", summary(records)]
    for group in SETS:
        if rows := [record for record in records if record["set"] == group]:
            parts += [f"\n## {TITLES[group]}\n", table(rows)]
    return "\n".join([*parts, TAIL])


def versions(records: list[Record]) -> str:
    """What produced the numbers."""
    counted = collections.Counter(record.get("made_with", "") for record in records)
    return f"**Made with** {'; '.join(made for made, _ in counted.most_common() if made)}."


def verdict(record: Record) -> str:
    """The tier, and what the engine's own verification makes of it."""
    if "Error" in str(record.get("verified", "")):
        return "refused"
    if NOTHING in record.get("why", ""):
        return "kept whole"
    return str(record["tier"])


def loss(record: Record) -> float:
    """Share of parameters that went."""
    before, after = record.get("parameters"), record.get("parameters_left")
    return 1 - after / before if before and after else 0.0


def excused(record: Record) -> bool:
    """Whether less than half went, and the engine says why the rest had to stay."""
    if verdict(record) == "kept whole":
        return True
    return verdict(record) in RIGHT and 0 < loss(record) <= HALF and bool(stayed(record))


def stayed(record: Record) -> list[str]:
    """Why channels stay, apart from those of outputs."""
    return [reason for reason in record.get("frozen", []) if "output of the network" not in reason]


def summary(records: list[Record]) -> str:
    """One row per set."""
    columns = (
        "set",
        "networks",
        "exact in one of the ways",
        "refused",
        "wrong",
        "failed",
        "more than half lost",
        "less, for a listed reason",
        "train",
        "regrown, train",
    )
    lines = ["| " + " | ".join(columns) + " |"]
    lines.append("| --- " * len(columns) + "|")
    lines += [summed(group, [record for record in records if record["set"] == group]) for group in SETS]
    return "\n".join([*lines, summed("all", records)])


def summed(name: str, rows: list[Record]) -> str:
    """A row of the summary."""
    verdicts = [verdict(record) for record in rows]
    right = [record for record in rows if verdict(record) in RIGHT]
    counts = [
        len(rows),
        len(right),
        verdicts.count("refused"),
        verdicts.count("WRONG"),
        verdicts.count("FAIL") + verdicts.count("no-op"),
        sum(loss(record) > HALF for record in rows),
        sum(excused(record) for record in rows),
        sum(record.get("train") == "ok" for record in rows),
        sum(record.get("regrow") == "ok" for record in rows),
    ]
    return f"| {name} | " + " | ".join(str(count) for count in counts) + " |"


def table(rows: Iterable[Record]) -> str:
    """All networks of a set."""
    lines = [
        "| network | parameters | verdict | difference | parameters lost | MACs lost | seconds | notes |",
        "| --- " * 8 + "|",
    ]
    for record in rows:
        lines.append("| " + " | ".join(cells(record)) + " |")
    return "\n".join(lines)


def cells(record: Record) -> list[str]:
    """One network."""
    error = record.get("error")
    macs, left = record.get("macs"), record.get("macs_left")
    return [
        record["model"],
        amount(record.get("parameters")),
        verdict(record).replace("*", "\\*"),
        f"{error:.0e}" if isinstance(error, float) and error < 1 else "",
        f"{100 * loss(record):.0f} %" if record.get("parameters_left") else "",
        f"{100 * (1 - left / macs):.0f} %" if macs and left else "",
        f"{record['seconds']:.2f}" if "seconds" in record else "",
        plain("; ".join(notes(record))),
    ]


def notes(record: Record) -> list[str]:
    """What a reader must know about this one."""
    said = [f"{record['why'][:200]}"] if record.get("why") and verdict(record) not in RIGHT else []
    if verdict(record) == "refused":
        said = [record["verified"][:200]]
    elif "not verified" in str(record.get("verified", "")):
        said.append(record["verified"][:160])
    if 0 < loss(record) <= HALF:
        said += stayed(record)[:3]
    if record.get("train", "ok") != "ok":
        dense = record.get("train_dense", "")
        said.append(
            "the dense network does not train in float64 either"
            if dense != "ok"
            else f"does not train: {record['train'][:160]}"
        )
    if record.get("regrow", "ok") != "ok" and record.get("train_dense", "ok") == "ok":
        said.append(f"not regrown: {record['regrow'][:160]}")
    return said


def amount(number: int | None) -> str:
    """Parameters, short."""
    if number is None:
        return ""
    return f"{number / 1e6:.1f} M" if number >= 1e6 else f"{number / 1e3:.1f} k"


def plain(text: str) -> str:
    """Text that cannot break a table."""
    return text.replace("|", "/").replace("\n", " ").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")
