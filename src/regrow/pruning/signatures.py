"""Signatures: what a function takes and what it says about itself, read from its source file without running it. Imports no torch."""

from __future__ import annotations

import ast
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from regrow.errors import did_you_mean
from regrow.networks.sources import find_module
from regrow.pruning.evidence import EVIDENCE

OWN: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")

_HOPS: Final = 5
"""Modules that a name is followed through."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes."""

    parameters: tuple[str, ...]

    required: tuple[str, ...]
    """Those without a default."""

    summary: str
    """First line of its docstring, without a final full stop; empty where it has none."""

    @property
    def whole(self) -> bool:
        """Whether it is a whole method; else it is a criterion."""
        return "network" in self.parameters

    @property
    def needs_data(self) -> bool:
        """Whether it needs examples: as a whole method if it takes `batches` without a default, as a criterion if it looks at them."""
        if self.whole:
            return "batches" in self.required
        return any(EVIDENCE[name].needs_examples for name in self.parameters if name in EVIDENCE)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Of a criterion: what it asks for and no evidence is called after. A second parameter may take the generator by any name."""
        return tuple(name for name in self.required if name not in EVIDENCE and (name,) != self.parameters[1:2])


def signature_of(name: str, folder: Path) -> Signature | str:
    """The signature of `package.module:function`, or a sentence that says what is wrong. Looked for as `find_module` does.

    A name that a module imports from another one is followed there.
    """
    module, _, attribute = name.partition(":")
    for _ in range(_HOPS):
        found = find_module(module, folder)
        if found is None:
            return f"no module {module} with a source file was found"
        try:
            tree = ast.parse(found[0].read_text(encoding="utf-8"))
        except (SyntaxError, ValueError) as error:
            return f"{found[0]} is not Python: {error}"
        function = next((one for one in tree.body if isinstance(one, Function) and one.name == attribute), None)
        if function is not None:
            return _signature(function)
        there = _imported_from(tree, attribute, module, found[0])
        if there is None:
            names = [one.name for one in tree.body if isinstance(one, Function) and not one.name.startswith("_")]
            close = did_you_mean(attribute, names) if names else "It defines no function."
            return f"{module} must define a function {attribute} with `def`, at its top level; it does not. {close}"
        module, attribute = there
    return f"{name} is imported from module to module more than {_HOPS} times"


def _signature(function: Function) -> Signature:
    takes = function.args
    plain = [*takes.posonlyargs, *takes.args]
    required = plain[: len(plain) - len(takes.defaults)]
    required += [one for one, default in zip(takes.kwonlyargs, takes.kw_defaults, strict=True) if default is None]
    lines = (ast.get_docstring(function) or "").strip().splitlines()
    return Signature(
        parameters=tuple(one.arg for one in [*plain, *takes.kwonlyargs]),
        required=tuple(one.arg for one in required),
        summary=lines[0].rstrip(".") if lines else "",
    )


def _imported_from(tree: ast.Module, attribute: str, module: str, file: Path) -> tuple[str, str] | None:
    """Module and name that `from module import name as attribute` takes it from."""
    for node in tree.body:
        if not isinstance(node, ast.ImportFrom):
            continue
        for alias in node.names:
            if (alias.asname or alias.name) == attribute:
                package = module if file.name == "__init__.py" else module.rpartition(".")[0]
                there = "." * node.level + (node.module or "")
                return (importlib.util.resolve_name(there, package) if node.level else there), alias.name
    return None
