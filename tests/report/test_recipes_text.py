"""Savings and the change over data sizes in words: the numbers of the rows, the right side of 1, and nothing beyond what is known."""

from __future__ import annotations

from typing import Any

import pytest

from regrow.report.markdown import markdown_page
from regrow.report.page import page_html
from regrow.report.recipes import across
from regrow.report.recipes_figures import across_sections
from regrow.report.recipes_text import factor, markdown, sentences
from tests.report.example import example
from tests.report.recipes_example import by_hand, lengths, over_recipes, over_shares, set_runs
from tests.report.recipes_studies import over_lengths, over_real_shares

Row = dict[str, Any]


def said(results: Row) -> str:
    (family,) = across(results)
    (sentence,) = sentences(family)
    return sentence


def test_a_saving_is_said_with_its_interval_over_seeds() -> None:
    # goals after 20, 10 * 4^0.4 and 10 * 4^0.6 epochs: ratios 4, 4.595 and 3.482, logarithms 0.1386 apart
    # geometric mean 4; 4.303 * 0.1386 / sqrt(3) = 0.3444; 4 / e^0.3444 = 2.83, 4 e^0.3444 = 5.64
    assert said(by_hand([85.0, 84.0, 86.0])) == (
        "fine-tune reached what scratch-b reached after 80 epochs with 4.0 times less compute (95 % interval 2.8 to 5.6, n = 3)."
    )


def test_seeds_that_never_reach_it_are_counted_and_nothing_else_is_said() -> None:
    assert said(by_hand([85.0, 91.0, 95.0])) == (
        "fine-tune did not reach what scratch-b reached after 80 epochs in 2 of 3 seeds, trained for up to 40 epochs."
    )


def test_seeds_that_are_there_at_once_make_it_at_least() -> None:
    assert said(by_hand([79.0, 80.0, 80.0])) == (
        "fine-tune reached what scratch-b reached after 80 epochs at the shortest length that was run already in 3 of 3 seeds, "
        "so with at least 8.0 times less compute (n = 3)."
    )


def test_who_needs_more_needs_more_and_the_interval_turns_around_with_it() -> None:
    made = by_hand([84.0, 85.0, 86.0])
    for variant in ("10 epochs", "40 epochs"):
        set_runs(made, "scratch-b", variant, [84.0, 85.0, 86.0], 5)
    # ratio 5 / 20 = 1/4; the same spread of logarithms as above
    assert "with 4.0 times more compute (95 % interval 2.8 to 5.6, n = 3)" in said(made)


def test_equal_cost_is_as_much() -> None:
    made = by_hand([90.0, 90.0])
    for variant in ("10 epochs", "40 epochs"):
        set_runs(made, "scratch-b", variant, [90.0, 90.0], 40)
    assert said(made).endswith("reached after 40 epochs with as much compute (no interval, n = 2).")


def test_factors_are_said_as_precisely_as_anyone_needs() -> None:
    assert [factor(value) for value in (0.04, 0.949, 0.96, 1.0, 3.14, 31.4, 1234.0)] == [
        "0.04",
        "0.95",
        "1.0",
        "1.0",
        "3.1",
        "31.4",
        "1,234",
    ]


@pytest.mark.parametrize(
    ("small", "large", "margin", "begun"),
    [
        (
            [3.0, 3.4, 3.2],
            [1.0, 1.2, 1.1],
            1.0,
            "The gap changes with the number of training images: fine-tune − scratch-b is +3.20",
        ),
        (
            [1.5, 1.9, 1.7],
            [1.0, 1.2, 1.1],
            5.0,
            "The gap changes with the number of training images, by less than the margin of 5 points: ",
        ),
        (
            [1.0, 1.2, 1.1],
            [1.0, 1.2, 1.1],
            1.0,
            "No change of the gap with the number of training images was seen; any is less than the margin of 1 point: ",
        ),
        (
            [1.0, 5.0, 1.1],
            [1.0, 1.2, 4.1],
            1.0,
            "Whether the gap changes with the number of training images cannot be told: ",
        ),
    ],
)
def test_whether_the_gap_changes_is_said_in_three_ways(
    small: list[float], large: list[float], margin: float, begun: str
) -> None:
    assert said(over_shares({0.1: small, 1: large}, margin)).startswith(begun)


def test_two_seeds_are_too_few_to_say() -> None:
    sentence = said(over_shares({0.1: [3.0, 3.0], 1: [1.0, 1.0]}))
    assert sentence.startswith("Whether the gap changes") and sentence.endswith("n = 2. Fewer than 3 paired seeds.")


def test_the_markdown_page_shows_accuracies_savings_and_sentences() -> None:
    made = by_hand([85.0, 84.0, 86.0])
    page = markdown_page(made)
    assert "### Recipes: vgg11 on digits, l1, 50 % of channels removed" in page
    assert "| fine-tune | scratch-b | 80 | 3 of 3 | 4.0 (2.8 to 5.6) | 4.0 (2.8 to 5.6) | 4.0 (2.8 to 5.6) |" in page
    assert "| 40 epochs | " in page and "| 90.00 % (90.00 to 90.00; n = 3) |" in page
    assert f"- {said(made)}" in page
    assert markdown(example(seeds=2)) == ""


def test_the_markdown_page_escapes_what_a_stranger_named() -> None:
    made = over_recipes({"<script>": {"train": {"lr": 0.2}}, "a|b": {}})
    page = markdown_page(made)
    assert "<script>" not in page and "| a\\|b |" in page


def test_the_page_has_a_section_with_its_figures_and_tables() -> None:
    page = page_html(by_hand([85.0, 84.0, 86.0]))
    for name in ("accuracy", "compute", "difference"):
        assert page.count(f'class="plot" id="across0-{name}"') == 1
    assert "4.0 times less compute" in page.replace("\u00a0", " ")
    assert 'href="#across0"' in page
    assert across_sections(example(seeds=2)) == []


def test_names_of_recipes_are_data_on_the_page() -> None:
    assert "<script>alert" not in page_html(
        over_recipes({"<script>alert(1)</script>": {"train": {"lr": 0.2}}, "b": {}})
    )


def test_sections_without_savings_or_change_have_no_note() -> None:
    (plain,) = across_sections(over_recipes({"a": {"train": {"lr": 0.2}}, "b": {}}))
    (saved,) = across_sections(over_recipes(lengths()))
    assert (plain["said"], plain["note"]) == ([], "")
    assert "not counted here" in saved["note"]


def test_real_studies_are_told_in_pages_and_words() -> None:
    for made, begun in ((over_lengths(), "fine-tune "), (over_real_shares(), "Whether the gap changes")):
        assert said(made).startswith(begun)
        assert said(made) in markdown_page(made)
    page = page_html(over_real_shares())
    assert 'id="across0-accuracy"' in page and 'id="across0-compute"' not in page
