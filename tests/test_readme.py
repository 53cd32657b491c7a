"""What the README says is so: its commands run, its code uses names that exist, its map is the package's."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner

import regrow
from regrow.cli import app
from regrow.config.load import build
from tests.blocks import PAGES, README, ROOT, blocks, commands

SOURCE: Final = ROOT / "src" / "regrow"

SET_UP: Final = ("python -m pip install . && regrow run digits", 'python -m pip install -e ".[dev]" && pytest -n 2')

NO_TIMING: Final = ["--no-measure", "--set", "compute={ device = 'cpu', precision = 'fp32', channels_last = false }"]

SMALLEST: Final[dict[str, Any]] = {
    "name": "example",
    "data": {"name": "digits"},
    "network": {"name": "vgg11"},
    "prune": {"method": "l1"},
}
"""What a fragment of a study file leaves out."""

FRAGMENTS: Final = [(page, text) for page in PAGES for text in blocks(page, "toml")]
PYTHON: Final = [(page, text) for page in PAGES for text in blocks(page, "python")]
SHELL: Final = [(page, arguments) for page in PAGES for arguments in commands(page)]


def shown_study(page: Path) -> str:
    """The whole study file that a page shows; the README's where it shows none."""
    whole = [text for source in (page, README) for text in blocks(source, "toml") if "[network]" in text]
    return next(text for text in whole if "[prune]" in text)


def require_libraries(study: str) -> None:
    """Skip a study that needs an extra which is not installed."""
    for library in ("timm", "transformers"):
        if f'"{library}:' in study:
            pytest.importorskip(library)


def write_modules(page: Path, folder: Path) -> None:
    """The modules that a page shows: blocks that begin with `# name.py`."""
    for text in blocks(page, "python"):
        if name := re.match(r"# (\w+\.py)\n", text):
            (folder / name[1]).write_text(text)


def named(items: list[tuple[Path, Any]]) -> list[str]:
    return [f"{page.name}-{number}" for number, (page, _) in enumerate(items)]


def test_set_up_is_these_two_commands_and_no_others() -> None:
    lines = [line for block in blocks(README, "bash") for line in block.splitlines() if "install" in line]
    assert tuple(lines) == SET_UP


def test_every_command_of_the_command_line_is_shown() -> None:
    assert {arguments[0] for arguments in commands(README)} == {
        "list",
        "check",
        "plan",
        "run",
        "report",
        "prune",
        "latency",
    }


@pytest.mark.parametrize(("page", "arguments"), SHELL, ids=named(SHELL))
def test_shell_commands_are_understood_and_those_that_train_nothing_run(
    page: Path, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = shown_study(page)
    require_libraries(study)
    write_modules(page, tmp_path)
    (tmp_path / "study.toml").write_text(study)
    monkeypatch.chdir(tmp_path)
    # Help is given after all options were read, so an unknown one is an error.
    extra = {"list": [], "check": [], "plan": NO_TIMING}.get(arguments[0], ["--help"])
    done = CliRunner().invoke(app, [*arguments, *extra], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert done.output


@pytest.mark.parametrize(("page", "text"), FRAGMENTS, ids=named(FRAGMENTS))
def test_study_files_that_are_shown_have_no_faults(page: Path, text: str, tmp_path: Path) -> None:
    require_libraries(text)
    write_modules(page, tmp_path)
    shown = tomllib.loads(text)
    data = {**SMALLEST["data"], **shown.get("data", {})}
    _, faults = build({**SMALLEST, **shown, "data": data, "compute": shown.get("compute", {})}, tmp_path)
    assert not faults, [str(fault) for fault in faults]


def test_its_own_study_file_has_ten_lines() -> None:
    text = blocks(README, "toml")[0]
    assert len([line for line in text.splitlines() if line.strip() and not line.startswith("#")]) <= 10
    assert tomllib.loads(text).keys() >= {"data", "network", "prune"}


@pytest.mark.parametrize(("page", "text"), PYTHON, ids=named(PYTHON))
def test_python_code_compiles_and_uses_names_that_exist(page: Path, text: str) -> None:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            check_attribute(node.value.id, node.attr)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("regrow"):
            module = importlib.import_module(str(node.module))
            assert all(hasattr(module, alias.name) for alias in node.names)
        if isinstance(node, ast.Call):
            check_arguments(node)


def check_attribute(owner: str, attribute: str) -> None:
    homes: dict[str, set[str]] = {
        "regrow": set(regrow.__all__),
        "results": set(dir(regrow.Results)),
        "fault": {"where", "key", "rule", "hint"},
    }
    assert attribute in homes.get(owner, {attribute}), f"{owner}.{attribute}"


def check_arguments(call: ast.Call) -> None:
    """A call of `regrow.name(...)` has arguments that the function takes."""
    name = ast.unparse(call.func)
    if not name.startswith("regrow.") or name.count(".") > 1:
        return
    keywords = {str(keyword.arg): keyword.value for keyword in call.keywords}
    called = getattr(regrow, name.partition(".")[2])
    if called is regrow.Study:
        assert set(keywords) <= set(regrow.Study.model_fields)
    else:
        inspect.signature(called).bind(*call.args, **keywords)


def test_first_python_example_of_the_readme_has_five_lines_or_fewer() -> None:
    text = blocks(README, "python")[0]
    assert len([line for line in text.splitlines() if line.strip()]) <= 5


def test_example_of_pruning_runs_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    exec(compile(blocks(README, "python")[1], str(README), "exec"), scope)
    small, fresh, again = (scope[name] for name in ("small", "fresh", "again"))
    shapes = [tuple(tensor.shape) for tensor in small.parameters()]
    assert [tuple(tensor.shape) for tensor in fresh.parameters()] == shapes
    assert [tuple(tensor.shape) for tensor in again.parameters()] == shapes
    assert small.layer1[0].conv1.out_channels == 32


def folder_map() -> list[str]:
    return re.findall(r"^\| `([\w./]+)` \|", README.read_text().partition("in `src/regrow/`")[2], re.MULTILINE)


def test_map_names_every_folder_and_file_of_the_package_and_no_other() -> None:
    real = {f"{path.name}/" if path.is_dir() else path.name for path in SOURCE.iterdir()}
    hidden = {"__init__.py", "__main__.py", "py.typed", "__pycache__/"}
    assert sorted(folder_map()) == sorted(real - hidden)


def test_map_is_in_import_order() -> None:
    order = [name.removesuffix("/").removesuffix(".py") for name in folder_map()]
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if place in order:
            later = [name for name in imported(path) if order.index(name) > order.index(place)]
            assert not later, f"{path} imports {later}"


def imported(path: Path) -> set[str]:
    """Folders and files of the package that a module imports."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    modules = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return {name.split(".")[1] for name in modules if name.startswith("regrow.")}


def test_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README.read_text())
    assert links and all((ROOT / link).exists() for link in links)
