"""What stands in fenced blocks of the README and of the documentation, so that tests can run it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
README: Final = ROOT / "README.md"
DOCS: Final = ROOT / "docs"
PAGES: Final = [
    README,
    *sorted(page for page in DOCS.rglob("*.md") if "results" not in page.relative_to(DOCS).parts[:-1]),
]
"""The README and every page of the documentation, published results left out: they are made by other means."""


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """Every `regrow ...` of a page's bash blocks, as its arguments; comments are dropped, `&&` separates commands."""
    lines = [line for block in blocks(page, "bash") for line in block.splitlines()]
    parts = [part for line in lines if "<<" not in line for part in line.partition("#")[0].split("&&")]
    words = [shlex.split(part) for part in parts if part.strip().startswith("regrow ")]
    return [line[1:] for line in words]
