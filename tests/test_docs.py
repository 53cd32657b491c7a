"""The documentation is complete: what the code has is in it, and what it links to is there.

The site itself is built by `.ci/run`; here its generated parts are made by the same functions.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

import regrow
from regrow.config.catalog import KINDS, listing
from regrow.retraining.arms import ARMS
from regrow.retraining.conventions import CONVENTIONS
from tests.blocks import DOCS, PAGES, README, ROOT

CONFIG: Final = (ROOT / "mkdocs.yml").read_text()

WORDS: Final = (
    "dense network",
    "fraction",
    "architecture",
    "predefined architecture",
    "automatic architecture",
    "carve",
    "regrow",
    "rewind",
    "start state",
    "arm",
    "Scratch-E",
    "Scratch-B",
    "ledger",
    "convention",
    "nominal and executed MACs",
    "primary contrast",
    "MACs",
    "study",
    "stage",
    "verdict",
)
"""The words that the whole project uses in one sense each."""

PAPER: Final = {"vgg16-a": 243, "resnet56-a": 178, "resnet56-b": 220, "resnet110-a": 190, "resnet110-b": 260}
"""Scratch-B epochs of Liu et al. 2019, arXiv:1810.05270, from 160 epochs of the dense network."""


@pytest.fixture(scope="module")
def hook() -> Iterator[ModuleType]:
    """The build hook that writes the generated parts."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    spec = importlib.util.spec_from_file_location("reference_hook", DOCS / "hooks" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tables(hook: ModuleType) -> dict[str, str]:
    """The generated sections of the page of tables, by heading."""
    return sections(hook.tables())


def sections(markdown: str) -> dict[str, str]:
    parts = re.split(r"^## (.+)$", markdown, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def first_cells(markdown: str) -> list[str]:
    """The names in the first column of a page's tables."""
    return re.findall(r"^\| `([^`]+)` \|", markdown, re.MULTILINE)


def test_every_key_of_every_settings_model_is_in_the_reference(hook: ModuleType) -> None:
    written = sections(hook.settings())
    for name, model in hook.settings_models().items():
        keys = {key for key in model.model_fields if name or key not in hook.settings_models()}
        assert set(first_cells(written[f"[{name}]" if name else "Top of the file"])) == keys


def test_every_key_has_a_type_and_help(hook: ModuleType) -> None:
    rows = [line.strip("| ").split(" | ") for line in hook.settings().splitlines() if line.startswith("| `")]
    assert rows and all(len(row) == 4 and all(row) for row in rows)


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_of_every_table_is_in_the_reference(kind: str, hook: ModuleType, tables: dict[str, str]) -> None:
    assert first_cells(tables[hook.TITLES[kind]]) == [row["name"] for row in listing(kind)]


def test_networks_are_listed_with_the_published_counts(tables: dict[str, str]) -> None:
    assert re.search(r"`vgg16` .* \| 13 \| 5 \| 313.5\u202fM \| 14.988\u202fM ", tables["Networks"])
    assert re.search(r"`resnet56` .* \| 27 \| 3 \| 125.5\u202fM \| 0.853\u202fM ", tables["Networks"])


def test_worked_example_gives_the_epochs_of_the_paper(hook: ModuleType) -> None:
    rows = [line.strip("| ").split(" | ") for line in hook.budgets().splitlines() if line.startswith("| `")]
    assert {row[0].strip("`"): int(row[5]) for row in rows} == PAPER
    assert all(int(row[7]) == int(row[5]) + 40 for row in rows)


def test_worked_example_in_words_is_the_computed_one(hook: ModuleType) -> None:
    large, small = hook.design_macs("vgg16-a")
    assert f"160 · {large:,} / {small:,}" in (DOCS / "protocol.md").read_text()


def test_every_command_and_public_name_is_in_the_reference(hook: ModuleType) -> None:
    assert set(sections(hook.cli())) == {"regrow", *(f"regrow {name}" for name in hook.COMMANDS)}
    public = {f"regrow.{name}" for name in regrow.__all__ if name != "__version__"}
    assert set(sections(hook.python())) == public


SMALLEST_STUDY: Final = {
    "name": "smallest",
    "arms": ["retrain", "scratch-b"],
    "seeds": 1,
    "data": {"name": "digits"},
    "network": {"name": "vgg11", "width": 0.03125},
    "prune": {"method": "l1"},
    "train": {"epochs": 1, "batch": 128},
    "retrain": {"epochs": 1, "max_lrs": 4},
    "between": {"name": "q", "first": {"arm": "retrain"}, "second": {"arm": "scratch-b"}},
    "compute": {"device": "cpu", "precision": "fp32", "channels_last": False},
    "analyses": ["weights"],
}
"""It means nothing, and has at least one row of every list of results.json."""


def test_every_key_of_results_is_documented_and_no_other(tmp_path: Path) -> None:
    written = sections((DOCS / "reference" / "results.md").read_text())
    documented = {name: set(first_cells(text)) for name, text in written.items()}
    documented["pairs"] = documented["verdicts"] - {"word", "sentence"}
    documented["between"] |= documented["verdicts"]
    study = regrow.Study.model_validate(SMALLEST_STUDY)
    results = regrow.run(study, out=tmp_path, workers=1, quiet=True).content
    assert documented.pop("Top") == set(results)
    assert set(documented) == {name for name, value in results.items() if isinstance(value, dict | list)} - {"problems"}
    for name, keys in documented.items():
        rows = results[name] if isinstance(results[name], list) else [results[name]]
        assert rows, name
        assert all(set(row) == keys for row in rows), name


def test_every_mark_is_filled_in_and_every_part_is_used(hook: ModuleType) -> None:
    marks = [mark for page in PAGES for mark in hook.MARK.findall(page.read_text())]
    assert sorted(marks) == sorted(hook.PARTS)
    with pytest.raises(KeyError):
        hook.on_page_markdown("<!-- generated: nothing -->")


def test_help_with_angle_brackets_and_stars_is_no_markup(hook: ModuleType) -> None:
    assert hook.plain("train/<class>/*.jpg of `a|b*`") == r"train/&lt;class&gt;/\*.jpg of `a|b*`"


def test_every_page_is_in_the_navigation_and_nothing_else_is() -> None:
    listed = re.findall(r": ([\w/-]+\.md)$", CONFIG, re.MULTILINE)
    found_by_the_hook = {"log.md", "statistics.md"}
    pages = {page.relative_to(DOCS).as_posix() for page in PAGES if page != README}
    assert set(listed) == pages - found_by_the_hook
    assert len(listed) == len(set(listed))


def test_results_stand_in_the_navigation_in_reading_order_under_short_names(hook: ModuleType) -> None:
    nav = hook.on_config({"docs_dir": DOCS, "nav": []})["nav"]
    results = next(section["Results"] for section in nav if "Results" in section)
    assert results[0] == {"Overview": "results/index.md"}
    assert {"Table 1, L1 norm, VGG-16-A": "results/table1-vgg16.md"} in results
    assert len(results) == len(list((DOCS / "results").glob("**/*.md")))
    named = [path for entry in results if isinstance(entry, dict) for path in entry.values()]
    assert named.index("results/table1-vgg16.md") < named.index("results/table6-vgg19.md")


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_site_asks_no_other_site_for_anything() -> None:
    assert "font: false" in CONFIG
    assert "http" not in CONFIG


@pytest.mark.parametrize("word", WORDS)
def test_glossary_defines(word: str) -> None:
    entries = re.findall(r"^(\S.*)\n: {3}\S", (DOCS / "glossary.md").read_text(), re.MULTILINE)
    assert word in [name for entry in entries for name in (entry, *entry.split(", "))]


def test_protocol_has_every_convention_with_its_formula() -> None:
    text = (DOCS / "protocol.md").read_text()
    for name, row in CONVENTIONS.items():
        assert f"| `{name}` | {row.formula.replace(' * ', ' · ')} |" in text


def test_protocol_and_readme_name_every_arm() -> None:
    for page in (README, DOCS / "protocol.md"):
        missing = [name for name, arm in ARMS.items() if f"`{name}`" not in page.read_text()]
        assert [name for name in missing if name not in ("scratch-b0", "scratch-b0-cap", "scratch-b1")] == []
