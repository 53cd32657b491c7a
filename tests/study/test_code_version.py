"""The code that determines results and the versions that stand for it in every stage's key, held against each other.

A stage's key holds a version of its code, not the code: a comment must not cost a week of training. So a person has to raise the
version when bits may change, and this test reminds him. When it fails, either raise `code` of the kinds concerned in
`src/regrow/study/stage.py`, or be sure that no bit can change; then write the new state down:

    python -m tests.study.test_code_version

Syntax trees differ between versions of Python, so the test runs on the one that wrote the record.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from pathlib import Path

import pytest

from regrow.study.stage import STAGE_KINDS

ROOT = Path(__file__).parents[2] / "src" / "regrow"
RECORD = Path(__file__).with_name("code_version.json")

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

DETERMINE = (
    "data",
    "networks",
    "channels",
    "pruning",
    "training",
    "evaluation/accuracy.py",
    "study/work.py",
    "randomness.py",
)
"""What a result's bits depend on, below src/regrow; settings and tables of help are part of it, as they hold defaults."""


def state() -> dict[str, object]:
    """Versions of all kinds of stages, and a hash of each place's code without docstrings and comments."""
    return {
        "python": PYTHON,
        "versions": {name: kind.code for name, kind in STAGE_KINDS.items()},
        "code": {place: _digest(place) for place in DETERMINE},
    }


def _digest(place: str) -> str:
    path = ROOT / place
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return hashlib.sha256("".join(_code(file) for file in files).encode()).hexdigest()[:16]


def _code(file: Path) -> str:
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [entry for entry in body if not _is_text(entry)]  # type: ignore[attr-defined]
    return file.name + ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def test_versions_were_thought_about_when_the_code_changed() -> None:
    recorded = json.loads(RECORD.read_text())
    if recorded["python"] != PYTHON:
        pytest.skip(f"the record was written with Python {recorded['python']}")
    assert state() == recorded, __doc__


def test_a_change_of_code_is_seen_and_a_change_of_words_is_not(tmp_path: Path) -> None:
    versions = [
        'def f():\n    """Doc."""\n    return 1\n',
        'def f():\n    """Other."""\n    return 1  # why\n',
        "def f():\n    return 2\n",
    ]
    dumps = []
    for text in versions:
        path = tmp_path / "code.py"
        path.write_text(text)
        dumps.append(_code(path))
    assert dumps[0] == dumps[1] != dumps[2]


if __name__ == "__main__":
    RECORD.write_text(json.dumps(state(), indent=1) + "\n")
