"""Paths: in which order layers run, which norm follows a layer, and which residual addition its output reaches.

One forward pass is watched by hooks on modules and by a light mode that sees every call of PyTorch's interface. A layer's output
is marked; the mark goes on through one batch norm and through dropout (both run in eval mode), and every other operation ends it,
in-place ones as well. Where a marked tensor is added to another one of its shape, that other one is the shortcut, unless it was
itself computed from the marked one: then the marked one is the shortcut, of a branch that it feeds.

What this does not see: an addition behind another layer (a learnt scale, an activation), and additions inside compiled code. The
outputs of such layers are taken for what they are, without the shortcut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.overrides import TorchFunctionMode

OnOutput = Callable[[str, nn.Module, Tensor, Tensor], None]
"""Takes name, module, input and output of a layer that ran."""

OnAddition = Callable[["Mark", Tensor], None]
"""Takes the mark of one operand, and the other operand."""

_MARK: Final = "_regrow_mark"
_ORIGINS: Final = "_regrow_origins"
"""Attribute of a tensor: the layers that it was computed from."""

_ADDITIONS: Final[frozenset[Any]] = frozenset(
    {torch.add, Tensor.add, Tensor.add_, Tensor.__add__, Tensor.__radd__, Tensor.__iadd__}
)
_THROUGH: Final[frozenset[Any]] = frozenset(
    {functional.dropout, functional.dropout1d, functional.dropout2d, functional.dropout3d}
)


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a tensor comes from: the layer that computed it, and the batch norm that it has passed since."""

    layer: str
    norm: str = ""


class EnoughError(Exception):
    """All that was asked for has been seen; the rest of the forward pass is not needed. Never leaves `follow`."""


@dataclass
class Paths:
    """What one forward pass showed."""

    calls: dict[str, int] = field(default_factory=dict)
    """How often each layer ran, in the order of the first runs."""

    norms: dict[str, str] = field(default_factory=dict)
    """The batch norm that reads a layer's output, where one does."""

    additions: list[tuple[Mark, Mark | None]] = field(default_factory=list)
    """The marks of what is added; one entry for each marked operand, the other operand's mark second."""


def find_paths(network: nn.Module, layers: Iterable[str], run: Callable[[], object]) -> Paths:
    """Watch one pass that `run` makes; `layers` are the names of the modules that count."""
    paths = Paths()

    def ran(name: str, module: nn.Module, given: Tensor, output: Tensor) -> None:
        del module
        paths.calls[name] = paths.calls.get(name, 0) + 1
        setattr(output, _ORIGINS, _origins([given, output]) | {name})

    def added(mark: Mark, other: Tensor) -> None:
        if mark.layer not in _origins([other]):
            paths.additions.append((mark, getattr(other, _MARK, None)))

    norms = [name for name, module in network.named_modules() if isinstance(module, _BatchNorm)]
    passed = follow(network, layers, norms, run, on_output=ran, on_addition=added)
    paths.norms.update(passed)
    return paths


def follow(
    network: nn.Module,
    layers: Iterable[str],
    norms: Iterable[str],
    run: Callable[[], object],
    *,
    on_output: OnOutput,
    on_addition: OnAddition,
) -> dict[str, str]:
    """Make one pass without gradients and tell what happens; ends early, and quietly, where a listener raises `EnoughError`.

    Returns the batch norm that each layer's output went through. All hooks are gone afterwards.
    """
    passed: dict[str, str] = {}
    modules = dict(network.named_modules())
    hooks: dict[str, Callable[..., None]] = {name: _marks(name, on_output) for name in layers}
    hooks.update({name: _carries(name, passed) for name in norms})
    hooks.update({name: _keeps for name, module in modules.items() if isinstance(module, _DropoutNd)})
    handles = [modules[name].register_forward_hook(hook) for name, hook in hooks.items()]
    try:
        with torch.no_grad(), _Additions(on_addition):
            run()
    except EnoughError:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return passed


def _marks(name: str, listen: OnOutput) -> Callable[..., None]:
    def hook(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        if given and isinstance(given[0], Tensor) and isinstance(output, Tensor):
            setattr(output, _MARK, Mark(name))
            listen(name, module, given[0], output)

    return hook


def _carries(name: str, passed: dict[str, str]) -> Callable[..., None]:
    def hook(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        del module
        mark = getattr(given[0], _MARK, None) if given else None
        if mark is not None and not mark.norm:
            passed[mark.layer] = name
            setattr(output, _MARK, Mark(mark.layer, name))

    return hook


def _keeps(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
    del module
    mark = getattr(given[0], _MARK, None) if given else None
    if mark is not None:
        setattr(output, _MARK, mark)


def _origins(values: Any) -> frozenset[str]:
    """The layers that any tensor in nested tuples and lists was computed from."""
    if isinstance(values, Tensor):
        found: frozenset[str] = getattr(values, _ORIGINS, frozenset())
        return found
    if isinstance(values, (tuple, list)):
        return frozenset().union(*(_origins(value) for value in values))
    return frozenset()


def _descend(result: Any, origins: frozenset[str]) -> None:
    """Every tensor of a result comes from where its operands came from."""
    for tensor in result if isinstance(result, (tuple, list)) else (result,):
        if isinstance(tensor, Tensor):
            setattr(tensor, _ORIGINS, origins)


class _Additions(TorchFunctionMode):
    """Sees every call of PyTorch's interface: tells of additions, and ends marks where a marked tensor is written over."""

    def __init__(self, listen: OnAddition) -> None:
        super().__init__()
        self.listen = listen

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """One call."""
        kwargs = kwargs or {}
        if func in _ADDITIONS:
            self._added(args, kwargs)
        origins = _origins([args, list(kwargs.values())])
        result = func(*args, **kwargs)
        if origins:
            _descend(result, origins)
        if isinstance(result, Tensor) and func not in _THROUGH and any(result is given for given in args):
            vars(result).pop(_MARK, None)
        return result

    def _added(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        operands = [value for value in (*args, kwargs.get("other")) if isinstance(value, Tensor)]
        if len(operands) != 2 or operands[0].shape != operands[1].shape or kwargs.get("alpha", 1) != 1:
            return
        for one, other in (operands, operands[::-1]):
            mark = getattr(one, _MARK, None)
            if mark is not None:
                self.listen(mark, other)
