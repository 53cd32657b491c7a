"""The pages of docs/results that follow from committed results, written anew: `python -m benchmarks.pages`.

    docs/results/<name>/results.json    what `regrow run` found
    docs/results/<name>/page.toml       what a person says about it: question, answer, more, caveats, repeat
    docs/results/<name>.md              the page

A test compares every page with what this writes, so no number on a page can differ from its results.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from regrow.report.markdown import Words, markdown_page

FOLDER: Final = Path(__file__).parents[1] / "docs" / "results"


def pages(folder: Path = FOLDER) -> Iterator[tuple[Path, str]]:
    """Every page with the text that its results and words make."""
    for said in sorted(folder.glob("*/page.toml")):
        results = json.loads((said.parent / "results.json").read_text(encoding="utf-8"))
        page = markdown_page(results, words(said)) + _files(said.parent)
        yield folder / f"{said.parent.name}.md", page


def words(path: Path) -> Words:
    """What a person says about one study."""
    said = tomllib.loads(path.read_text(encoding="utf-8"))
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
