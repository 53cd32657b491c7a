"""What is written beside the published numbers: how sure each is, never more than is known, nothing where nothing matches."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from regrow.report.published import comparison_rows
from regrow.report.published_text import (
    beside as heading,
)
from regrow.report.published_text import (
    certainty,
    differing,
    estimate,
    in_brackets,
    markdown,
    mean_and_spread,
    notes,
    plain_markdown,
    print_published,
    reasons,
)
from tests.report.example import example
from tests.report.published_example import beside


def printed(results: dict[str, Any], width: int = 110) -> str:
    text = io.StringIO()
    print_published(results, Console(file=text, width=width))
    return text.getvalue()


def cells(text: str, start: str) -> list[str]:
    """The cells of the Markdown row that begins with this."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {start} |")]
    return [cell.strip() for cell in line.strip("|").split(" | ")]


class TestNumbers:
    def test_a_number_has_its_spread_and_a_change_its_sign(self) -> None:
        assert mean_and_spread({"mean": 93.6, "std": 0.124}) == "93.60 ± 0.12"
        assert mean_and_spread({"mean": -4.13, "std": None}, "change", "change") == "−4.13"
        assert mean_and_spread(None) == "–"

    @pytest.mark.parametrize(
        ("mark", "spread", "said"),
        [
            ("read", None, ""),
            ("read", "read", ""),
            ("read", "recalled", "sd recalled"),
            ("recalled", "recalled", "recalled"),
            ("recalled", None, "recalled"),
            ("recalled-unsure", "recalled-unsure", "recalled, unsure"),
        ],
    )
    def test_how_sure_it_is(self, mark: str, spread: str | None, said: str) -> None:
        assert certainty({"mark": mark, "std_mark": spread}) == said

    def test_a_difference_without_an_interval_has_no_brackets(self) -> None:
        assert estimate({"mean": 0.5, "ci95": None}) == "+0.50"
        assert in_brackets("") == ""


class TestMarkdown:
    def test_every_arm_stands_beside_its_published_number_with_its_mark(self) -> None:
        said = markdown(beside())
        assert cells(said, "fine-tune") == ["fine-tune", "93.41 ± 0.12 (recalled)", "5", "93.00 ± 0.16", "5"]
        assert cells(said, "scratch-b") == ["scratch-b", "93.78 ± 0.15 (sd recalled)", "5", "93.90 ± 0.16", "5"]

    def test_a_difference_has_both_intervals_their_distance_and_the_word(self) -> None:
        assert cells(markdown(beside()), "fine-tune − scratch-b") == [
            "fine-tune − scratch-b",
            "−0.37 (−0.57 to −0.17) (recalled)",
            "−0.90 (−1.15 to −0.65)",
            "−0.53 (−0.81 to −0.25)",
            "**agrees**",
        ]

    def test_what_cannot_be_told_has_its_reasons(self) -> None:
        said = cells(markdown(beside(network="vgg16 x0.25", share=0.25)), "fine-tune − scratch-e")[-1]
        assert said == (
            "**cannot tell**: reduced width (0.25); reduced epochs (dense 40 of 160, fine-tune 10 of 40, scratch-e 40 of 160)"
        )

    def test_protocol_differences_and_remarks_are_there(self) -> None:
        said = markdown(beside(network="resnet56", design="resnet56-a"))
        assert cells(said, "data set") == ["data set", "cifar10", "cifar10-jpeg (JPEG pixels)"]
        assert "- The released ResNet cuts the gradient" in said
        assert "Recalled: from memory of the paper, read in no file." in said

    def test_it_has_no_heading_of_its_own_and_ends_with_one_line_end(self) -> None:
        said = markdown(beside())
        assert not [line for line in said.splitlines() if line.startswith("#")]
        assert said.endswith(".\n")
        assert "\n\n\n" not in said

    def test_every_row_of_a_table_has_as_many_cells_as_its_head(self) -> None:
        for block in markdown(beside()).split("\n\n"):
            lines = [line for line in block.splitlines() if line.startswith("|")]
            assert len({line.count("|") for line in lines}) <= 1

    def test_nothing_is_written_where_nothing_matches(self) -> None:
        assert markdown(example()) == ""
        assert markdown({}) == ""

    def test_names_from_a_file_stay_names(self) -> None:
        said = markdown(beside(data="<script>|x"))
        assert "<script>" not in said
        assert "&lt;script&gt;\\|x" in said
        assert plain_markdown("a & [b]") == "a &amp; \\[b\\]"


class TestTerminal:
    def test_it_is_one_table_with_a_row_for_every_difference(self) -> None:
        said = printed(beside())
        (row,) = [line for line in said.splitlines() if "fine-tune − scratch-b" in line]
        assert row.split() == [
            *("vgg16-a", "fine-tune", "−", "scratch-b"),
            *("−0.37", "(−0.57", "to", "−0.17)", "recalled"),
            *("−0.90", "(−1.15", "to", "−0.65)", "agrees"),
        ]
        assert said.count("published numbers") == 1

    def test_reasons_stand_below_it_once(self) -> None:
        said = " ".join(printed(beside(network="vgg16 x0.25")).split())
        assert (
            said.count(
                "cannot tell, since reduced width; the published interval includes 0 (of scratch-b − scratch-e)."
            )
            == 1
        )
        assert "the protocols differ in data set, training images" in said

    def test_nothing_is_printed_where_nothing_matches(self) -> None:
        assert printed(example()) == ""

    def test_nothing_is_read_as_markup(self) -> None:
        results = beside()
        for row in [*results["runs"], *results["pairs"], *results["architectures"]]:
            row["variant"] = "[bold]x"
        assert "vgg16-a [bold]x: the protocols differ" in printed(results, width=400)


class TestParts:
    def test_reasons_are_told_once_each(self) -> None:
        (row,) = comparison_rows(beside(data="digits"))
        assert reasons(row) == "another data set; the published interval includes 0 (of scratch-b − scratch-e)"

    def test_notes_of_numbers_name_their_arm(self) -> None:
        photos = {"network": "torchvision:resnet50", "method": "thinet", "fraction": 0.5, "data": "photos"}
        (row,) = comparison_rows(beside("table2", **photos))
        assert notes(row)[1] == "fine-tune: the released Caffe model, tested in Caffe."
        assert len(notes(row)) == len(set(notes(row)))

    def test_differences_are_named_in_a_sentence(self) -> None:
        assert differing({"protocol": [{"what": "a"}, {"what": "b"}, {"what": "c"}]}) == "a, b and c"

    def test_the_heading_says_what_stands_beside_what(self) -> None:
        (row,) = comparison_rows(beside())
        assert heading(row) == "vgg16 on cifar10-jpeg, l1, vgg16-a, beside Table 1: L1-norm filter pruning"
