"""The page: one file, readable, and safe with results from a stranger."""

from __future__ import annotations

import base64
import gzip
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from plotly.offline import get_plotlyjs

from regrow.report.page import flat, page_html, together, tuning_grid, write_page
from tests.report.browser import CHROMIUM, look
from tests.report.example import ANSWER, TITLE, example
from tests.report.published_example import beside

ATTACK = "</title></script><script>pwned=1</script><img src=x onerror=pwned=1>\"'{{7*7}}"


class Outline(HTMLParser):
    """Tags with their attributes, and the text outside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self._part(tag)
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""
        self._part(tag)

    def _part(self, tag: str) -> None:
        """Cells and paragraphs are apart; words inside a line are not."""
        if tag not in ("span", "strong", "code", "b"):
            self.words.append(" ")

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words).replace("\u00a0", " "))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def html() -> str:
    return page_html(example())


@pytest.fixture(scope="module")
def outline(html: str) -> Outline:
    return Outline(html)


def hostile() -> dict[str, Any]:
    """Results in which every text is an attack."""
    results = example(networks=(ATTACK,), methods=(ATTACK,), seeds=3, arms=("dense", "retrain", "scratch-b"))
    text = json.dumps(results)
    for word in (TITLE, "conv1", "vgg16-a", "Fixture CPU @ 2.00GHz", "regrow run fixture.toml", ANSWER, "fixture.toml"):
        text = text.replace(json.dumps(word)[1:-1], json.dumps(ATTACK)[1:-1])
    changed: dict[str, Any] = json.loads(text)
    changed["verdicts"][0] |= {"notes": [ATTACK], "word": ATTACK}
    changed["ledger"][0]["entry"] = ATTACK
    changed["problems"] = [ATTACK]
    changed["study"]["settings"][ATTACK] = ATTACK
    changed["runs"].append(changed["runs"][0] | {"arm": ATTACK, "method": ATTACK})
    return changed


class TestContent:
    def test_the_verdict_stands_before_everything_else(self, outline: Outline) -> None:
        order = [
            outline.text.index(said)
            for said in (ANSWER, "What was compared", "Arms", "Ledger", "What this does not show")
        ]
        assert order == sorted(order)

    def test_the_whole_sentence_can_be_quoted(self, outline: Outline) -> None:
        assert example()["verdicts"][0]["sentence"] in outline.text

    def test_it_carries_margin_in_points_and_images_n_and_convention(self, outline: Outline) -> None:
        assert "1 point = 5.4 test images" in outline.text
        assert "over 8 paired seeds" in outline.text
        assert "Budgets follow convention B1" in outline.text

    def test_every_arm_and_control_is_in_the_table(self, outline: Outline) -> None:
        for arm in (
            "dense",
            "fine-tune",
            "lr-rewind",
            "retrain",
            "scratch-e",
            "scratch-b",
            "dense-longer",
            "random-pruned",
        ):
            assert re.search(rf"{arm}\b.*? 8 9\d\.\d\d % 9\d\.\d\d to 9\d\.\d\d", outline.text), arm

    def test_accuracy_right_after_pruning_is_two_named_numbers(self, outline: Outline) -> None:
        assert [a["data-pruned"] for _, a in outline.tags if "data-pruned" in a] == ["stale", "reestimated"]
        assert "11.67 % Norm statistics as the dense network left them (stale)" in outline.text

    def test_unequal_seconds_are_said_with_both_ratios(self, outline: Outline) -> None:
        said = "Equal MACs were not equal seconds: an example costs the dense network 4.00 times the MACs"
        assert said in outline.text

    def test_exploratory_pairs_have_intervals_and_no_verdict_word(self, outline: Outline) -> None:
        after = outline.text[outline.text.index("Exploratory pairs") : outline.text.index("What this does not show")]
        assert len(re.findall(r"\S+ − \S+ 50 % 8", after)) == 9
        assert not re.search("equivalent|undecided|better|worse", after)

    def test_every_setting_version_and_machine_and_the_command_are_there(self, outline: Outline) -> None:
        for said in (
            "train.weight_decay 0.0001",
            "versions.torch 2.15.0",
            "machine.cpu Fixture CPU @ 2.00GHz",
            "retrain.tune_seeds 2",
        ):
            assert said in outline.text
        assert "regrow run fixture.toml --set retrain.epochs=8" in outline.text
        assert "commit 0123456789abcdef0123456789abcdef01234567" in outline.text

    def test_a_dense_network_that_had_not_converged_is_said_at_the_top(self) -> None:
        results = example(seeds=3)
        results["runs"] = [
            run | ({"test_accuracy": 99.9} if run["arm"] == "dense-longer" else {}) for run in results["runs"]
        ]
        text = Outline(page_html(results)).text
        assert text.index("Not converged.") < text.index("What was compared")

    def test_missing_runs_are_said(self) -> None:
        assert "seed 3 diverged" in Outline(page_html(example(seeds=3) | {"problems": ["seed 3 diverged"]})).text

    def test_every_fraction_method_and_network_has_its_verdict_and_its_section(self) -> None:
        results = example(networks=("vgg11", "resnet20"), methods=("l1", "random"), fractions=(0.5, 0.8), seeds=3)
        outline = Outline(page_html(results))
        assert len(outline.all("article")) == 8
        sections = [section["id"] for section in outline.all("section")]
        assert sections == ["verdict", "f0", "f1", "f2", "f3", "limits", "settings", "provenance"]
        assert "resnet20 on digits, random pruning" in outline.text

    def test_a_study_without_a_verdict_has_a_page(self) -> None:
        results = example(seeds=1) | {"verdicts": [], "pairs": []}
        assert "No verdict: the primary contrast needs both of its arms" in Outline(page_html(results)).text

    @pytest.mark.parametrize("seeds", [1, 2])
    def test_too_few_seeds_leave_dashes(self, seeds: int) -> None:
        results = example(seeds=seeds)
        nothing = {
            "word": None,
            "sentence": "No verdict for vgg11: too few seeds.",
            "sd": None,
            "ci95": None,
            "ci90": None,
        }
        unknown = dict.fromkeys(
            ("p_superiority", "p_equivalence", "correlation", "welch95", "floor_sd", "margin_images")
        )
        results["verdicts"] = [verdict | nothing | unknown for verdict in results["verdicts"]]
        outline = Outline(page_html(results))
        assert "retrain and scratch-b: no verdict" in outline.text
        assert outline.all("article")[0]["data-word"] == "none"

    def test_nothing_at_all_is_still_a_page(self) -> None:
        assert "No verdict" in Outline(page_html({})).text


class TestForm:
    def test_the_same_results_give_the_same_page(self, html: str) -> None:
        assert page_html(example()) == html

    def test_it_is_one_file_that_loads_nothing(self, html: str, outline: Outline) -> None:
        addresses = [a[key] for _, a in outline.tags for key in ("src", "href", "action", "data") if a.get(key)]
        assert all(str(address).startswith(("#", "data:")) for address in addresses)
        style = html[html.index("<style>") : html.index("</style>")]
        assert "url(" not in style
        assert "@import" not in style

    def test_plotly_is_there_once_and_whole(self, html: str) -> None:
        (packed,) = re.findall(r'<script type="application/gzip" id="plotly">([^<]+)</script>', html)
        assert gzip.decompress(base64.b64decode(packed)).decode() == get_plotlyjs()
        assert len(html.encode()) < 3e6

    def test_a_large_study_stays_below_6_mb(self) -> None:
        fractions = tuple(place / 52 for place in range(1, 51))
        results = example(fractions=fractions, seeds=8, epochs=60)
        assert len(page_html(results).encode()) < 6e6

    def test_the_policy_names_our_scripts_and_nothing_else(self, outline: Outline) -> None:
        policy = next(a["content"] for a in outline.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
        assert policy is not None
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert policy.count("'sha256-") == 2
        assert "http" not in policy

    def test_headings_go_down_one_step_at_a_time(self, outline: Outline) -> None:
        levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))

    def test_every_figure_and_table_can_be_read_aloud(self, outline: Outline) -> None:
        plots = [a for a in outline.all("div") if a.get("class") == "plot"]
        assert len(plots) == 7
        assert all(a["role"] == "img" and a["aria-label"] for a in plots)
        assert len(outline.all("caption")) == len(outline.all("table"))
        assert all(a.get("role") == "img" or a.get("aria-hidden") for a in outline.all("svg"))

    def test_ids_are_unique(self, outline: Outline) -> None:
        ids = [a["id"] for _, a in outline.tags if "id" in a]
        assert len(ids) == len(set(ids))

    def test_every_figure_has_its_place_and_every_place_its_figure(self, html: str, outline: Outline) -> None:
        data = json.loads(html[html.index('id="figures">') + 13 : html.index("</script>", html.index('id="figures">'))])
        assert sorted(data) == sorted(str(a["id"]) for a in outline.all("div") if a.get("class") == "plot")

    def test_the_page_is_written_whole(self, tmp_path: Path, html: str) -> None:
        write_page(example(), tmp_path / "report.html")
        assert (tmp_path / "report.html").read_text() == html
        assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


class TestStranger:
    def test_no_text_of_the_results_becomes_markup(self) -> None:
        outline = Outline(page_html(hostile()))
        assert len(outline.all("script")) == 3
        assert not outline.all("img")
        assert not [a for _, a in outline.tags if any(key.startswith("on") for key in a)]
        assert "{{7*7}}" in outline.text

    def test_no_name_of_an_arm_gets_into_a_style(self) -> None:
        outline = Outline(page_html(hostile()))
        assert not [a["style"] for _, a in outline.tags if "pwned" in str(a.get("style"))]


class TestParts:
    def test_settings_are_flattened_with_dotted_keys(self) -> None:
        nested = {
            "seeds": 8,
            "train": {"lr": 0.1, "nesterov": False},
            "arms": ["a", "b"],
            "root": None,
            "skip": [],
            "nets": [{"x": 1}, {"x": 2}],
        }
        assert flat(nested) == [
            ("seeds", "8"),
            ("train.lr", "0.1"),
            ("train.nesterov", "false"),
            ("arms", "a, b"),
            ("root", "none"),
            ("skip", "none"),
            ("nets.0.x", "1"),
            ("nets.1.x", "2"),
        ]

    def test_sentences_are_escaped_before_they_are_set(self) -> None:
        assert together("<b> 50 % of `x` in scratch-b") == (
            '&lt;b&gt; 50\u00a0% of <code>x</code> in <span class="nb">scratch-b</span>'
        )

    def test_the_grid_of_learning_rates_runs_from_high_to_low_with_gaps(self) -> None:
        rows = [{"arm": "retrain", "lr": 0.1}, {"arm": "fine-tune", "lr": 0.01}]
        grid = tuning_grid(rows)
        assert grid["rates"] == [0.1, 0.01]
        assert [(row["arm"], row["cells"]) for row in grid["rows"]] == [
            ("fine-tune", [None, rows[1]]),
            ("retrain", [rows[0], None]),
        ]

    def test_a_diverged_and_an_edge_learning_rate_are_marked(self, outline: Outline) -> None:
        assert "diverged" in outline.text
        assert re.search("diverged 0.1077 ✓ 0.0900 0.1077", outline.text)
        assert "edge ✓ 0.0900" in outline.text


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    page = tmp_path_factory.mktemp("page") / "report.html"
    write_page(example(fractions=(0.5, 0.8)), page)
    return look(page, 400, 1400)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH")
class TestBrowser:
    def test_the_verdict_can_be_read(self, seen: list[dict[str, Any]]) -> None:
        for measured in seen:
            assert measured["headlines"] == [ANSWER, ANSWER]
            assert measured["words"][0] == "retrain and scratch-b: undecided"
            assert measured["quotes"][0].startswith(f"{ANSWER}: for vgg11 l1, retrain and scratch-b are undecided")

    def test_it_never_scrolls_sideways(self, seen: list[dict[str, Any]]) -> None:
        assert [measured["width"] for measured in seen] == [400, 1400]
        assert all(measured["overflow"] <= 0 for measured in seen)
        assert all(measured["wider"] == [] for measured in seen)

    def test_every_figure_is_drawn(self, seen: list[dict[str, Any]]) -> None:
        assert [(measured["plots"], measured["drawn"]) for measured in seen] == [(11, 11)] * 2

    def test_the_strip_has_its_margin(self, seen: list[dict[str, Any]]) -> None:
        assert all(band > 50 for measured in seen for band in measured["bands"])

    def test_the_legend_hides_an_arm_everywhere(self, seen: list[dict[str, Any]]) -> None:
        before, after, pressed = seen[1]["legend"]
        assert before >= 10
        assert (after, pressed) == (0, "false")

    def test_nothing_is_loaded(self, seen: list[dict[str, Any]]) -> None:
        assert all(measured["loaded"] == [] for measured in seen)

    def test_results_from_a_stranger_run_no_code(self, tmp_path: Path) -> None:
        write_page(hostile(), tmp_path / "report.html")
        (measured,) = look(tmp_path / "report.html", 400)
        assert measured["pwned"] is False
        assert (measured["scripts"], measured["images"]) == (4, 0)  # the page itself adds plotly.js
        assert measured["overflow"] <= 0
        assert measured["drawn"] == measured["plots"] > 0


def test_many_comparisons_stand_in_one_table_first() -> None:
    methods = ("l1", "l2", "random", "taylor")
    page = page_html(example(methods=methods, seeds=3))
    table = page.partition("All comparisons.")[2].partition("</table>")[0]
    assert re.findall(r'<th scope="row">([\w-]+)', table) == list(methods)
    assert page.index("All comparisons.") < page.index('<article class="verdict"')


def test_few_comparisons_need_no_table_of_all(html: str) -> None:
    assert "All comparisons." not in html


class TestBesideThePublishedNumbers:
    def test_each_case_has_its_tables_and_figure(self) -> None:
        outline = Outline(page_html(beside()))
        assert "Beside the published numbers" in outline.text
        assert "fine-tune 93.41 ± 0.12 (recalled) 5 40 93.00 ± 0.16 5 40" in outline.text
        assert "−0.37 (−0.57 to −0.17) recalled −0.90 (−1.15 to −0.65) −0.53 (−0.81 to −0.25) agrees" in outline.text
        assert [a["id"] for a in outline.all("div") if a.get("id", "").endswith("-published")] == ["f0c0-published"]

    def test_the_protocols_differences_are_in_view(self) -> None:
        outline = Outline(page_html(beside()))
        assert "data set cifar10 cifar10-jpeg (JPEG pixels)" in outline.text

    def test_a_study_without_a_known_table_has_no_such_part(self, outline: Outline) -> None:
        assert "Beside the published numbers" not in outline.text
        assert "Beside the published numbers" not in Outline(page_html(beside("table9"))).text

    def test_every_table_has_a_caption(self) -> None:
        outline = Outline(page_html(beside()))
        assert len(outline.all("caption")) == len(outline.all("table"))

    def test_a_table_that_a_stranger_names_is_only_a_name(self) -> None:
        results = beside()
        results["study"]["settings"]["published"] = ATTACK
        assert len(Outline(page_html(results)).all("script")) == 3

    @pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH")
    def test_it_fits_a_phone_and_is_drawn(self, tmp_path: Path) -> None:
        write_page(beside(network="resnet56", design="resnet56-b"), tmp_path / "report.html")
        (measured,) = look(tmp_path / "report.html", 400)
        assert measured["overflow"] <= 0
        assert measured["wider"] == []
        assert measured["drawn"] == measured["plots"]
