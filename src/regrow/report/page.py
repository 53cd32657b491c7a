"""The page: one self-contained HTML file with everything a study found. It opens without a network and carries no foreign code.

Results are data, even from a stranger: the template escapes every value, figures travel as JSON that no parser runs, and a
content security policy lets the browser run our own two scripts, named by their hashes, and load nothing from anywhere.

plotly.js travels packed (gzip, 1.4 of 4.8 MB) and is unpacked by the page, so that studies of dozens of comparisons stay below 6 MB.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from regrow.files import write_atomic
from regrow.report import words
from regrow.report.analyses import analysed, nats
from regrow.report.case_figures import case_pictures
from regrow.report.cases import Case, Family, Results, Row, arm_order, families, interval, mean, rows
from regrow.report.contrast import numbers
from regrow.report.drawing import MAX_POINTS, Picture, drawn
from regrow.report.figures import family_pictures
from regrow.report.published import comparison_row
from regrow.report.published_figures import published_picture
from regrow.report.published_text import EXPLAINED, certainty, estimate, in_brackets, mean_and_spread, notes
from regrow.report.recipes_figures import across_sections
from regrow.report.search import own_pictures, searches
from regrow.report.sentences import (
    answer,
    compared,
    contenders,
    controls,
    formula,
    headline,
    limits,
    not_converged,
    same_bits,
    time_against_macs,
)
from regrow.report.strip import reach_of, strip, whiskers
from regrow.retraining.arms import ARMS

ALL_POINTS: Final = 24_000
"""Points of all training curves together: some 0.6 MB."""

_FOLDER: Final = Path(__file__).parent
_FILTERS: Final = (
    "percent",
    "points",
    "points_span",
    "span",
    "quantity",
    "seconds",
    "rate",
    "probability",
    "plural",
    "point",
    "times",
)
_NO_VERDICT: Final = "No verdict: the primary contrast needs both of its arms and at least 3 seeds."


def write_page(results: Results, path: Path) -> None:
    """Write the page of a results dict, whole or not at all."""
    write_atomic(path, page_html(results))


def page_html(results: Results) -> str:
    """The page as text; the same results give the same text."""
    found = families(results)
    scale = _Scale.of(found)
    sections = [_section(results, family, f"f{place}", scale) for place, family in enumerate(found)]
    searched, compared_across, also_measured = searches(results), across_sections(results), analysed(results)
    pictures = [picture for section in sections for picture in _pictures(section)]
    pictures += own_pictures([*searched, *compared_across, *also_measured])
    plotly, script = get_plotlyjs(), _script((_FOLDER / "page.js").read_text())
    context = {
        "study": results.get("study") or {},
        "title": _title(results),
        "sections": sections,
        "searches": searched,
        "across": compared_across,
        "analysed": also_measured,
        "verdicts": [card for section in sections for card in section["cases"] if card["case"].verdict],
        "between": rows(results, "between"),
        "no_verdict": _NO_VERDICT,
        "not_converged": any(not_converged(case) for family in found for case in family.cases),
        "problems": results.get("problems") or [],
        "limits": limits(results, found),
        "data": rows(results, "data"),
        "settings": flat((results.get("study") or {}).get("settings") or {}),
        "provenance": flat(results.get("provenance") or {}),
        "same_bits": same_bits(results),
        "command": (results.get("provenance") or {}).get("command"),
        "finished": str((results.get("provenance") or {}).get("finished") or "")[:10],
        "version": results.get("regrow", ""),
        "style": Markup((_FOLDER / "page.css").read_text()),
        "plotly": _packed(plotly),
        "script": script,
        "policy": _policy(plotly, script),
        "figures": _json_for_page({picture.name: picture.figure.to_plotly_json() for picture in pictures}),
    }
    return _environment().get_template("page.html.j2").render(context).lstrip()


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({name: getattr(words, name) for name in _FILTERS})
    environment.filters.update(together=together, nats=nats)
    environment.filters.update(
        {one.__name__: one for one in (mean_and_spread, certainty, estimate, in_brackets, notes)}
    )
    environment.globals.update(known_arms=frozenset({"dense", *ARMS}), explained=EXPLAINED)
    return environment


def _title(results: Results) -> str:
    study = results.get("study") or {}
    return str(study.get("title") or study.get("name") or "study")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scale:
    """What all sections of one page share."""

    most: int
    """Points kept of a training curve: so few that all curves of a large study stay within the page's weight."""

    reach: float
    """Percentage points from the middle to the end of every verdict's strip."""

    @classmethod
    def of(cls, found: Sequence[Family]) -> _Scale:
        every = [case for family in found for case in family.cases]
        curves = sum(arm.n for case in every for arm in case.arms)
        most = min(MAX_POINTS, max(8, ALL_POINTS // max(curves, 1)))
        return cls(most=most, reach=reach_of([case.verdict for case in every if case.verdict]))


def _section(results: Results, family: Family, prefix: str, scale: _Scale) -> dict[str, Any]:
    """What the template needs to show one family."""
    return {
        "id": prefix,
        "family": family,
        "pictures": family_pictures(family, prefix),
        "others": words.listing([case.removed for case in family.cases[1:]]),
        "numbers": numbers([case.verdict or {} for case in family.cases]),
        "cases": [_card(results, case, f"{prefix}c{place}", scale) for place, case in enumerate(family.cases)],
    }


def _card(results: Results, case: Case, prefix: str, scale: _Scale) -> dict[str, Any]:
    """What the template needs to show one case."""
    said, finding = answer(case.verdict) if case.verdict else ("", "")
    published = comparison_row(results, case)
    return {
        "id": prefix,
        "case": case,
        "headline": said,
        "finding": finding,
        "word": headline(case.verdict) if case.verdict else "",
        "strip": strip(case.verdict, scale.reach) if case.verdict else None,
        "fewer": _fewer(case),
        "compared": compared(case),
        "contenders": contenders(case),
        "formula": formula(case.verdict),
        "controls": controls(case),
        "time": time_against_macs(case),
        "whiskers": whiskers(case.arms),
        "pruned": _right_after_pruning(case),
        "tuning": tuning_grid(case.tuning),
        "pictures": case_pictures(case, prefix, scale.most) | beside_pictures(published, f"{prefix}-published"),
        "published": published,
    }


def beside_pictures(published: Row | None, name: str) -> dict[str, Picture]:
    """The figure of a case beside the published numbers, where there are some."""
    return {} if published is None else drawn({"published": published_picture(published, name)})


def _fewer(case: Case) -> float | None:
    small, large = case.architecture.get("macs"), case.dense_network.get("macs")
    return large / small if small and large else None


def _right_after_pruning(case: Case) -> list[dict[str, Any]]:
    """Named numbers: test accuracy with the norm statistics of the dense network, and with re-estimated ones; before them that of the
    network that was pruned, where the method trained one of its own in the place of the dense network."""
    own = {"before": ("test_accuracy_before", "The full-size network that the method trained, before pruning")}
    named = (own if case.architecture.get("replaces_dense") else {}) | {
        "stale": ("test_accuracy_stale", "Norm statistics as the dense network left them (stale)"),
        "reestimated": ("test_accuracy_reestimated", "Norm statistics re-estimated on training examples"),
    }
    made = []
    for key, (column, said) in named.items():
        values = [row[column] for row in case.pruned if row.get(column) is not None]
        if values:
            made.append(
                {
                    "key": key,
                    "words": said,
                    "n": len(values),
                    "mean": mean(values),
                    "interval": interval(values),
                }
            )
    return made


def together(text: str) -> Markup:
    """A sentence for the page: numbers stay beside their units, `scratch-b` is not broken, backticks become code."""
    safe = str(escape(text))
    safe = re.sub(r"(?<=\d) (?=(%|k|M|G|T|P|s|min|h|d|×)(?!\w))", "\u00a0", safe)
    safe = re.sub(r"\b[a-z]+(?:-[a-z0-9]+)+\b", r'<span class="nb">\g<0></span>', safe)
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", safe))


def tuning_grid(tuning: Sequence[Row]) -> dict[str, Any]:
    """Validation loss by arm and learning rate: `rates` (high to low) and per arm one row of cells, None where not tried."""
    rates = sorted({row["lr"] for row in tuning}, reverse=True)
    cells = {(row["arm"], row["lr"]): row for row in tuning}
    arms = sorted({row["arm"] for row in tuning}, key=arm_order)
    return {"rates": rates, "rows": [{"arm": arm, "cells": [cells.get((arm, lr)) for lr in rates]} for arm in arms]}


def flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as dotted keys with values as text, in their order.

    >>> flat({"seeds": 8, "train": {"lr": 0.1, "nesterov": False}, "arms": ["a", "b"], "root": None})
    [('seeds', '8'), ('train.lr', '0.1'), ('train.nesterov', 'false'), ('arms', 'a, b'), ('root', 'none')]
    """
    pairs: list[tuple[str, str]] = []
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping):
            pairs += flat(item, f"{name}.")
        elif isinstance(item, list | tuple) and any(isinstance(entry, Mapping) for entry in item):
            pairs += flat({str(place): entry for place, entry in enumerate(item)}, f"{name}.")
        else:
            pairs.append((name, _as_text(item)))
    return pairs


def _as_text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_as_text(entry) for entry in value) or "none"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    return str(value)


def _pictures(section: Mapping[str, Any]) -> list[Picture]:
    own = [picture for card in section["cases"] for picture in card["pictures"].values()]
    return [*section["pictures"].values(), *own]


def _json_for_page(value: Any) -> Markup:
    """JSON that may stand inside a script element: no character of it can end the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _script(code: str) -> Markup:
    """Our own code, safe inside a script element, with the line ends that the browser will hash."""
    return Markup(code.replace("\r\n", "\n").replace("</script", "<\\/script").replace("<!--", "<\\!--"))


def _packed(code: str) -> str:
    """A script for the page to unpack: gzip, base64."""
    return base64.b64encode(gzip.compress(code.encode(), compresslevel=6, mtime=0)).decode()


def _policy(*scripts: str) -> str:
    """A content security policy: these scripts and inline styles, pictures made on the page, nothing from anywhere."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'" for code in scripts
    )
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
