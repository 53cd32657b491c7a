"""Regrow: an architecture, a factory and a seed give the small network with fresh weights, as its author would initialise it.

The factory runs twice. The first run is recorded: what is registered where, in which order. In the second, every parameter and buffer is
made small at the moment it is registered, and the sizes that its layer keeps beside it (`out_channels`, `normalized_shape`) with it.
All that the author wrote after that, `reset_parameters`, loops over modules, zeroed residual branches, truncated normals, scaling by depth,
therefore acts on the small shapes. Numbers that the author gave along with the registration, such as `0.02 * torch.randn(...)` or a table
of positions, are cut to the kept indices.

What cannot be seen: a standard deviation computed from a constructor's *argument* (`std = config.hidden_size ** -0.5`) instead of a
tensor's shape. Where the numbers follow such a law in the tensor's own sizes and came with the registration, they are corrected and a
`RedrawWarning` says so; otherwise they stay as written.
"""

from __future__ import annotations

import contextlib
import random
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from regrow.channels.architecture import Architecture, Correction
from regrow.channels.blocks import Block, kept_blocks
from regrow.channels.module_sizes import correct, leaf_sizes, read_size, write_size
from regrow.channels.redraw import Redrawn, RedrawWarning, law_of, redraw, rescale
from regrow.channels.registrations import Factory, Recording, Registration, listening, record, tensor_names
from regrow.errors import PruningError
from regrow.networks.build import build
from regrow.networks.zoo import NETWORKS
from regrow.randomness import derive_seed, seeded

_SAMPLE = 64
"""Numbers of a tensor that are compared to see whether it was filled again."""


def regrow(architecture: Architecture, factory: Factory, *seed: int | str) -> nn.Module:
    """The small network with fresh weights on the CPU; equal seed, equal bits, whatever the dense network's weights and seed were.

    `factory` takes no arguments and builds the *dense* network anew at every call, without loading trained weights. Networks of the zoo
    build themselves at the small widths and need none of this. Where a replay is impossible, tensors are cut from a dense draw with
    their standard deviation corrected, and a `RedrawWarning` names them and says why. torch's, NumPy's and Python's global random
    numbers are left as they were. Raises `PruningError` where the factory does not build the network that was pruned.
    """
    if architecture.dense is not None and architecture.dense.name in NETWORKS:
        return build(architecture.pruned_spec(), *seed)
    recording = _recorded(factory, seed)
    reason = ""
    for eager in (True, False):
        plan = _plan(architecture, recording)
        try:
            network, as_given = _replayed(plan, factory, seed, eager=eager)
        except Exception as error:  # whatever the author's constructor does not bear about small shapes
            reason = f"{type(error).__name__}: {error}"
        else:
            return _finished(network, plan, as_given)
        if recording.on_meta:
            recording = _recorded(factory, seed, on_meta=False)
    with _randomness(seed):
        network = factory()
    return _finished(network, _plan(architecture, recording), {}, reason)


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What the replay has to do."""

    recording: Recording
    blocks: Mapping[str, Block]
    corrections: tuple[Correction, ...]
    sizes: Mapping[str, Mapping[str, int]]
    """New sizes of every module that has tensors, by its name."""


def _plan(architecture: Architecture, recording: Recording) -> _Plan:
    blocks = kept_blocks(architecture, recording.tensors)
    sizes = {
        name: _sizes_of(name, module, recording, blocks)
        for name, module in recording.network.named_modules()
        if not isinstance(module, nn.ModuleList | nn.ModuleDict | nn.Sequential)
    }
    return _Plan(recording, blocks, architecture.corrections, sizes)


def _sizes_of(name: str, module: nn.Module, recording: Recording, blocks: Mapping[str, Block]) -> dict[str, int]:
    attributes = {*module._parameters, *module._buffers, "weight", "bias"}
    places = {attribute: recording.tensor_at(name, attribute, None) for attribute in sorted(attributes)}
    own = {attribute: blocks[place] for attribute, place in places.items() if place is not None}
    if all(not block.keep for block in own.values()):
        return {}
    shapes = {attribute: block.small for attribute, block in own.items()}
    return leaf_sizes(module, shapes, {attribute: block.keep[0] for attribute, block in own.items() if 0 in block.keep})


def _recorded(factory: Factory, seed: tuple[int | str, ...], *, on_meta: bool = True) -> Recording:
    """The factory's recording, on the meta device where it can run there."""
    if on_meta:
        with contextlib.suppress(Exception), _randomness(seed):
            return record(factory, on_meta=True)
    with _randomness(seed):
        return record(factory, on_meta=False)


class _PartedError(Exception):
    """The factory did not do in the second run what it did in the first."""


def _replayed(
    plan: _Plan, factory: Factory, seed: tuple[int | str, ...], *, eager: bool
) -> tuple[nn.Module, dict[str, Tensor]]:
    """The network, and a sample of every parameter whose numbers came with its registration."""
    replay = _Replay(plan, eager)
    with _randomness(seed), torch.device("cpu"), _CutSources(replay.cut), listening(replay.hear):
        network = factory()
    if replay.heard != len(plan.recording.registrations):
        raise _PartedError(
            f"it registered {replay.heard} tensors where it registered {len(plan.recording.registrations)} before"
        )
    return network, replay.samples


class _Replay:
    """Makes each tensor small as it is registered."""

    def __init__(self, plan: _Plan, eager: bool) -> None:
        self.plan = plan
        self.eager = eager
        self.heard = 0
        self.modules: dict[int, nn.Module] = {}
        self.cut: dict[int, tuple[Tensor, Block]] = {}
        self.samples: dict[str, Tensor] = {}

    def hear(self, module: nn.Module, attribute: str, tensor: Tensor) -> None:
        """One registration, before the tensor is in place."""
        expected = self._expected(module, attribute)
        if expected.name is None:
            return
        self._size(module, self.plan.recording.homes.get(expected.module))
        if is_lazy(tensor):
            return
        block = self.plan.blocks[expected.name]
        if not block.fits(tuple(tensor.shape)):
            raise _PartedError(
                f"{expected.name} came with shape {tuple(tensor.shape)}, not {block.dense} or {block.small}"
            )
        small = block.cut(tensor)
        self.samples.pop(expected.name, None)
        if small is tensor:
            return
        # In place: whoever else holds the tensor, for tying or for filling it later, sees it small.
        tensor.data = small
        self.cut[_storage(tensor)] = (tensor, block)
        if isinstance(tensor, nn.Parameter):
            self.samples[expected.name] = _sample(tensor)

    def _expected(self, module: nn.Module, attribute: str) -> Registration:
        registrations = self.plan.recording.registrations
        if self.heard >= len(registrations):
            raise _PartedError(f"it registered more than the {len(registrations)} tensors that it registered before")
        expected = registrations[self.heard]
        self.heard += 1
        same_module = self.modules.setdefault(expected.module, module) is module
        if not same_module or (type(module).__qualname__, attribute) != (expected.kind, expected.attribute):
            raise _PartedError(
                f"its registration {self.heard} was {type(module).__qualname__}.{attribute}, and "
                f"{expected.kind}.{expected.attribute} before"
            )
        return expected

    def _size(self, module: nn.Module, home: str | None) -> None:
        if home is None:
            return
        _write_sizes(module, self.plan.sizes.get(home, {}))
        own = [correction for correction in self.plan.corrections if correction.module == home]
        for correction in own if self.eager else []:
            if vars(module).get(correction.attribute) == correction.dense:
                setattr(module, correction.attribute, correction.small)


class _CutSources(TorchFunctionMode):
    """Cuts a tensor of the dense shape that is written over one that was made small: a table computed anew, say."""

    def __init__(self, cut: dict[int, tuple[Tensor, Block]]) -> None:
        super().__init__()
        self.cut = cut

    def __torch_function__(
        self, func: Any, _types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        written = name == "__set__" or (name.endswith("_") and not name.endswith("__"))
        if written and len(args) > 1:
            args = (args[0], self._small(args[0], args[1]), *args[2:])
        elif name == "__setitem__" and (args[1] is Ellipsis or (isinstance(args[1], slice) and args[1] == slice(None))):
            args = (args[0], args[1], self._small(args[0], args[2]))
        return func(*args, **(kwargs or {}))

    def _small(self, target: Any, source: Any) -> Any:
        if not isinstance(target, Tensor) or not isinstance(source, Tensor) or is_lazy(target) or is_lazy(source):
            return source
        if target.shape == source.shape or (found := self.cut.get(_storage(target))) is None:
            return source
        block = found[1]
        matches = tuple(target.shape) == block.small and tuple(source.shape) == block.dense
        return block.cut(source) if matches else source


def _finished(network: nn.Module, plan: _Plan, as_given: Mapping[str, Tensor], reason: str = "") -> nn.Module:
    """Mend what the replay did not reach, write sizes and corrections, check every shape, and say what was mended."""
    tensors, _ = tensor_names(network)
    if unequal := set(tensors) ^ set(plan.blocks):
        raise PruningError(
            f"two runs of the factory gave networks of different make: {min(unequal)} is in one of them alone. "
            "Pass a factory that builds the same network every time."
        )
    redrawn = redraw(network, plan.blocks)
    kept = list(_rescaled(network, tensors, plan.blocks, as_given))
    for name, sizes in plan.sizes.items():
        _write_sizes(network.get_submodule(name), sizes)
    correct(network, plan.corrections)
    _check(tensors, plan.blocks)
    _announce(redrawn, kept, reason)
    return network


def _rescaled(
    network: nn.Module, tensors: Mapping[str, Tensor], blocks: Mapping[str, Block], as_given: Mapping[str, Tensor]
) -> Iterator[Redrawn]:
    """Parameters that still hold the numbers they came with, drawn at a standard deviation that knew the dense sizes."""
    for name, sample in as_given.items():
        if not torch.equal(_sample(tensors[name]), sample):
            continue
        law = law_of(name, tensors[name], blocks, network)
        if law is not None and law.small != law.dense:
            rescale(tensors[name], law)
            yield Redrawn(name, law)


def _write_sizes(module: nn.Module, sizes: Mapping[str, int]) -> None:
    for path, size in sizes.items():
        # A constructor may register its tensors before it notes their sizes.
        with contextlib.suppress(AttributeError):
            if read_size(module, path) != size:
                write_size(module, path, size)


def _check(tensors: Mapping[str, Tensor], blocks: Mapping[str, Block]) -> None:
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != blocks[name].small:
            raise PruningError(
                f"regrow gave {name} the shape {tuple(tensor.shape)}, where the architecture asks for {blocks[name].small}. "
                "Please report it with the factory."
            )


def _announce(redrawn: list[Redrawn], kept: list[Redrawn], reason: str) -> None:
    parts = []
    if redrawn:
        why = (
            f"the factory cannot be replayed at the small widths ({reason})" if reason else "the factory sets them late"
        )
        parts.append(f"{_listed(redrawn)} were drawn at the dense shape and cut, because {why}")
    if kept:
        parts.append(f"{_listed(kept)} came with numbers scaled by a dense size; they were scaled to the small one")
    if parts:
        warnings.warn("regrow: " + "; ".join(parts), RedrawWarning, stacklevel=4)


def _listed(redrawn: list[Redrawn]) -> str:
    shown = ", ".join(str(entry) for entry in redrawn[:8])
    return shown + (f" and {len(redrawn) - 8} more" if len(redrawn) > 8 else "")


def _sample(tensor: Tensor) -> Tensor:
    """Some of a tensor's bits."""
    flat = tensor.detach().flatten()
    return flat[:: max(1, len(flat) // _SAMPLE)].clone().view(torch.uint8)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


@contextlib.contextmanager
def _randomness(seed: tuple[int | str, ...]) -> Iterator[None]:
    """Every global generator that a constructor may draw from, seeded inside and as it was afterwards."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the author's constructor uses it
    number = derive_seed(*seed)
    random.seed(number)
    np.random.seed(number % 2**32)  # noqa: NPY002
    try:
        with seeded(*seed):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
