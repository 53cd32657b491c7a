"""A person's own function that builds a network, `package.module:function`. Its code runs here, so somebody must have trusted it.

The function is handed `classes` (a number) and `shape` (channels, height, width) as keywords where its signature takes them, and the
study's network.options besides.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from torch import nn

from regrow.errors import ConfigError, did_you_mean
from regrow.files import file_digest
from regrow.networks.sources import Access
from regrow.networks.spec import NetworkSpec

if TYPE_CHECKING:
    from regrow.networks.foreign import Factory


_IMPORTED: Final[dict[str, tuple[str, str]]] = {}
"""Folder and origin of every module that was imported here."""

_ADDED: Final[set[str]] = set()
"""Folders that were put on Python's path here, one at a time."""


def own_network(name: str, spec: NetworkSpec, access: Access) -> Factory:
    """The factory at `module:attribute`.

    Raises `ConfigError` where the module or the attribute is not there, where the file is another one than when the study was
    planned, where the options do not fit the signature, and, when the factory is called, where it returns no network.
    """
    module, _, attribute = name.partition(":")
    function = _attribute(import_from(module, access, spec), attribute)
    arguments = _arguments(function, spec)

    def factory() -> nn.Module:
        network = function(**arguments)
        if not isinstance(network, nn.Module):
            raise ConfigError(f"{name} must return a torch.nn.Module; it returned {type(network).__name__}.")
        return network

    return factory


def import_from(module: str, access: Access, spec: NetworkSpec) -> ModuleType:
    """The module, from the folder that it was found in when the study was read."""
    importlib.invalidate_caches()
    if _IMPORTED.get(module) != (access.place, spec.origin):
        _forget(module)
    _look_in(access.place)
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{spec.name} cannot be imported: {error}. Install what it needs beside regrow.") from error
    digest = f"sha256 {file_digest(Path(found.__file__))}" if found.__file__ else ""
    if spec.origin and digest != spec.origin:
        raise ConfigError(
            f"{found.__file__} was changed after the study was read ({spec.origin[:19]}..., now {digest[:19]}...). Run the study again."
        )
    _IMPORTED[module] = (access.place, spec.origin)
    return found


def _look_in(folder: str) -> None:
    """Let Python find modules in one folder; where it does anyway, its order stays, so that nothing hides the standard library."""
    sys.path[:] = [entry for entry in sys.path if entry not in _ADDED]
    if folder and folder not in sys.path:
        _ADDED.add(folder)
        sys.path.insert(0, folder)


def _forget(module: str) -> None:
    """Drop what this process imported under the name: it may be of another folder, or from before the file was changed."""
    top = module.partition(".")[0]
    for name in [name for name in sys.modules if name == top or name.startswith(f"{top}.")]:
        del sys.modules[name]


def _attribute(module: ModuleType, path: str) -> Callable[..., Any]:
    try:
        found = reduce(getattr, path.split("."), module)
    except AttributeError:
        names = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise ConfigError(f"{module.__name__} has nothing called {path!r}. {did_you_mean(path, names)}") from None
    if not callable(found):
        raise ConfigError(
            f"{module.__name__}:{path} must be a function that returns a network; found {type(found).__name__}."
        )
    return found


def _arguments(function: Callable[..., Any], spec: NetworkSpec) -> dict[str, Any]:
    """Keywords for the function: the study's options, and classes and shape where it takes them."""
    known: dict[str, Any] = {"classes": spec.classes, "shape": spec.shape}
    taken = inspect.signature(function).parameters
    keywords = {name for name, one in taken.items() if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    takes_any = any(one.kind is one.VAR_KEYWORD for one in taken.values())
    arguments = {name: value for name, value in known.items() if takes_any or name in keywords} | spec.arguments
    _refuse_misfits(spec, arguments, taken, keywords, takes_any)
    return arguments


def _refuse_misfits(
    spec: NetworkSpec,
    arguments: Mapping[str, Any],
    taken: Mapping[str, inspect.Parameter],
    keywords: set[str],
    takes_any: bool,
) -> None:
    for name in arguments:
        if not takes_any and name not in keywords:
            raise ConfigError(
                f"{spec.name} does not take {name!r} of network.options. {did_you_mean(name, keywords or ['nothing'])}"
            )
    for name, one in taken.items():
        variadic = one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        if one.default is one.empty and not variadic and name not in arguments:
            raise ConfigError(
                f"{spec.name} needs the argument {name!r}, which regrow does not know: it gives classes and shape. "
                f"Write it under network.options, or give it a default."
            )
