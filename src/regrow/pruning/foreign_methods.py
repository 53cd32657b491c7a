"""Methods of other people: load them, hand them what they ask for, and make of what they return an architecture or masks.

A whole method is any function

    def method(network, example_inputs, *, fraction, batches, generator, ...) -> result

of which it names what it wants: only these keywords are passed. `network` is a copy that it may change as it likes. What it may return
stands in `results.py`. A function that does not take `network` is a criterion, and goes where ours go (`evidence.py`).
"""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from regrow.channels.duplicate import duplicate
from regrow.channels.groups import channel_groups
from regrow.channels.trace import trace
from regrow.errors import ConfigError, PruningError, RegrowError
from regrow.files import file_digest
from regrow.networks.factories import import_from
from regrow.networks.groups import Group
from regrow.networks.sources import NOWHERE, Access
from regrow.networks.spec import NetworkSpec
from regrow.networks.zoo import NETWORKS
from regrow.pruning.choice import Traced
from regrow.pruning.method_results import MethodResult, understood
from regrow.pruning.method_sources import TORCH_PRUNING, installed, installed_code
from regrow.pruning.methods import Removed
from regrow.randomness import generator as generator_of
from regrow.randomness import seeded_everywhere
from regrow.table import load

Batches: TypeAlias = Callable[[], Iterable[tuple[Tensor, Tensor]]]
Function: TypeAlias = Callable[..., Any]


def load_method(name: str, origin: str = "", access: Access = NOWHERE) -> Function:
    """The function behind the name of a method from elsewhere: a whole method, or a criterion.

    `origin` and `access` are those of `method_sources.foreign_method`. Raises `ConfigError` where the reader has not said that he
    trusts a function that came with the study, where its file is another one than when the study was read, and where it is not there.
    """
    prefix, colon, rest = name.partition(":")
    if prefix == TORCH_PRUNING and colon:
        return functools.partial(load("regrow.pruning.torch_pruning:torch_pruning_method"), name=rest)
    if name.endswith(".safetensors"):
        return functools.partial(_from_file, path=Path(access.place or name), origin=origin)
    if not colon and name in installed():
        return _callable(load(installed_code(name)), name)
    if not access.trust:
        raise ConfigError(
            f"{name} runs code that regrow does not know. Look at it, then add --trust (from Python: trust=True)."
        )
    spec = NetworkSpec(name=name, width=1.0, widths=(), classes=1, shape=(1, 1, 1), origin=origin)
    return _callable(getattr(import_from(prefix, access, spec), rest, None), name)


def _callable(found: Any, name: str) -> Function:
    if not callable(found):
        raise ConfigError(f"{name} must be a function; found {type(found).__name__}.")
    function: Function = found
    return function


def _from_file(network: nn.Module, *, path: Path, origin: str) -> dict[str, Tensor]:
    """The tensors of a small network that was saved as a safetensors file."""
    del network
    if origin and origin != f"sha256 {file_digest(path)}":
        raise ConfigError(f"{path} was changed after the study was read. Run the study again.")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ConfigError(f"{path} is no safetensors file: {error}") from error


def run_method(
    function: Function,
    network: nn.Module,
    example_inputs: Any,
    *,
    fraction: float | None = None,
    batches: Batches | None = None,
    seed: int = 0,
    widths: Sequence[int] | None = None,
    scope: str = "group",
    remove: Removed | None = None,
    dense: NetworkSpec | None = None,
    traced: Traced | None = None,
    more: Mapping[str, Any] | None = None,
    name: str = "",
) -> MethodResult:
    """Run a whole method on a copy of the dense network and understand its result; `network` is left as it is.

    What a function may name: `network`, `example_inputs`, `fraction` (share to remove), `batches` (call it to read training examples:
    images and labels), `generator`, `seed`, `groups` (the `Group`s that can be pruned), `widths` (channels to keep, by name of the
    group; None where the method finds them), `scope`, and what stands in `more`. torch's, NumPy's and Python's global random numbers
    are seeded as well.

    Args:
        fraction: share to remove; by default that of all channels which `widths` remove.
        widths: channels that every group keeps, where a study fixes them.
        remove: what a study expects to go; None for whatever the method removes.
        dense: how a study builds the network, as for `adopt`.
        traced: what tracing found, as for `adopt`.
        name: what errors call the method.

    Raises `PruningError` where it needs examples and there are none, where it asks for something else, where it fails (with the place),
    where its result is none that can be understood, and where it is of another kind than `remove` says.
    """
    name = name or _name_of(function)
    if traced is None and (dense is None or dense.name not in NETWORKS):
        traced = trace(network, example_inputs)
    groups = (
        channel_groups(network) if traced is None or (dense is not None and dense.name in NETWORKS) else traced.groups
    )
    copy = duplicate(network, {})
    known: dict[str, Any] = {
        "network": copy,
        "example_inputs": example_inputs,
        "fraction": _share(groups, widths) if fraction is None else fraction,
        "batches": batches,
        "generator": generator_of(seed, "prune", name),
        "seed": seed,
        "groups": groups,
        "widths": _by_name(groups, widths),
        "scope": scope,
        **(more or {}),
    }
    arguments, keywords = _asked_for(function, name, known)
    with seeded_everywhere(seed, "prune", name):
        result = _called(function, name, arguments, keywords)
    returned = copy if result is None else result
    found = understood(returned, name, network, example_inputs, groups=groups, dense=dense, traced=traced)
    _check_kind(name, found, remove)
    return found


def _check_kind(name: str, found: MethodResult, remove: Removed | None) -> None:
    """Refuse masks where channels should go, and the other way about."""
    removed = "weights" if found.masks is not None else "channels"
    if remove is not None and remove != removed:
        raise PruningError(
            f'{name} removed {removed}, and the study expects {remove} to go. Write remove = "{removed}" under [prune].'
        )


def _name_of(function: Function) -> str:
    inner = function.func if isinstance(function, functools.partial) else function
    return f"{getattr(inner, '__module__', '')}:{getattr(inner, '__qualname__', type(inner).__name__)}"


def _by_name(groups: Sequence[Group], widths: Sequence[int] | None) -> dict[str, int] | None:
    if widths is None:
        return None
    return {group.name: width for group, width in zip(groups, widths, strict=True)}


def _share(groups: Sequence[Group], widths: Sequence[int] | None) -> float:
    """Share of all channels that these widths remove."""
    if widths is None:
        raise PruningError("a method must be told how much to remove: give it a fraction, or the widths of all groups")
    return 1 - sum(widths) / sum(group.channels for group in groups)


def _asked_for(function: Function, name: str, known: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments: what the function names."""
    taken = inspect.signature(function).parameters
    arguments, keywords = [], {}
    for key, one in taken.items():
        if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            continue
        required = one.default is one.empty
        if key not in known and required:
            raise PruningError(
                f"{name} asks for {key!r}, which regrow does not know. A method may name {', '.join(known)}; "
                f"give {key!r} a default, or leave it out"
            )
        if key == "batches" and required and known["batches"] is None:
            raise PruningError(
                f"{name} looks at training examples (batches), and there are none here; use it in a study"
            )
        if key not in known:
            continue
        if one.kind is one.POSITIONAL_ONLY:
            arguments.append(known[key])
        else:
            keywords[key] = known[key]
    return arguments, keywords


def _called(function: Function, name: str, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    try:
        return function(*arguments, **keywords)
    except RegrowError:
        raise
    except Exception as error:  # whatever code of somebody else's raises
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise PruningError(
            f"{name} failed: {type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno})"
        ) from error
