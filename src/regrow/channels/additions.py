"""Where a network adds what a branch computed to what came in: watched while it runs once.

A module whose first argument is a tensor x and that computes x + f(x) is a residual block. Here every primitive addition is seen, with the
module in whose forward it happens. An operand is known by its memory, so views and in-place operations do not hide it: the shortcut
is the memory of the module's input, or of a sum that was made from it; the end of a branch is the innermost module that
computed the other operand (`layer1.0.bn2`, not the Dropout or Identity behind it that hands the same tensor on, and not a product with
a parameter: the sum is zero where the module gives zeros, and grows with it).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from regrow.channels.labels import tensors_in

_aten: Final = torch.ops.aten
_ADDITIONS: Final = (_aten.add, _aten.add_)
_COPIES: Final = (_aten.clone,)
_PRODUCTS: Final = (_aten.mul, _aten.mul_)

Key = tuple[int, int, int]
"""A value by where it is: its memory, how often that was written to, and how many numbers it has."""


@dataclass(slots=True, eq=False)
class Call:
    """One call of one module."""

    name: str
    stream: Tensor | None
    """Its first argument, where that is a tensor."""

    entered: frozenset[Key]
    """The values that it was given."""

    shortcut: set[int] = field(default_factory=set)
    """Memory of its input and of the sums that were made from it."""

    ends: list[str] = field(default_factory=list)
    """Modules whose outputs were added to the shortcut."""

    strange: bool = False
    """Whether something else was added to it."""

    computed: list[str] = field(default_factory=list)
    """Modules whose outputs were added where no operand was the shortcut."""

    same_shape: bool = False
    """Whether it gave one tensor of the shape and type of its input."""


class Additions(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's base is not annotated
    """Hooks on every module of a network, and an eye on every addition; `calls` has what was seen, in the order of the calls."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []
        self._running: list[Call] = []
        self._makers: dict[Key, str] = {}
        self._bearers: dict[Key, str] = {}
        self._alive: list[Tensor] = []  # memory that is given back is given out again, to other tensors
        for name, module in network.named_modules():
            module.register_forward_pre_hook(self._enter(name), prepend=True, with_kwargs=True)
            module.register_forward_hook(self._leave(), with_kwargs=True)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # True, torch's default, would import its compiler at the first operation.
        return False

    def _enter(self, name: str) -> Any:
        def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            del module
            given = tensors_in((args, kwargs))
            self._alive.extend(given)
            stream = args[0] if args and isinstance(args[0], Tensor) else None
            call = Call(name, stream, frozenset(_key(tensor) for tensor in given))
            if stream is not None:
                call.shortcut.add(_memory(stream))
            self.calls.append(call)
            self._running.append(call)

        return enter

    def _leave(self) -> Any:
        def leave(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            del module, args, kwargs
            call = self._running.pop()
            if not isinstance(output, Tensor):
                return
            self._alive.append(output)
            if call.stream is not None:
                call.same_shape = (output.shape, output.dtype) == (call.stream.shape, call.stream.dtype)
            key = _key(output)
            known = self._bearers if key in call.entered else self._makers
            known.setdefault(key, call.name)

        return leave

    def __torch_dispatch__(self, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Every primitive operation."""
        kwargs = kwargs or {}
        packet = func.overloadpacket
        operands = [operand for operand in (*args, *kwargs.values()) if isinstance(operand, Tensor)]
        before = [_key(operand) for operand in operands]  # an addition in place writes to its first operand
        out = func(*args, **kwargs)
        if packet in _ADDITIONS and len(operands) == 2:
            self._alive.append(out)
            self._added(before, _memory(out))
        if packet in _COPIES:
            self._alive.append(out)
            for call in self._running:
                if before[0][0] in call.shortcut:
                    call.shortcut.add(_memory(out))
        if packet in _PRODUCTS and isinstance(out, Tensor):
            self._alive.append(out)
            self._multiplied(before, out, grown=packet is _aten.mul_)
        return out

    def _multiplied(self, operands: list[Key], out: Tensor, grown: bool) -> None:
        """A product with what a module computed is zero where that is, so the module is its source as well."""
        known = (self._makers.get(key) or self._bearers.get(key) for key in operands)
        memory, version, count = _key(out)  # torch counts a writing after we have seen it
        if source := next((name for name in known if name), None):
            self._bearers.setdefault((memory, version + grown, count), source)

    def _added(self, operands: list[Key], total: int) -> None:
        """An addition counts for the innermost module whose shortcut is one operand."""
        for call in reversed(self._running):
            count = call.stream.numel() if call.stream is not None else -1
            others = [key for key in operands if key[0] not in call.shortcut or key[2] != count]
            if len(others) == len(operands) or any(key in call.entered for key in others):
                continue  # what a module was given, somebody else computed
            end = self._source(others[0], call) if len(others) == 1 else None
            call.strange |= end is None
            call.ends.extend([end] if end else [])
            call.shortcut.add(total)
            return
        if self._running:
            call = self._running[-1]
            call.computed.extend(end for key in operands if (end := self._source(key, call)))

    def _source(self, key: Key, call: Call) -> str | None:
        """The module inside the calling one that computed a value, or at least handed it on."""
        found = (known.get(key) for known in (self._makers, self._bearers))
        start = f"{call.name}." if call.name else ""
        return next((name for name in found if name is not None and name != call.name and name.startswith(start)), None)


def _memory(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _key(tensor: Tensor) -> Key:
    return _memory(tensor), tensor._version, tensor.numel()
