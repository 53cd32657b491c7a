"""The generated parts of the documentation: written at build time from the code itself, so they cannot be out of date.

A page holds a line `<!-- generated: NAME -->`; mkdocs calls `on_page_markdown`, and the line becomes what the function of that
name in `PARTS` returns. Pages of results are found too: every docs/results/*.md that exists joins the navigation.
"""

from __future__ import annotations

import ast
import html
import inspect
import json
import re
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from regrow.config.catalog import KINDS, listing
from regrow.config.fields import SPECIAL
from regrow.config.keys import model_of
from regrow.config.study import Study
from regrow.config.words import describe, show

MARK: Final = re.compile(r"^<!-- generated: ([a-z-]+) -->$", re.MULTILINE)

IMAGE: Final = (3, 32, 32)
"""Channels, height, width that the networks of the tables are counted for."""

CLASSES: Final = 10

NARROW: Final = "\u202f"
"""A narrow space at which no line is broken, between a number and its unit."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in the generated parts of a page; an unknown name is a KeyError and stops the build."""
    return MARK.sub(lambda match: PARTS[match[1]](), markdown)


def on_config(config: Any) -> Any:
    """Add what other parts of the project leave in docs/: statistics, log, and one page for every published study."""
    docs = Path(config["docs_dir"])
    extra = [{title: name} for title, name in (("Statistics", "statistics.md"),) if (docs / name).exists()]
    results = [short_name(page, docs) for page in sorted((docs / "results").glob("**/*.md"), key=place)]
    config["nav"] = [_with(section, "Protocol", extra) for section in config["nav"]]
    config["nav"] += [{"Results": results}] if results else []
    config["nav"] += [{"What did not work": "log.md"}] if (docs / "log.md").exists() else []
    return config


def place(page: Path) -> tuple[int, str]:
    """Where a page of results stands in the navigation: the index, those without a `place` in a page.toml by name, those with one."""
    return -1 if page.stem == "index" else said_about(page).get("place", 0), page.as_posix()


def short_name(page: Path, docs: Path) -> str | dict[str, str]:
    """An entry of the navigation: under the `short` name of the page's page.toml where it has one, else under its title."""
    short, path = (
        said_about(page).get("short", "Overview" if page.stem == "index" else ""),
        page.relative_to(docs).as_posix(),
    )
    return {short: path} if short else path


def said_about(page: Path) -> dict[str, Any]:
    """What the page.toml of a page of results says; nothing where there is none."""
    said = page.with_suffix("") / "page.toml"
    return tomllib.loads(said.read_text(encoding="utf-8")) if said.exists() else {}


def _with(section: dict[str, Any], name: str, extra: list[dict[str, str]]) -> dict[str, Any]:
    return {name: [*section[name], *extra]} if name in section else section


# ---- words


def plain(text: str) -> str:
    """A line of help as markdown: what stands in backticks stays, and nothing else is read as markup."""
    parts = " ".join(text.split()).split("`")
    return "`".join(
        part if i % 2 else re.sub(r"([*_|\[\]])", r"\\\1", html.escape(part, quote=False))
        for i, part in enumerate(parts)
    )


def code(text: object) -> str:
    """A value in code type, safe inside a table."""
    return f"`{str(text).replace('|', chr(92) + '|')}`" if str(text) else ""


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


# ---- the study file


def settings() -> str:
    """Every table and key of a study file: type, default, help."""
    top = {name: field for name, field in Study.model_fields.items() if model_of(field.annotation) is None}
    parts = [f"## Top of the file\n\n{_keys(top, '')}"]
    for name, field in Study.model_fields.items():
        model = model_of(field.annotation)
        if model is not None:
            parts.append(
                f"## [{name}]\n\n{plain(inspect.cleandoc(model.__doc__ or ''))}\n\n{_keys(model.model_fields, name)}"
            )
    return "\n".join(parts)


def _keys(fields: Mapping[str, FieldInfo], section: str) -> str:
    rows = [
        [code(name), plain(_type(name, field, section)), _default(name, field, section), plain(field.description or "")]
        for name, field in fields.items()
    ]
    return table(["key", "takes", "default", "meaning"], rows)


def _type(name: str, field: FieldInfo, section: str) -> str:
    if not section and name in SPECIAL:
        return SPECIAL[name]
    return describe(Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation)


def _default(name: str, field: FieldInfo, section: str) -> str:
    if (section, name) == ("", "name"):
        return "the file's name"
    if field.is_required():
        return "**required**"
    if field.default is None:
        return "none"
    if field.default in ("", ()):
        return "empty"
    return code(json.dumps(field.default)) if isinstance(field.default, tuple) else code(show(field.default))


def settings_models() -> dict[str, type[BaseModel]]:
    """Every settings model by the name of its table; the empty name is the top of the file."""
    inner = {name: model_of(field.annotation) for name, field in Study.model_fields.items()}
    return {"": Study} | {name: model for name, model in inner.items() if model is not None}


# ---- the tables


TITLES: Final = {
    "networks": "Networks",
    "sources": "Sources of other networks",
    "data": "Data sets and formats",
    "methods": "Pruning methods",
    "method-sources": "Sources of other methods",
    "designs": "Designs: predefined widths",
    "arms": "Arms",
    "conventions": "Budget conventions",
    "analyses": "Analyses",
    "published": "Published tables",
    "studies": "Packaged studies",
}
"""Headings, by kind of list."""

SHOWN: Final[dict[str, tuple[str, ...]]] = {
    "networks": ("source",),
    "sources": ("extra", "given", "needs_trust"),
    "data": ("shape", "classes", "examples", "test_examples", "augment", "source"),
    "methods": ("kind", "removes", "scope", "needs_data", "source"),
    "method-sources": ("extra", "needs_trust"),
    "designs": ("network", "also", "widths", "stages", "skip", "blocks", "source"),
    "arms": ("network", "weights", "init", "channels", "budget", "schedule", "needs", "control", "source"),
    "conventions": ("formula", "counts", "macs", "cap", "source"),
    "analyses": ("subject", "source"),
    "published": ("source",),
    "studies": (),
}
"""Columns beside name and summary."""


def tables() -> str:
    """Every table that a study file takes names from."""
    return "\n".join(f"## {TITLES[kind]}\n\n{_sentence(KINDS[kind].summary)}\n\n{_rows(kind)}" for kind in KINDS)


def _sentence(summary: str) -> str:
    return f"{plain(summary[:1].upper() + summary[1:])}."


def _rows(kind: str) -> str:
    counted = _costs if kind == "networks" else lambda _: []
    headers = ["name", "what it is", *(["groups", "stages", "MACs", "parameters"] if kind == "networks" else [])]
    headers += [column.replace("_", " ") for column in SHOWN[kind]]
    rows = [
        [
            code(row["name"]),
            plain(row["summary"]),
            *counted(row),
            *(_cell(column, row.get(column)) for column in SHOWN[kind]),
        ]
        for row in listing(kind)
    ]
    return table(headers, rows)


def _cell(column: str, value: Any) -> str:
    if value is None or value == [] or value == ():
        return "–"
    if column == "shape":
        return NARROW.join(" ".join(f"{side} ×" for side in value)[:-2].split(" "))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return code(json.dumps(list(value))) if not isinstance(value[0], str) else plain(", ".join(value))
    return code(value) if isinstance(value, str) and "*" in value else plain(str(value))


def _costs(row: Mapping[str, Any]) -> list[str]:
    """Prunable groups, stages, MACs and parameters of a network at width 1 for CIFAR-10's images."""
    from regrow.networks.cost import cost
    from regrow.networks.settings import NetworkSettings
    from regrow.networks.zoo import NETWORKS, dense_spec

    counted = cost(dense_spec(NetworkSettings(name=row["name"]), classes=CLASSES, shape=IMAGE))
    network = NETWORKS[row["name"]]
    return [
        str(len(network.groups())),
        str(network.stages),
        f"{counted.macs / 1e6:.1f}{NARROW}M",
        f"{counted.params / 1e6:.3f}{NARROW}M",
    ]


# ---- the worked example of the protocol


EXAMPLES: Final = ("vgg16-a", "resnet56-a", "resnet56-b", "resnet110-a", "resnet110-b")
K1: Final = 160
K2: Final = 40
IMAGES: Final = 45_000
COLUMNS: Final = ("E", "B0", "B0-cap", "B1")
"""Conventions of the worked example; for one-shot methods the others equal one of these, K2, or K1 + K2."""


def budgets() -> str:
    """Scratch epochs of the paper's CIFAR designs under the plainest conventions, by the functions that a study uses."""
    rows = [[code(name), *_budget(name)] for name in EXAMPLES]
    return table(["design", "F1", "F2", "F1 / F2", *COLUMNS], rows)


def _budget(name: str) -> list[str]:
    from regrow.retraining.conventions import scratch_epochs
    from regrow.retraining.ledger import fine_tuning, trained

    large, small = design_macs(name)
    ledger = (trained("dense training", large, IMAGES, K1), fine_tuning(small, IMAGES, K2))
    epochs = [scratch_epochs(c, ledger, small_macs=small, examples=IMAGES, dense_epochs=K1) for c in COLUMNS]
    return [f"{large / 1e6:.1f} M", f"{small / 1e6:.1f} M", f"{large / small:.3f}", *map(str, epochs)]


def design_macs(name: str) -> tuple[int, int]:
    """MACs of a design's dense and of its pruned network, for CIFAR-10's images."""
    from dataclasses import replace

    from regrow.networks.cost import cost
    from regrow.networks.settings import NetworkSettings
    from regrow.networks.zoo import dense_spec
    from regrow.pruning.designs import DESIGNS
    from regrow.pruning.settings import PruneSettings
    from regrow.pruning.widths import target_widths

    dense = dense_spec(NetworkSettings(name=DESIGNS[name].network), classes=CLASSES, shape=IMAGE)
    widths = target_widths(PruneSettings(method="l1", widths=name), dense, None)
    return cost(dense).macs, cost(replace(dense, widths=widths)).macs


# ---- the command line


COMMANDS: Final = ("list", "check", "plan", "run", "report", "guide", "detect", "prune", "latency")
"""In the order in which a person meets them; `regrow --help` lists them all."""


def cli() -> str:
    """What `regrow --help` and `regrow COMMAND --help` print."""
    from typer.main import get_command
    from typer.testing import CliRunner

    from regrow.cli import app

    known: dict[str, Any] = vars(get_command(app))["commands"]
    commands = sorted(known, key=lambda name: (COMMANDS.index(name) if name in COMMANDS else len(COMMANDS), name))
    parts = []
    for name in ("", *commands):
        asked = [name, "--help"] if name else ["--help"]
        said = CliRunner().invoke(app, asked, prog_name="regrow", env={"COLUMNS": "100", "NO_COLOR": "1"}).output
        parts.append(f"## regrow {name}".rstrip() + f"\n\n```text\n{said.strip()}\n```\n")
    return "\n".join(parts)


# ---- Python


LINE: Final = 80
"""Characters of a signature that fit a line."""


def python() -> str:
    """Every public name of the package: signature, docstring, attributes. Functions first, then classes, then errors."""
    import regrow

    values = {name: getattr(regrow, name) for name in regrow.__all__}
    groups = [inspect.isfunction, lambda value: isinstance(value, type) and not _is_error(value), _is_error]
    return "\n".join(
        _public(name, values[name]) for chosen in groups for name in sorted(values) if chosen(values[name])
    )


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)


def _public(name: str, value: Any) -> str:
    head = f"## regrow.{name}\n\n"
    if inspect.isfunction(value):
        return head + f"```python\n{name}{_signature(value)}\n```\n\n{prose(value.__doc__)}\n"
    if _is_error(value):
        return (
            head
            + f"A `{value.__mro__[1].__name__}`; exit code {getattr(value, 'exit_code', 1)}. {prose(value.__doc__)}\n"
        )
    rows = [[code(attribute), code(kind), plain(text)] for attribute, kind, text in attributes(value)]
    return head + prose(value.__doc__) + "\n\n" + table(["attribute", "type", "meaning"], rows)


def _signature(function: Callable[..., Any]) -> str:
    """As in the source, with paths as text."""
    text = re.sub(r"\w*Path\('(.*?)'\)", r'"\1"', str(inspect.signature(function)))
    text = re.sub(r"'([^']*)'", r"\1", text)
    if len(text) <= LINE:
        return text
    inside, end = text[1:].rsplit(") -> ", 1)
    return "(\n    " + re.sub(r", (?=\w+:|\*,)", ",\n    ", inside) + f",\n) -> {end}"


def prose(docstring: str | None) -> str:
    """A docstring as markdown: paragraphs, and the list of arguments."""
    paragraphs = inspect.cleandoc(docstring or "").split("\n\n")
    return "\n\n".join(_arguments(part) if part.startswith("Args:") else plain(part) for part in paragraphs)


def _arguments(part: str) -> str:
    entries = re.split(r"\n(?=    \w)", part)[1:]
    pairs = [entry.strip().partition(":") for entry in entries]
    return table(["argument", "meaning"], [[code(name), plain(text)] for name, _, text in pairs])


def attributes(cls: type) -> list[tuple[str, str, str]]:
    """Name, type and help of the fields and properties of a class, in the order of its source."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = []
    for node, following in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and not node.target.id.startswith("_"):
            found.append((node.target.id, _unmarked(node.annotation), _string(following)))
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            called = "()" if not any(ast.unparse(mark) == "property" for mark in node.decorator_list) else ""
            help_line = (ast.get_docstring(node) or "").partition("\n\n")[0]
            found.append((node.name + called, ast.unparse(node.returns) if node.returns else "", help_line))
    return found


def _unmarked(annotation: ast.expr) -> str:
    """A type without the marks of `Annotated`, which the reference of the study file tells in words."""
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Annotated":
        annotation = annotation.slice.elts[0] if isinstance(annotation.slice, ast.Tuple) else annotation.slice
    return ast.unparse(annotation)


def _string(node: ast.stmt | None) -> str:
    """The text of a string that stands as a statement, or nothing."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return node.value.value
    return ""


PARTS: Final[dict[str, Callable[[], str]]] = {
    "settings": settings,
    "tables": tables,
    "budgets": budgets,
    "cli": cli,
    "python": python,
}
"""Name of a generated part to the function that writes it."""
