"""Trace a network: which of its channels must go together, which can go at all, and which numbers follow.

The network runs once, on tensors without numbers where it can and on its own where it must (code that looks at values), and once
more in train mode where that takes other ways. Nothing is guessed: an operation that no rule describes keeps what it touches, and
`Tracing.frozen` says so.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from regrow.channels.architecture import Correction
from regrow.channels.attributes import mark
from regrow.channels.equations import Point, System, settle, system_of
from regrow.channels.families import Families, Place, group_up
from regrow.channels.ids import Demands, Entry
from regrow.channels.labels import labels_of, put
from regrow.channels.module_sizes import read_size
from regrow.channels.onmeta import as_call, meta_copy, moved, sharing_copy
from regrow.channels.outputs import contract
from regrow.channels.rules.table import rule_of
from regrow.channels.sizes import Attribute, Extent, IdArray, parts
from regrow.channels.solve import solve
from regrow.channels.watch import Watch, plain_functions
from regrow.errors import PruningError
from regrow.networks.groups import Group

_NORM_NAMES: Final = re.compile(r"(layer|rms|group|batch|instance|simple)_?norm|t5.*norm", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Frozen:
    """Channels of a weight that cannot go."""

    what: str
    """The tensor that computes them."""

    channels: int
    reason: str


@dataclass(frozen=True)
class Tracing:
    """What one trace found."""

    groups: tuple[Group, ...]
    """Channels that must go together, in the order in which their first weights are registered."""

    links: tuple[tuple[int, ...], ...]
    """Groups (by number) that must keep the same share of their channels, because the code takes one size for another."""

    notes: tuple[str, ...]
    """What a person should know: statistics that change, modes that could not be traced."""

    on: str
    """`meta` where no numbers were computed, else `values`."""

    _demands: Demands
    _families: Families
    _system: System
    _places: tuple[Place, ...]
    _produced: frozenset[tuple[str, int]]
    _stay: dict[str, str]

    def corrections(self, widths: Sequence[int]) -> tuple[Correction, ...]:
        """The Python numbers that change when every group keeps as many channels as `widths` says.

        Raises `PruningError` for widths at which the network's own code could not run.
        """
        point = self._at(widths)
        dense = self._system.dense
        return tuple(
            Correction(module=key.module, attribute=key.path, dense=dense[key], small=value)
            for key, value in sorted(point.attributes().items(), key=lambda item: (item[0].module, item[0].path))
            if value != dense[key]
        )

    def at(self, widths: Sequence[int]) -> Point:
        """All sizes of the network's code at these widths; raises `PruningError` like `corrections`."""
        return self._at(widths)

    @property
    def journal(self) -> dict[int, Entry]:
        """Calls of PyTorch's interface that read sizes or follow them, by number; see `regrow.channels.silence`."""
        return self._demands.journal

    def kept(self, ids: IdArray, indices: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
        """Which positions of an axis stay, when every group keeps the channels in `indices`."""
        gone = np.zeros(len(self._families.family), dtype=bool)
        for group, chosen in enumerate(indices):
            members = np.flatnonzero(self._families.family == group)
            gone[members] = ~np.isin(self._families.channel[members], np.asarray(chosen))
        gone[0] = False
        return ~gone[self._families.atoms.of(ids)].any(axis=0)

    def _at(self, widths: Sequence[int]) -> Point:
        """The sizes at these widths; `PruningError` where they do not fit."""
        if len(widths) != len(self.groups):
            raise PruningError(
                f"the network has {len(self.groups)} channel groups and needs one width for each; found {len(widths)}"
            )
        for group, width in zip(self.groups, widths, strict=True):
            if not 1 <= width <= group.channels:
                raise PruningError(f"{group.name} keeps 1 to {group.channels} channels; asked for {width}")
        point = self._system.at(widths)
        for equation in point.broken():
            members = self._system.groups_in(equation.expression, equation.target)
            names = ", ".join(sorted({self.groups[index].name for index in members}))
            raise PruningError(
                f"these widths do not fit together: {equation.where} computes one size from another ({names}), so these "
                "groups must keep the same share of their channels"
            )
        for comparison in point.turned():
            raise PruningError(
                f"at these widths the network's code takes another path: a comparison of sizes ({comparison.name}) "
                "turns out otherwise. Keep more channels, or ignore the layers around it."
            )
        return point

    def scales(self, widths: Sequence[int]) -> bool:
        """Whether a number that the code computes from sizes, such as 1 / sqrt(head size), changes at these widths."""
        here, dense = self._system.at(widths), self._system.at([group.channels for group in self.groups])
        return any(here.value(scale) != dense.value(scale) for scale in self._system.scales)

    @functools.cached_property
    def frozen(self) -> tuple[Frozen, ...]:
        """Weights with output channels that cannot go, and why."""
        from regrow.channels.reasons import frozen_channels

        entries = frozen_channels(self._demands, self._families, self._places, self._produced, self._stay)
        return tuple(Frozen(*entry) for entry in entries)


class Recorder(TorchDispatchMode):
    """Applies the rule of every primitive operation to what it was given and what it returned."""

    def __init__(self, demands: Demands) -> None:
        super().__init__()
        self.demands = demands

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Every primitive operation."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        rule_of(func)(self.demands, out, args, kwargs)
        return out


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
    return _concluded(attempt, on)


@dataclass(slots=True)
class Attempt:
    """One copy of the network, and what its run demanded."""

    demands: Demands
    copy: nn.Module
    tensors: dict[str, Tensor]
    dense: dict[Attribute, int]
    notes: list[str]


def _first_that_runs(network: nn.Module, inputs: Any, outputs: Any, allow: Sequence[str]) -> tuple[Attempt, str]:
    device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
    errors: list[str] = []
    for on, copied in (("meta", meta_copy), ("values", sharing_copy)):
        if on == "values" and device.type == "meta":
            continue
        attempt = _attempt(*copied(network), allow)
        args = moved(inputs, "meta" if on == "meta" else device)
        try:
            _run(attempt, args, outputs)
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")
            continue
        _train_mode(attempt, args, outputs)
        return attempt, on
    raise PruningError(f"the network cannot run on the example inputs. {errors[-1] if errors else ''}".strip())


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
    mark(copy, demands.diary)
    return Attempt(demands, copy, tensors, {}, [])


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
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            with plain_functions(), Watch(demands), Recorder(demands):
                result = attempt.copy(*args, **kwargs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)
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
    kinds = {type(module) for module in network.modules()}
    return any(_class_asks(kind) for kind in kinds if not kind.__module__.startswith("torch.nn.modules"))


@functools.cache
def _class_asks(kind: type) -> bool:
    """Whether a class's own methods read `self.training` for anything but dropout."""
    for value in vars(kind).values():
        code = getattr(value, "__code__", None)
        names = set(code.co_names) if code is not None else set()
        if "training" in names and not names & _HARMLESS and "p" not in names & {"p"}:
            return True
    return False


def _concluded(attempt: Attempt, on: str) -> Tracing:
    demands = attempt.demands
    places = _places(attempt)
    produced = _produced(demands, places)
    attributes = _attributes(attempt)
    extents = _extents(demands)
    for couple in (True, True, True, True, False):
        families = group_up(places, produced, solve(demands), extents)
        system = system_of(demands, families, attributes)
        settled = settle(system, couple=couple)
        demands.united += settled.coupled
        if not settled.coupled:
            break
    stay = {families.groups[number].name: reason for number, reason in settled.stay.items()}
    links = tuple(tuple(sorted(link)) for link in settled.links)
    if stay:
        families, links = _without(families, settled.stay, links)
        system = replace(system, families=families)
    return Tracing(
        groups=families.groups,
        links=links,
        notes=tuple(dict.fromkeys([*attempt.notes, *_statistics(demands, families)])),
        on=on,
        _demands=demands,
        _families=families,
        _system=system,
        _places=tuple(places),
        _produced=frozenset(produced),
        _stay=stay,
    )


def _places(attempt: Attempt) -> list[Place]:
    return [
        Place(name, axis, ids)
        for name, tensor in attempt.tensors.items()
        for axis, ids in enumerate(labels_of(tensor).axes)
        if ids is not None
    ]


def _produced(demands: Demands, places: Sequence[Place]) -> set[tuple[str, int]]:
    """The axes of weights along which channels are computed."""
    led = np.zeros(demands.count, dtype=bool)
    for ids in demands.led:
        led[ids] = True
    for _ in range(3):
        for grid in demands.grids:
            if led[grid.cells].any():
                led[grid.rows] = led[grid.columns] = True
            elif led[grid.columns].any() or led[grid.rows].any():
                led[grid.cells] = True
    led[0] = False
    return {(place.tensor, place.axis) for place in places if led[place.ids].any()}


def _attributes(attempt: Attempt) -> dict[Attribute, int]:
    """The values of all attributes that the code spoke of."""
    diary = attempt.demands.diary
    spoken = [equation.expression for equation in attempt.demands.equations]
    spoken += [side for one in diary.comparisons for side in (one.left, one.right)] + list(diary.scales)
    named = {part for expression in spoken for part in parts(expression) if isinstance(part, Attribute)}
    return {one: int(read_size(attempt.copy.get_submodule(one.module), one.path)) for one in named}


def _extents(demands: Demands) -> list[IdArray]:
    """Axes whose lengths the code speaks of."""
    diary = demands.diary
    spoken: list[Any] = [side for equation in demands.equations for side in (equation.expression, equation.target)]
    spoken += [side for one in diary.comparisons for side in (one.left, one.right)] + list(diary.scales)
    found = [part.ids for expression in spoken for part in parts(expression) if isinstance(part, Extent)]
    return list({ids.tobytes(): ids for ids in found}.values())


def _without(
    families: Families, stay: dict[int, str], links: tuple[tuple[int, ...], ...]
) -> tuple[Families, tuple[tuple[int, ...], ...]]:
    """The groups without those that stay, numbered anew."""
    kept = [number for number in range(len(families.groups)) if number not in stay]
    renumber = np.full(len(families.groups) + 1, -1, dtype=np.int64)
    renumber[kept] = np.arange(len(kept))
    groups = tuple(families.groups[number] for number in kept)
    inner = {
        (part.tensor, part.axis)
        for group in groups
        if group.role != "heads"
        for part in group.slices[: group.producers]
    }
    groups = tuple(
        replace(group, role="channels")
        if not {(p.tensor, p.axis) for p in group.slices[: group.producers]} & inner
        else group
        for group in groups
    )
    left = tuple(tuple(int(renumber[member]) for member in link if member not in stay) for link in links)
    fresh = Families(groups, renumber[families.family], families.channel, families.atoms)
    return fresh, tuple(link for link in left if len(link) > 1)


def _statistics(demands: Demands, families: Families) -> list[str]:
    """Norm layers over channels that can go."""
    notes = []
    for ids, what in demands.statistics:
        if any(members for members in families.sizes(ids)):
            notes.append(what)
    return notes


Run = Callable[[], Any]
