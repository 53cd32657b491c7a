"""Regrow: an architecture, a factory and a seed give the small network with fresh weights, as its author would initialise it.

The factory runs twice. The first run is recorded: what is registered where, in which order. In the second, every parameter and buffer is
made small at the moment it is registered, and the sizes that its layer keeps beside it (`out_channels`, `normalized_shape`) with it.
All that the author wrote after that, `reset_parameters`, loops over modules, zeroed residual branches, truncated normals, scaling by depth,
therefore acts on the small shapes. Numbers that the author gave along with the registration, such as `0.02 * torch.randn(...)` or a table
of positions, are cut to the kept indices.

What cannot be seen is a standard deviation computed from a constructor's *argument* instead of a tensor's shape; see
`regrow.channels.unseen` for how much of it is found and corrected, with a `RedrawWarning`.
"""

from __future__ import annotations

import contextlib
import copy
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from regrow.channels.architecture import Architecture, Correction
from regrow.channels.laws import spread_of
from regrow.channels.module_sizes import correct, leaf_sizes, read_size, write_size
from regrow.channels.redraw import Redrawn, RedrawWarning, redraw
from regrow.channels.registrations import Factory, Recording, Registration, listening, record, tensor_names
from regrow.channels.subblocks import SubBlock, kept_subblocks
from regrow.channels.unseen import Given, bits_of, correct_drawn, correct_given
from regrow.errors import PruningError
from regrow.networks.build import build
from regrow.networks.without import remove_blocks
from regrow.networks.zoo import NETWORKS
from regrow.randomness import derive_seed, seeded


def regrow(architecture: Architecture, factory: Factory, seed: int | str = 0, *more: int | str) -> nn.Module:
    """The small network with fresh weights on the CPU; equal seed, equal bits, whatever the dense network's weights and seed were.

    `seed`, with `more` words or numbers, says what the weights are for: `regrow(architecture, factory, 3, "scratch")`.
    `factory` takes no arguments and builds the *dense* network anew at every call, without loading trained weights. Networks of the zoo
    build themselves at the small widths and need none of this. Where a replay is impossible, tensors are cut from a dense draw with
    their standard deviation corrected, and a `RedrawWarning` names them and says why. torch's, NumPy's and Python's global random
    numbers are left as they were. Blocks that the architecture removes are drawn with all others and then dropped: the rest has
    the same bits as with them. Raises `PruningError` where the factory does not build the network that was pruned.
    """
    seeds = (seed, *more)
    if architecture.dense is not None and architecture.dense.name in NETWORKS:
        return build(architecture.pruned_spec(), *seeds)
    network = _drawn(architecture, factory, seeds)
    remove_blocks(network, architecture.removed)
    return network


def _drawn(architecture: Architecture, factory: Factory, seeds: tuple[int | str, ...]) -> nn.Module:
    """The small network, its removed blocks still in it."""
    recording = _recorded(factory, seeds)
    reason = ""
    for eager in (True, False):
        plan = _plan(architecture, recording)
        try:
            network, given = _replayed(plan, factory, seeds, eager=eager)
        except Exception as error:  # whatever the author's constructor does not bear about small shapes
            reason = f"{type(error).__name__}: {error}"
        else:
            unseen = _unseen(network, plan, given, factory, seeds)
            return _finished(network, plan, unseen)
        if recording.on_meta:
            recording = _recorded(factory, seeds, on_meta=False)
    return _finished(_built(factory, seeds), _plan(architecture, recording), [], reason)


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What the replay has to do."""

    recording: Recording
    blocks: Mapping[str, SubBlock]
    corrections: tuple[Correction, ...]
    sizes: Mapping[str, Mapping[str, int]]
    """New sizes of every module that has tensors, by its name."""


def _plan(architecture: Architecture, recording: Recording) -> _Plan:
    blocks = kept_subblocks(architecture, recording.tensors)
    sizes = {
        name: _sizes_of(name, module, recording, blocks)
        for name, module in recording.network.named_modules()
        if not isinstance(module, nn.ModuleList | nn.ModuleDict | nn.Sequential)
    }
    for correction in architecture.corrections:
        if correction.attribute in sizes.get(correction.module, {}):
            sizes[correction.module][correction.attribute] = correction.small
    alike = tuple(
        entry if _copies_agree(entry, recording, blocks) else replace(entry, name=None)
        for entry in recording.registrations
    )
    return _Plan(replace(recording, registrations=alike), blocks, architecture.corrections, sizes)


def _copies_agree(entry: Registration, recording: Recording, blocks: Mapping[str, SubBlock]) -> bool:
    """Whether the copies that were made of a module have one small shape; if not, it stays dense, and each copy is cut."""
    places = [recording.tensor_at(home, entry.attribute, entry.shape) for home in recording.homes.get(entry.module, ())]
    return len({blocks[place].small for place in places if place is not None}) < 2


def _sizes_of(name: str, module: nn.Module, recording: Recording, blocks: Mapping[str, SubBlock]) -> dict[str, int]:
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


def _built(factory: Factory, seed: tuple[int | str, ...]) -> nn.Module:
    with _randomness(seed), torch.device("cpu"):
        return factory()


class _PartedError(Exception):
    """The factory did not do in the second run what it did in the first."""


def _replayed(
    plan: _Plan, factory: Factory, seed: tuple[int | str, ...], *, eager: bool
) -> tuple[nn.Module, dict[str, Given]]:
    """The network, and the parameters that were cut, as they were registered."""
    replay = _Replay(plan, eager)
    with _randomness(seed), torch.device("cpu"), _CutSources(replay.cut), listening(replay.hear):
        network = factory()
    if replay.heard != len(plan.recording.registrations):
        raise _PartedError(
            f"it registered {replay.heard} tensors where it registered {len(plan.recording.registrations)} before"
        )
    return network, replay.given


class _Replay:
    """Makes each tensor small as it is registered."""

    def __init__(self, plan: _Plan, eager: bool) -> None:
        self.plan = plan
        self.eager = eager
        self.heard = 0
        self.modules: dict[int, nn.Module] = {}
        self.cut: dict[int, tuple[Tensor, SubBlock]] = {}
        self.given: dict[str, Given] = {}

    def hear(self, module: nn.Module, attribute: str, tensor: Tensor) -> None:
        """One registration, before the tensor is in place."""
        expected = self._expected(module, attribute)
        if expected.name is None:
            return
        self._size(module, self.plan.recording.homes.get(expected.module, ()))
        if is_lazy(tensor):
            return
        block = self.plan.blocks[expected.name]
        if not block.fits(tuple(tensor.shape)):
            raise _PartedError(
                f"{expected.name} came with shape {tuple(tensor.shape)}, not {block.dense} or {block.small}"
            )
        self.given.pop(expected.name, None)
        self._cut(expected.name, tensor, block)

    def _cut(self, name: str, tensor: Tensor, block: SubBlock) -> None:
        small = block.cut(tensor)
        if small is tensor:
            return
        if isinstance(tensor, nn.Parameter) and not tensor.is_meta:
            self.given[name] = Given(bits_of(small), spread_of(tensor))
        # In place: whoever else holds the tensor, for tying or for filling it later, sees it small.
        tensor.data = small
        if not tensor.is_meta:
            self.cut[_storage(tensor)] = (tensor, block)

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

    def _size(self, module: nn.Module, homes: tuple[str, ...]) -> None:
        if not homes:
            return
        home = homes[0]
        _write_sizes(module, self.plan.sizes.get(home, {}))
        own = [correction for correction in self.plan.corrections if correction.module == home]
        for correction in own if self.eager else []:
            if vars(module).get(correction.attribute) == correction.dense:
                setattr(module, correction.attribute, correction.small)


class _CutSources(TorchFunctionMode):
    """Cuts a tensor of the dense shape that is written over one that was made small: a table computed anew, say."""

    def __init__(self, cut: dict[int, tuple[Tensor, SubBlock]]) -> None:
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


def _unseen(
    network: nn.Module, plan: _Plan, given: Mapping[str, Given], factory: Factory, seed: tuple[int | str, ...]
) -> list[str]:
    """Correct what was drawn by dense sizes all the same; sentences about it."""
    _check_names(network, plan)
    dense = plan.recording.network
    given = {name: before for name, before in given.items() if name in plan.blocks}
    registered = correct_given(network, dense, plan.blocks, given)
    drawn, unexplained = correct_drawn(network, dense, plan.blocks, lambda: _built(factory, seed))
    said = []
    if found := [*registered, *drawn]:
        said.append(
            f"{_listed(found)} were drawn by a dense size, which a replay cannot see; they were scaled to the small one"
        )
    if unexplained:
        said.append(
            f"{_listed(unexplained)} may be, too, by a law that is not known here; they stay as they were drawn"
        )
    return said


def _finished(network: nn.Module, plan: _Plan, said: list[str], reason: str = "") -> nn.Module:
    """Mend what the replay did not reach, write sizes and corrections, check every shape, and say what was mended."""
    _check_names(network, plan)
    if redrawn := redraw(network, plan.blocks):
        why = "copies of one layer keep different numbers of channels, or the factory sets them late"
        if reason:
            why = f"the factory cannot be replayed at the small widths ({reason})"
        said = [f"{_listed(redrawn)} were drawn at the dense shape and cut, because {why}", *said]
    for name, sizes in plan.sizes.items():
        _write_sizes(network.get_submodule(name), sizes)
    _own_settings(network, plan.corrections)
    correct(network, plan.corrections)
    _check_shapes(network, plan.blocks)
    if said:
        warnings.warn("regrow: " + "; ".join(said), RedrawWarning, stacklevel=3)
    return network


def _own_settings(network: nn.Module, corrections: Sequence[Correction]) -> None:
    """Give the network its own copies of the configurations and lists that its modules hold, where corrections change one.

    The factory may build from the same objects again.
    """
    modules = dict(network.named_modules())
    paths = [(modules.get(one.module), one.attribute.partition(".")) for one in corrections]
    if not any(dot and module and _is_settings(getattr(module, name, None)) for module, (name, dot, _) in paths):
        return
    # Modules and tensors that such an object points at stay the network's own.
    memo: dict[int, Any] = {id(own): own for own in (*modules.values(), *tensor_names(network)[0].values())}
    held = [(module, name, value) for module in modules.values() for name, value in vars(module).items()]
    for module, name, value in held:
        if not name.startswith("_") and _is_settings(value):
            # What cannot be copied (it holds a lock, a file) stays shared.
            with contextlib.suppress(Exception):
                module.__dict__[name] = copy.deepcopy(value, memo)


def _is_settings(value: Any) -> bool:
    if isinstance(value, nn.Module | Tensor | type) or callable(value):
        return False
    return isinstance(value, list | dict) or hasattr(value, "__dict__")


def _check_names(network: nn.Module, plan: _Plan) -> None:
    if unequal := tensor_names(network)[0].keys() ^ plan.blocks.keys():
        raise PruningError(
            f"two runs of the factory gave networks of different make: {min(unequal)} is in one of them alone. "
            "Pass a factory that builds the same network every time."
        )


def _write_sizes(module: nn.Module, sizes: Mapping[str, int]) -> None:
    for path, size in sizes.items():
        # A constructor may register its tensors before it notes their sizes.
        with contextlib.suppress(AttributeError):
            if read_size(module, path) != size:
                write_size(module, path, size)


def _check_shapes(network: nn.Module, blocks: Mapping[str, SubBlock]) -> None:
    for name, tensor in tensor_names(network)[0].items():
        if tuple(tensor.shape) != blocks[name].small:
            raise PruningError(
                f"regrow gave {name} the shape {tuple(tensor.shape)}, where the architecture asks for {blocks[name].small}. "
                "Please report it with the factory."
            )


def _listed(entries: Sequence[Redrawn] | Sequence[str]) -> str:
    shown = ", ".join(str(entry) for entry in entries[:8])
    return shown + (f" and {len(entries) - 8} more" if len(entries) > 8 else "")


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
