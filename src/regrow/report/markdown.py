"""A page in Markdown for documents: question, answer, numbers, caveats, and how to repeat it. A pure function of a results dict.

The numbers are the rows of results.json; only the question and caveats that no program can see are given by a person.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from regrow.report.cases import ArmSummary, Case, Results, Row, cases, families, inherits, rows
from regrow.report.published_text import markdown as published_markdown
from regrow.report.recipes_text import markdown as recipes_markdown
from regrow.report.sentences import controls, limits
from regrow.report.words import DASH, plural, points, points_span, quantity, rate, seconds

MOST_CASES: Final = 8
"""Cases up to which each has a table of its own arms; beyond it, all share one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """What a person says about a study, besides its numbers."""

    question: str = ""
    """By default the study's description, or its title."""

    answer: str = ""
    """Said before the verdicts."""

    more: str = ""
    """Said after the numbers: what else can be read from them."""

    caveats: tuple[str, ...] = ()
    """Said before the limits that every such study has."""

    repeat: str = ""
    """The command that repeats it; by default the one that was typed."""


def markdown_page(results: Results, words: Words | None = None) -> str:
    """The page. Accuracies in percent, differences in percentage points with 95 % intervals, paired by seed."""
    said, study = words or Words(), results.get("study") or {}
    found = list(cases(results))
    title = str(study.get("title") or study.get("name") or "Study")
    question = said.question or study.get("description") or title
    parts = [f"# {title}", f"**Question.** {question}", f"**Answer.** {_answer(results, found, said)}"]
    parts += _numbers(results, found)
    if published := published_markdown(results):
        parts += ["## Beside the published numbers", published]
    parts += [said.more] if said.more else []
    parts += ["## Caveats", _listed([*said.caveats, *_problems(results), *limits(results, families(results))])]
    parts = [
        part.strip("\n").replace("<", "&lt;") for part in parts
    ]  # results may come from a stranger: no HTML in them
    return "\n\n".join([*parts, "## How it was made", *_provenance(results, said)]) + "\n"


def _answer(results: Results, found: Sequence[Case], words: Words) -> str:
    told = [words.answer] if words.answer else []
    verdicts = [case.verdict for case in found if case.verdict]
    told += [_first_sentence(row) for row in rows(results, "between")][:MOST_CASES]
    told += [_first_sentence(row) for row in verdicts] if len(verdicts) <= MOST_CASES else [_tally(verdicts)]
    return "\n\n".join(told) or "No verdict: the primary contrast needs both of its arms and at least 3 seeds."


def _first_sentence(row: Row) -> str:
    """A verdict's sentence with its difference and interval, without the rest of its numbers."""
    sentence = str(row.get("sentence") or "")
    finding = sentence.partition(". ")[0].rstrip(".")
    return f"{finding}: {points(row['mean'])} points, 95 % interval {points_span(row['ci95'])}, n = {row['n']}."


def _tally(verdicts: Sequence[Row]) -> str:
    """How often each word was given."""
    words = [str(row.get("word") or "no verdict") for row in verdicts]
    counts = {word: words.count(word) for word in dict.fromkeys(sorted(words))}
    contrast = f"{verdicts[0]['a']} − {verdicts[0]['b']}"
    return (
        f"Of {len(words)} comparisons ({contrast}): {', '.join(f'{count} {word}' for word, count in counts.items())}."
    )


def _numbers(results: Results, found: Sequence[Case]) -> list[str]:
    parts = ["## Numbers", "Test accuracy at the last epoch in percent, mean ± standard deviation over seeds."]
    if len(found) > MOST_CASES:
        parts.append(_all_cases(found))
    else:
        for case in found:
            parts += _one_case(case)
    between = rows(results, "between")
    if between:
        parts += ["### Between comparisons, declared before the run", _between(between)]
    if over := recipes_markdown(results):
        parts.append(over)
    widths = [table for case in found if (table := _widths(case))]
    return [*parts, *(["### Widths that were found, mean (least to most) over seeds", *widths] if widths else [])]


def _one_case(case: Case) -> list[str]:
    heading = ", ".join(filter(None, (f"{case.network} on {case.data}", case.method, case.removed, case.variant)))
    header = ("arm", "n", "test accuracy", "epochs", "peak lr", "MACs", "params", "seconds a training")
    parts = [f"### {heading}", table(header, [_arm(arm) for arm in case.arms])]
    pairs = [row for row in ([case.verdict] if case.verdict else []) + list(case.pairs) if _worth_showing(row, case)]
    if pairs:
        lines = [
            (f"{row['a']} − {row['b']}", points(row["mean"]), points_span(row["ci95"]), _word(row)) for row in pairs
        ]
        parts.append(table(("pair", "points", "95 % interval", "verdict"), lines))
    told = controls(case)
    return [*parts, " ".join(f"{sentence[0].upper()}{sentence[1:]}" for sentence in told)] if told else parts


def _arm(arm: ArmSummary) -> tuple[str, ...]:
    return (
        arm.arm + (" (control)" if arm.control else ""),
        str(arm.n),
        _spread(arm.values("test_accuracy")),
        str(arm.only("epochs")),
        rate(arm.only("lr")),
        quantity(arm.only("macs")),
        quantity(arm.only("params")),
        seconds(arm.mean("train_seconds")),
    )


def _spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation.

    >>> _spread([1.0, 2.0, 3.0]), _spread([1.5]), _spread([])
    ('2.00 ± 1.00', '1.50', '–')
    """
    if not values:
        return DASH
    mean = f"{statistics.fmean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


def _worth_showing(row: Row, case: Case) -> bool:
    """The declared contrast; what starts from the dense run against what starts afresh; and every control's own question."""
    scratch = {arm.arm for arm in case.arms if arm.arm.startswith("scratch")}
    asked = {"random-pruned": {"retrain"}, "dense-longer": {"dense", *scratch}, "ticket-shuffled": {"ticket"}}
    pair = {row["a"], row["b"]}
    controls = pair & asked.keys()
    if controls:
        return any(pair - {name} <= asked[name] for name in controls)
    return bool(row.get("primary")) or "dense" in pair or inherits(row["a"]) != inherits(row["b"])


def _word(row: Row) -> str:
    return str(row.get("word") or "no verdict") if row.get("primary") else "exploratory"


def _all_cases(found: Sequence[Case]) -> str:
    arms = list(dict.fromkeys(arm.arm for case in found for arm in case.arms))
    header = (
        "network",
        "data",
        "method",
        "removed",
        "recipe",
        "MACs",
        "params",
        *arms,
        "difference",
        "95 % interval",
        "verdict",
    )
    return table(header, [_case_cells(case, arms) for case in found])


def _case_cells(case: Case, arms: Iterable[str]) -> tuple[str, ...]:
    verdict = case.verdict or {}
    accuracies = [_spread(arm.values("test_accuracy")) if (arm := case.find(name)) else DASH for name in arms]
    macs = case.architecture.get("nominal_macs" if case.masked else "macs")
    sizes = (quantity(macs) + (" nominal" if case.masked else ""), quantity(case.architecture.get("params")))
    said = (points(verdict.get("mean")), points_span(verdict.get("ci95")), str(verdict.get("word") or DASH))
    return (case.network, case.data, f"`{case.method}`", case.design, case.variant or DASH, *sizes, *accuracies, *said)


def _between(between: Sequence[Row]) -> str:
    header = ("question", "where", "first", "second", "n", "difference", "95 % interval", "verdict")
    lines = [
        (
            str(row["between"]),
            ", ".join(str(row[key]) for key in ("network", "data", "design", "variant") if row.get(key)) or DASH,
            f"{row['a']}",
            f"{row['b']}",
            str(row["n"]),
            points(row["mean"]),
            points_span(row["ci95"]),
            str(row.get("word") or "no verdict"),
        )
        for row in between
    ]
    return table(header, lines)


def _widths(case: Case) -> str:
    """Widths by group, where every seed has its own."""
    found = [row["widths"] for row in case.architectures if row.get("seed") is not None and not case.masked]
    if len(found) < 2 or all(widths == found[0] for widths in found):
        return ""
    names = [group["name"] for group in case.dense_network.get("groups") or ()]
    dense = case.dense_network.get("widths") or []
    lines = [
        (name, str(whole), f"{statistics.fmean(group):.1f} ({min(group)} to {max(group)})")
        for name, whole, group in zip(names, dense, zip(*found, strict=True), strict=True)
    ]
    title = f"{case.network}, `{case.method}`, {case.design}, n = {len(found)}:"
    return f"{title}\n\n{table(('group', 'dense', 'kept'), lines)}"


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table; what would end a cell is escaped.

    >>> print(table(("a", "b"), [("1", "x|y")]))
    | a | b |
    | --- | --- |
    | 1 | x\\|y |
    """
    made = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in made)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _problems(results: Results) -> list[str]:
    return [f"Missing: {problem}" for problem in results.get("problems") or ()]


def _listed(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _provenance(results: Results, words: Words) -> list[str]:
    made: Mapping[str, Any] = results.get("provenance") or {}
    versions, study = made.get("versions") or {}, results.get("study") or {}
    commits = [str(one)[:12] for one in made.get("commits") or ()]
    said = [
        f"{plural(int(made.get('stages') or 0), 'stage')}, {seconds(made.get('work_seconds'))} of work in all",
        f"processor {', '.join(made.get('machines') or ['unknown'])}",
        ", ".join(f"{name} {version}" for name, version in versions.items() if name in ("python", "torch", "regrow")),
        f"commit {', '.join(commits)}" if commits else "",
        f"finished {str(made.get('finished') or '')[:10]}" if made.get("finished") else "",
        f"study {study.get('id')}" if study.get("id") else "",
    ]
    command = words.repeat or str(made.get("command") or "")
    return ["; ".join(filter(None, said)) + ".", *([f"```bash\n{command}\n```"] if command else [])]
