"""What a factory registers while it builds a network: every parameter and buffer, in order, and the name it ends up under.

PyTorch tells registration hooks about each `self.weight = nn.Parameter(...)` and each `register_buffer(...)`. The order is the same
every time the factory runs, so the n-th registration of one run is the n-th of the next.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from regrow.errors import PruningError

Factory = Callable[[], nn.Module]
"""Builds the dense network anew at every call."""

_MARK: Final = "_regrow_registered_as"
"""Attribute of every recorded module; `copy.deepcopy` takes it along, so a copy says what it is a copy of."""

_RUNS: Final = itertools.count()


@dataclass(frozen=True, slots=True)
class Registration:
    """One parameter or buffer that a module was given."""

    module: int
    """Which module, counted in the order of their first registrations."""

    kind: str
    """Class of that module."""

    attribute: str
    shape: tuple[int, ...] | None
    """Shape when it was registered; None for a lazy parameter."""

    name: str | None
    """Name in the finished network of the tensor whose size it must have; None where nothing of it is left."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One run of a factory."""

    network: nn.Module
    registrations: tuple[Registration, ...]

    homes: Mapping[int, tuple[str, ...]]
    """Names of each module that is still in the network, and of its copies: the module itself first."""

    tensors: Mapping[str, Tensor]
    """Parameters and buffers by name, the first one where tied."""

    names: Mapping[str, str]
    """Every name of a tensor, and the first of its names."""

    behind: Mapping[str, tuple[str, ...]]
    """Names of the tensors that a parametrization computes `module.attribute` from."""

    on_meta: bool

    def tensor_at(self, module: str, attribute: str, shape: tuple[int, ...] | None) -> str | None:
        """Name of the tensor of this shape that stands at the attribute, or that a parametrization of it has put there.

        Without a shape, the largest of them: weight norm keeps directions, of the weight's own shape, and their lengths.
        """
        place = f"{module}.{attribute}".lstrip(".")
        own = [self.names[place]] if place in self.names else []
        behind = sorted(self.behind.get(place, ()), key=lambda name: -self.tensors[name].numel())
        return next(
            (name for name in (*own, *behind) if shape is None or tuple(self.tensors[name].shape) == shape), None
        )


@contextlib.contextmanager
def listening(heard: Callable[[nn.Module, str, Tensor], None]) -> Iterator[None]:
    """Call `heard(module, attribute, tensor)` for every parameter and buffer that this thread registers, before it is in place."""
    thread = threading.get_ident()

    def hook(module: nn.Module, name: str, tensor: Tensor | None) -> None:
        if tensor is not None and threading.get_ident() == thread:
            heard(module, name, tensor)

    handles = (register_module_parameter_registration_hook(hook), register_module_buffer_registration_hook(hook))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def record(factory: Factory, *, on_meta: bool) -> Recording:
    """Run the factory once and say what it registered; on the meta device nothing is drawn and no memory taken.

    Raises `PruningError` for a factory that hands out tensors which it did not build in this call, and whatever the factory raises.
    """
    notes = _Notes()
    with contextlib.ExitStack() as stack:
        # The author's warnings come again when the factory runs in earnest.
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(torch.device("meta" if on_meta else "cpu"))
        stack.enter_context(_UnfilledMeta())
        stack.enter_context(listening(notes.take))
        network = factory()
    return _named(network, notes, on_meta)


class _Notes:
    """What was registered so far. Holds every module and tensor, so that an id stays one object's."""

    def __init__(self) -> None:
        self.run = next(_RUNS)
        self.modules: list[nn.Module] = []
        self.taken: list[tuple[Registration, Tensor]] = []

    def take(self, module: nn.Module, attribute: str, tensor: Tensor) -> None:
        number = self.number(module)
        if number is None or self.modules[number] is not module:
            number = len(self.modules)
            self.modules.append(module)
            module.__dict__[_MARK] = (self.run, number)
        kind = type(module).__qualname__  # a lazy or parametrized module changes its class later
        self.taken.append((Registration(number, kind, attribute, _shape(tensor), None), tensor))

    def number(self, module: nn.Module) -> int | None:
        """The number of the module, or of the one it is a copy of; None where it was built at another time."""
        run, number = module.__dict__.get(_MARK, (None, None))
        return number if run == self.run else None


class _UnfilledMeta(TorchFunctionMode):
    """Leaves out filling meta tensors with numbers: there are none, and the first attempt imports PyTorch's compiler."""

    FILLS: Final = frozenset({"normal_", "uniform_", "fill_", "zero_", "copy_", "mul_", "add_", "erfinv_", "clamp_"})

    def __torch_function__(
        self, func: Any, _types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__name__", "") in self.FILLS and args and isinstance(args[0], Tensor) and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


def _named(network: nn.Module, notes: _Notes, on_meta: bool) -> Recording:
    """The recording, each registration with the name that its tensor ended up under."""
    first, names = tensor_names(network)
    homes = _homes(network, notes)
    draft = Recording(network, (), homes, first, names, _behind(names), on_meta)
    by_tensor = {id(tensor): name for name, tensor in first.items()}
    registrations = []
    for taken, tensor in notes.taken:
        name = by_tensor.get(id(tensor))
        if name is None and taken.module in homes:
            # Replaced later, or only copies of its module are left: what stands in its place says its size.
            name = draft.tensor_at(homes[taken.module][0], taken.attribute, taken.shape)
        if name is not None and taken.shape not in (None, tuple(first[name].shape)):
            name = None
        registrations.append(replace(taken, name=name))
    return replace(draft, registrations=tuple(registrations))


def tensor_names(network: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by their first name, and every name's first name."""
    every: list[tuple[str, Tensor]] = [
        *network.named_parameters(remove_duplicate=False),
        *network.named_buffers(remove_duplicate=False),
    ]
    first_name: dict[int, str] = {}
    for name, tensor in every:
        first_name.setdefault(id(tensor), name)
    names = {name: first_name[id(tensor)] for name, tensor in every}
    return {name: tensor for name, tensor in every if names[name] == name}, names


def _homes(network: nn.Module, notes: _Notes) -> dict[int, tuple[str, ...]]:
    """Where each recorded module stands, and where copies of it do."""
    homes: dict[int, tuple[str, ...]] = {}
    for name, module in network.named_modules():
        number = notes.number(module)
        if number is not None:
            others = homes.get(number, ())
            homes[number] = (name, *others) if notes.modules[number] is module else (*others, name)
        elif [*module.parameters(recurse=False), *module.buffers(recurse=False)]:
            raise PruningError(
                f"the factory returned a network whose module {name or type(module).__name__!r} it did not build in this call: it keeps "
                "a network, or a part of one, between calls. Pass a function that builds everything anew at every call."
            )
    return homes


def _behind(names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """`conv.parametrizations.weight.original0` stands behind `conv.weight`, and so does `conv.weight_orig` in older networks."""
    found: dict[str, tuple[str, ...]] = {}
    for name, first in names.items():
        owner, _, attribute = name.rpartition(".")
        module, parametrized, hidden = f".{owner}".rpartition(".parametrizations.")
        place = f"{module}.{hidden}" if parametrized else f"{owner}.{attribute.rpartition('_')[0]}"
        found[place.lstrip(".")] = (*found.get(place.lstrip("."), ()), first)
    return found


def _shape(tensor: Tensor) -> tuple[int, ...] | None:
    return None if is_lazy(tensor) else tuple(tensor.shape)
