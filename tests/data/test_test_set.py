from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import regrow.errors
from regrow.data.examples import Examples
from regrow.data.test_set import open_test
from tests.data.samples import labels, noise, parquet_root, parquet_settings, prepared

SOURCE = Path(regrow.errors.__file__).parent
DOOR = "regrow.data.test_set"
BEHIND_IT = "regrow.data.examples.open_part"


def named(source: str) -> set[str]:
    """Every module, `module.attribute` and text that a Python source names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute):
            found.add(ast.unparse(node))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value.replace(":", "."))
    return found


def uses(source: str, target: str) -> bool:
    """Whether a Python source imports `target` or something in it, or names it as text."""
    return any(name == target or name.startswith(f"{target}.") for name in named(source))


def users(target: str) -> set[str]:
    files = {file.relative_to(SOURCE).as_posix(): file.read_text() for file in SOURCE.rglob("*.py")}
    return {name for name, source in files.items() if uses(source, target)}


def test_only_accuracy_opens_the_test_set() -> None:
    assert users(DOOR) <= {"evaluation/accuracy.py"}


def test_only_the_door_opens_parts_by_name() -> None:
    assert users(BEHIND_IT) == {"data/test_set.py"}


@pytest.mark.parametrize(
    "source",
    [
        "import regrow.data.test_set",
        "from regrow.data import test_set",
        "from regrow.data.test_set import open_test",
        "def late():\n    from regrow.data.test_set import open_test as innocent",
        "import regrow.data\nregrow.data.test_set.open_test",
        "load('regrow.data.test_set:open_test')",
    ],
)
def test_no_way_in_is_overlooked(source: str) -> None:
    assert uses(source, DOOR)


def test_a_mention_in_prose_is_no_way_in() -> None:
    assert not uses('"""See regrow.data.test_set for the door."""', DOOR)


def test_it_holds_the_test_examples(tmp_path: Path) -> None:
    test = open_test(prepared(parquet_settings(parquet_root(tmp_path / "root")), tmp_path / "out"))
    assert isinstance(test, Examples)
    assert np.array_equal(test.images.permute(0, 2, 3, 1).numpy(), noise(12, seed=1))
    assert test.labels.tolist() == labels(12)
