"""The Markdown page: its numbers are those of the rows, its words are escaped, and committed pages are what their results make."""

from __future__ import annotations

import copy
import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from benchmarks.pages import pages

from regrow.report.markdown import Words, markdown_page

DOCS = Path(__file__).parents[2] / "docs" / "results"


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DOCS / "cifar10-jpeg-vgg11" / "results.json").read_text(encoding="utf-8"))
    return found


def test_every_arm_has_its_mean_and_standard_deviation(results: dict[str, Any]) -> None:
    page = markdown_page(results)
    for arm in {run["arm"] for run in results["runs"]}:
        values = [run["test_accuracy"] for run in results["runs"] if run["arm"] == arm]
        assert f" | {len(values)} | {statistics.mean(values):.2f} ± {statistics.stdev(values):.2f} | " in page


def test_it_has_question_answer_numbers_caveats_and_provenance_in_this_order(results: dict[str, Any]) -> None:
    page = markdown_page(
        results, Words(question="Why?", answer="Because.", caveats=("Beware.",), repeat="regrow run it")
    )
    order = ["# cifar10-jpeg", "**Question.** Why?", "**Answer.** Because.", "## Numbers", "- Beware.", "regrow run it"]
    places = [page.index(part) for part in order]
    assert places == sorted(places)
    assert (
        "retrain is worse than scratch-b by more than the margin: −3.61 points, 95 % interval −4.48 to −2.74, n = 5"
        in page
    )


def test_only_pairs_that_answer_something_are_shown(results: dict[str, Any]) -> None:
    page = markdown_page(results)
    assert "| retrain − random-pruned | +1.39 |" in page
    assert "| scratch-b − dense-longer | −4.88 |" in page
    assert "fine-tune − lr-rewind" not in page and "lr-rewind − random-pruned" not in page


def test_what_could_break_a_table_or_a_page_is_escaped(results: dict[str, Any]) -> None:
    strange = copy.deepcopy(results)
    for name in ("runs", "verdicts", "pairs", "architectures", "networks"):
        for row in strange[name]:
            row["network"] = "a|b<script>"
    page = markdown_page(strange)
    assert "<script>" not in page and "### a|b&lt;script> on" in page


def test_many_comparisons_share_one_table_and_a_count_of_words(results: dict[str, Any]) -> None:
    many = copy.deepcopy(results)
    for name in ("runs", "verdicts", "pairs", "architectures"):
        rows = [row for row in many[name] if row["method"]]
        many[name] = [{**row, "fraction": k / 20, "design": f"{5 * k} %"} for k in range(1, 12) for row in rows]
    page = markdown_page(many)
    assert "Of 11 comparisons (retrain − scratch-b): 11 worse by more than the margin." in page
    assert page.count("| `l1` |") == 11


def test_committed_pages_are_what_their_results_make() -> None:
    for path, text in pages():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python -m benchmarks.pages"
