"""The house style, as far as a program can see it: sizes, order, names, docstrings, doors.

Each test lists what breaks its rule as `module:line what`, so the message is the list of places to mend.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "regrow"
TESTS = Path(__file__).parent

LONGEST_FILE = 400
LONGEST_BODY = 40
DEEPEST = 3

ORDER = (
    ("errors", "table", "files", "randomness", "settings", "version"),
    ("published",),
    ("data",),
    ("networks",),
    ("training",),
    ("channels",),
    ("pruning",),
    ("retraining",),
    ("evaluation",),
    ("shipping",),
    ("config",),
    ("study",),
    ("detection",),
    ("report",),
    ("api",),
    ("commands",),
    ("cli",),
    ("__main__", "__init__"),
)
"""A module imports from its own row and from rows above it."""

DOORS = {
    "regrow.data.test_set": ("evaluation/accuracy.py",),
    "lightning": ("training/",),
    "lightning_fabric": ("training/",),
    "scipy": ("evaluation/statistics.py",),
    "statsmodels": ("evaluation/statistics.py",),
    "plotly": ("report/",),
    "pycocotools": ("detection/",),
    "torchmetrics": ("detection/",),
    "typer": ("cli.py", "commands/"),
    "pickle": (),
    "dill": (),
}
"""Where a module may be imported, and nowhere else. The test set has one door; a pickle has none."""

VAGUE = {"utils", "util", "helpers", "core", "common", "base", "misc"}

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)


@cache
def modules() -> dict[Path, ast.Module]:
    """Every module of the package, parsed."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.rglob("*.py"))}


def none_of(places: list[str]) -> None:
    """Nothing breaks the rule; the message lists what does."""
    assert not places, "\n" + "\n".join(places)


def name(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, FUNCTIONS):
                yield path, node


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a module imports, inside functions and for type checking too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def test_the_package_is_found() -> None:
    assert {"errors.py", "cli.py", "config/load.py", "retraining/arms.py"} <= {name(path) for path in modules()}


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


@cache
def code_lines(path: Path) -> frozenset[int]:
    """Lines of a file that hold code: no blank ones, no comments, no docstrings."""
    text = path.read_text(encoding="utf-8")
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in skipped]
    lines = {line for token in tokens for line in range(token.start[0], token.end[0] + 1)}
    strings = [
        node
        for node in ast.walk(modules()[path])
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    return frozenset(lines - {line for node in strings for line in range(node.lineno, (node.end_lineno or 0) + 1)})


def test_no_function_has_more_than_40_lines_of_code() -> None:
    long = []
    for path, node in functions():
        body = range(node.body[0].lineno, (node.end_lineno or 0) + 1)
        if (count := len(code_lines(path) & set(body))) > LONGEST_BODY:
            long.append(f"{name(path)}:{node.lineno} {node.name} has {count} lines")
    none_of(long)


def depth(node: ast.AST) -> int:
    """How deep the blocks inside a node stand in each other; elif is no deeper than its if, a function inside begins anew."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, depth(child) + (isinstance(child, BLOCKS) and not is_elif))
    return deepest


def test_no_function_is_deeper_than_three_blocks() -> None:
    deep = [
        f"{name(path)}:{node.lineno} {node.name} has depth {depth(node)}"
        for path, node in functions()
        if depth(node) > DEEPEST
    ]
    none_of(deep)


def row_of(module: str) -> int:
    """Row of a module, by its first part below the package."""
    return next((i for i, row in enumerate(ORDER) if module in row), -1)


def test_every_folder_and_module_has_its_place_in_the_order() -> None:
    parts = {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in modules()}
    assert {part for part in parts if row_of(part) < 0} == set()


def test_imports_only_point_up_the_order() -> None:
    down = []
    for path, tree in modules().items():
        own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        for line, target in imports(tree):
            package, _, rest = target.partition(".")
            below = rest.partition(".")[0]
            if package == "regrow" and row_of(below) > row_of(own):
                down.append(f"{name(path)}:{line} imports {target}")
    none_of(down)


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    known = {"regrow." + name(path).removesuffix(".py").replace("/", ".") for path in modules()}
    graph = {}
    for path, tree in modules().items():
        top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        targets = {part for node in top for _, target in imports(node) for part in (target, target.rpartition(".")[0])}
        graph["regrow." + name(path).removesuffix(".py").replace("/", ".")] = targets & known
    while free := [module for module, targets in graph.items() if not targets & set(graph)]:
        for module in free:
            del graph[module]
    assert graph == {}


def test_every_module_has_a_test_of_its_name() -> None:
    lacking = []
    for path in modules():
        if path.name == "__init__.py":
            continue
        place = TESTS / path.relative_to(SOURCE).parent / f"test_{path.stem.strip('_')}.py"
        if not place.exists():
            lacking.append(f"{name(path)} needs {place.relative_to(TESTS)}")
    none_of(lacking)


def test_every_module_says_what_it_is() -> None:
    silent = [name(path) for path, tree in modules().items() if tree.body and not ast.get_docstring(tree)]
    none_of(silent)


def public_definitions(
    tree: ast.Module | ast.ClassDef,
) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for node in tree.body:
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node)


def test_everything_public_says_what_it_is() -> None:
    silent = [
        f"{name(path)}:{node.lineno} {node.name}"
        for path, tree in modules().items()
        for node in public_definitions(tree)
        if not ast.get_docstring(node) and not is_overload(node)
    ]
    none_of(silent)


def is_overload(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    return any(isinstance(mark, ast.Name) and mark.id in ("overload", "override") for mark in node.decorator_list)


def test_everything_is_typed() -> None:
    untyped = []
    for path, node in functions():
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
        bare = [
            arg.arg
            for arg in arguments
            if arg is not None and arg.annotation is None and arg.arg not in ("self", "cls")
        ]
        if bare or node.returns is None:
            untyped.append(f"{name(path)}:{node.lineno} {node.name}")
    none_of(untyped)


def test_nothing_is_printed_outside_the_command_line() -> None:
    printed = [
        f"{name(path)}:{node.lineno}"
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
        and path.name != "cli.py"
    ]
    none_of(printed)


def test_what_has_one_door_is_imported_only_there() -> None:
    trespassing = []
    for path, tree in modules().items():
        for line, target in imports(tree):
            for guarded, places in DOORS.items():
                inside = target == guarded or target.startswith(f"{guarded}.")
                if inside and not name(path).startswith(places or "-"):
                    trespassing.append(f"{name(path)}:{line} imports {target}")
    none_of(trespassing)


def test_no_file_is_loaded_or_saved_as_a_pickle() -> None:
    found = [
        f"{name(path)}:{node.lineno} torch.{node.attr}"
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in ("load", "save")
        and isinstance(node.value, ast.Name)
        and node.value.id == "torch"
    ]
    none_of(found)


def test_init_files_of_folders_are_empty() -> None:
    full = [
        name(path) for path in modules() if path.name == "__init__.py" and path.parent != SOURCE and path.read_text()
    ]
    none_of(full)


def test_no_module_has_a_vague_name_and_no_function_is_named_like_a_folder() -> None:
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir()}
    none_of([name(path) for path in modules() if path.stem in VAGUE])
    top = [(path, node) for path, tree in modules().items() for node in tree.body if isinstance(node, FUNCTIONS)]
    none_of([f"{name(path)}:{node.lineno} {node.name}" for path, node in top if node.name in folders])
