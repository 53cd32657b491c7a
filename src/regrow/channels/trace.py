"""Trace a network: which of its channels must go together, which can go at all, and which numbers follow.

The network runs once, on tensors without numbers where it can and on its own where it must (code that looks at values), and once
more in train mode where that takes other ways. Nothing is guessed: an operation that no rule describes keeps what it touches, and
`Tracing.frozen` says so.
"""

from __future__ import annotations

import dis
import functools
import itertools
import re
import sys
import types
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from regrow.channels import shortcuts, values
from regrow.channels.attributes import mark
from regrow.channels.conclusion import Attempt, concluded
from regrow.channels.ids import Demands
from regrow.channels.labels import labels_of, put, tensors_in
from regrow.channels.onmeta import as_call, meta_copy, moved, sharing_copy
from regrow.channels.outputs import contract
from regrow.channels.pauses import no_collection
from regrow.channels.rules.table import rule_of
from regrow.channels.tracing import Frozen, Tracing
from regrow.channels.watch import Watch, plain_functions
from regrow.errors import PruningError

__all__ = ["Frozen", "Tracing", "trace"]

_NORM_NAMES: Final = re.compile(r"(layer|rms|group|batch|instance|simple)_?norm|t5.*norm", re.IGNORECASE)


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Applies the rule of every primitive operation to what it was given and what it returned."""

    def __init__(self, demands: Demands, on_meta: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.demands, self.on_meta = demands, on_meta

    def __torch_dispatch__(self, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Every primitive operation."""
        kwargs = kwargs or {}
        given = tensors_in((args, kwargs))
        out = values.run(shortcuts.run, func, args, kwargs, given) if self.on_meta else func(*args, **kwargs)
        data = any(labels_of(tensor).data for tensor in given)
        rule_of(func)(self.demands, out, args, kwargs)
        if func._schema.is_mutable and given and (base := given[0]._base) is not None and not labels_of(given[0]).zero:
            labels_of(base).zero = False  # a part of it was written over
        if not data and given:
            for result in tensors_in(out):
                labels_of(result).data = False
        return out


@no_collection()
def trace(
    network: nn.Module,
    example_inputs: Any,
    *,
    outputs: Any = None,
    allow_inexact: Sequence[str] = (),
) -> Tracing:
    """Find the channel groups of any network. The network itself is not touched.

    Args:
        network: an `nn.Module`, on any device, `meta` included.
        example_inputs: a tensor, a tuple of positional arguments, or a dict of keyword arguments; a batch of one or two is enough.
        outputs: which outputs must keep their width: a function from the network's output to tensors; None for all that a user reads.
        allow_inexact: patterns of module names or classes whose statistics over channels may change.

    Raises `PruningError` where the network cannot run on the example inputs.
    """
    attempt, on = _first_that_runs(network, example_inputs, outputs, allow_inexact)
    again = functools.partial(trace, network, example_inputs, outputs=outputs, allow_inexact=allow_inexact)
    return concluded(attempt, on, again)


def _first_that_runs(network: nn.Module, inputs: Any, outputs: Any, allow: Sequence[str]) -> tuple[Attempt, str]:
    device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
    errors: list[str] = []
    for on, copied in (("meta", meta_copy), ("values", sharing_copy)):
        if on == "values" and device.type == "meta":
            continue
        attempt = _attempt(*_copy(network, copied), allow)
        args = moved(inputs, "meta" if on == "meta" else device)
        try:
            _run(attempt, args, outputs)
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")
            continue
        _train_mode(attempt, args, outputs)
        return attempt, on
    raise PruningError(f"the network cannot run on the example inputs. {errors[-1] if errors else ''}".strip())


def _copy(network: nn.Module, copied: Any) -> tuple[nn.Module, dict[str, Tensor]]:
    try:
        copy: tuple[nn.Module, dict[str, Tensor]] = copied(network)
    except Exception as error:
        raise PruningError(
            f"{type(network).__name__} cannot be copied ({type(error).__name__}: {error}), and what is traced is a copy of it. "
            "Give the class a __deepcopy__ method, or remove what cannot be copied before pruning."
        ) from error
    return copy


def _attempt(copy: nn.Module, tensors: dict[str, Tensor], allow: Sequence[str]) -> Attempt:
    demands = Demands()
    names = {id(module): name for name, module in copy.named_modules()}
    demands.where = lambda: _named(names)
    demands.is_norm_module = lambda: _in_norm(names, allow)
    for tensor in tensors.values():
        if tensor.is_floating_point() or tensor.is_complex():
            put(tensor, [demands.fresh(size) for size in tensor.shape], zero=True)
        else:
            put(tensor, [None] * tensor.dim())
        labels_of(tensor).data = False
    mark(copy, demands.diary)
    return Attempt(demands, copy, tensors, [])


def _frames(names: dict[int, str]) -> Iterator[tuple[str, nn.Module]]:
    """The modules whose forward is running, innermost first."""
    frame = sys._getframe(2)
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, nn.Module) and id(owner) in names:
            yield names[id(owner)], owner
        frame = frame.f_back  # type: ignore[assignment]


def _named(names: dict[int, str]) -> str:
    return next((name or "the network itself" for name, _ in _frames(names)), "the network")


def _in_norm(names: dict[int, str], allow: Sequence[str]) -> bool:
    for name, module in _frames(names):
        kind = type(module).__name__
        if _NORM_NAMES.search(kind) or any(
            fnmatchcase(name, pattern) or fnmatchcase(kind, pattern) for pattern in allow
        ):
            return True
        if kind not in {"Sequential", "ModuleList"}:
            return False
    return False


def _run(attempt: Attempt, inputs: Any, outputs: Any) -> None:
    """One forward pass in the mode that the copy is in now."""
    args, kwargs = as_call(inputs)
    attempt.copy.eval()
    _forward(attempt, args, kwargs, outputs)


def _forward(attempt: Attempt, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any) -> None:
    demands = attempt.demands
    on_meta = all(tensor.is_meta for tensor in attempt.tensors.values())
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        written_out = torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)
        untouched = torch.random.fork_rng(devices=[])  # whoever traces goes on with the random numbers that he had
        with torch.no_grad(), untouched, written_out, plain_functions(), Watch(demands), Recorder(demands, on_meta):
            result = attempt.copy(*args, **kwargs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)
    if demands.writes_journal:
        demands.calls_in_all = demands.calls
    kept, left_out = contract(result, outputs)
    for name, tensor in kept:
        for ids in labels_of(tensor).axes:
            demands.freeze(ids, f"is an output of the network ({name})" if name else "is the output of the network")
    attempt.notes += [f"the output {name} may change its width" for name in left_out]


def _train_mode(attempt: Attempt, inputs: Any, outputs: Any) -> None:
    """Run again in train mode where modules ask which mode they are in."""
    if not _asks_for_mode(attempt.copy):
        return
    args, kwargs = as_call(inputs)
    attempt.copy.train()
    attempt.demands.writes_journal = False
    try:
        _forward(attempt, args, kwargs, outputs)
    except Exception as error:
        attempt.notes.append(
            f"train mode could not be traced ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})"
        )
    finally:
        attempt.copy.eval()


_HARMLESS: Final = frozenset(
    ["dropout", "dropout2d", "dropout3d", "drop_path", "stochastic_depth", "alpha_dropout", "bernoulli"]
)


def _asks_for_mode(network: nn.Module) -> bool:
    kinds: set[Any] = {type(module) for module in network.modules()}
    return any(_class_asks(kind) for kind in kinds if not kind.__module__.startswith("torch.nn.modules"))


@functools.cache
def _class_asks(kind: Any) -> bool:
    """Whether a class's methods, inherited ones too, read `self.training` for anything but to hand it to dropout."""
    if issubclass(kind, (nn.modules.batchnorm._NormBase, nn.modules.dropout._DropoutNd)):
        return False  # which statistics, which numbers are zero: nothing about channels
    own = (parent for parent in kind.__mro__ if not parent.__module__.startswith("torch.nn.modules"))
    return any(
        _reads_mode(value.__code__) for parent in own for value in vars(parent).values() if hasattr(value, "__code__")
    )


def _reads_mode(code: types.CodeType) -> bool:
    if "training" not in code.co_names:
        return False
    if not set(code.co_names) & _HARMLESS:
        return True
    steps = [
        step for step in dis.get_instructions(code) if step.opname not in {"CACHE", "COPY", "TO_BOOL", "UNARY_NOT"}
    ]
    return any(
        one.argval == "training" and one.opname == "LOAD_ATTR" and "JUMP" in other.opname
        for one, other in itertools.pairwise(steps)
    )
