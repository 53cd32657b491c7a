"""Is a pruned network exactly the dense one with channels removed? Asked without knowing how it was pruned.

1. `unique_double(network)` makes every weight of the dense network a unique float64 number and calibrates its norm statistics.
2. Somebody prunes it.
3. `exactness(dense, small, first, second)` finds, by value, which indices of every axis of every tensor were kept; a tensor that is
   not an exact sub-block of the dense tensor of the same name is WRONG. It then silences the removed channels in the dense network
   and compares the outputs on two inputs, and how they change from one input to the other.

Silencing has degrees, and the weakest that makes both networks equal is the tier:

    exact     outputs of the removed channels are zero: rows of weights, biases, norms and their statistics; who reads them is left alone
    exact*    and LayerNorm, RMSNorm, GroupNorm take their statistics over the kept channels only, as the small network must
    exact**   and a scale computed from a size, 1/sqrt(head size), is that of the small network
    exactB    and the removed channels are cut where they are read, because something between maps 0 to another number
    WRONG     it runs, and equals none of these
    no-op     nothing was removed

Nothing here uses the engine under test. The reference is run under a dispatch mode that sees every primitive operation: statistics over
kept channels and other scales are put in there, whatever the Python of the network looks like.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten

THRESHOLD = 1e-6
"""Largest relative difference of two networks that count as one; both are computed in float64."""

Removed = dict[str, dict[int, Tensor]]
"""By tensor and axis: the removed indices."""

RIGHT = ("exact", "exact*", "exact**", "exactB")

_INSENSITIVE = 1e-12
_TINY = 1e-150
"""Zero for tensors that are divided by their own norm: its square is still above the smallest number."""


class NotASubBlockError(Exception):
    """A tensor of the small network is no sub-block of the dense one's."""


@dataclass(frozen=True)
class Exactness:
    """What the comparison found."""

    tier: str
    error: float
    errors: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    parameters: tuple[int, int] = (0, 0)

    @property
    def right(self) -> bool:
        return self.tier in RIGHT


# ------------------------------------------------------------------ 1. unique weights


def unique_double(network: nn.Module, inputs: Any = None, seed: int = 0) -> nn.Module:
    """The network itself, in float64 and eval mode, with well-conditioned weights of which no two are equal.

    With `inputs`, batch norms get the statistics of a batch.
    """
    network.double().eval()
    numbers = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for owner, name, parameter in _parameters_with_owner(network):
            _draw(owner, name, parameter, numbers)
        if inputs is not None:
            _calibrate(network, inputs)
        for owner, name, buffer in _buffers_with_owner(network):
            _shake(owner, name, buffer, numbers)
    return network


def _parameters_with_owner(network: nn.Module) -> Iterator[tuple[nn.Module, str, Tensor]]:
    seen: set[int] = set()
    for owner in network.modules():
        for name, parameter in owner.named_parameters(recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield owner, name, parameter


def _buffers_with_owner(network: nn.Module) -> Iterator[tuple[nn.Module, str, Tensor]]:
    for owner in network.modules():
        for name, buffer in owner.named_buffers(recurse=False):
            yield owner, name, buffer


def _noise(like: Tensor, numbers: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=numbers, dtype=torch.float64)


def _draw(owner: nn.Module, name: str, parameter: Tensor, numbers: torch.Generator) -> None:
    """Weights of layers as a good initialisation would draw them; other parameters stay near what they were."""
    if not parameter.is_floating_point() or parameter.ndim == 0:
        return
    if is_norm(owner) and name in ("weight", "scale", "gamma"):
        parameter.copy_(1 + 0.3 * _noise(parameter, numbers).tanh())
    elif isinstance(owner, (nn.Linear, _ConvNd)) and parameter.ndim > 1:
        gain = math.sqrt(2) if isinstance(owner, _ConvNd) else 1.0
        parameter.copy_(_noise(parameter, numbers) * gain * math.sqrt(parameter.shape[0] / parameter.numel()))
    elif parameter.ndim > 1 and re.search(r"weight|kernel|original", name) and not isinstance(owner, nn.Embedding):
        parameter.copy_(_noise(parameter, numbers) * math.sqrt(parameter.shape[0] / parameter.numel()))
    else:
        parameter.add_(0.2 * _noise(parameter, numbers))


def _calibrate(network: nn.Module, inputs: Any) -> None:
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    try:
        if norms:
            call(network, inputs)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.eval()


def _shake(owner: nn.Module, name: str, buffer: Tensor, numbers: torch.Generator) -> None:
    """Buffers move a little, so that no two numbers are equal; variances stay positive, infinities stay."""
    if not buffer.is_floating_point() or buffer.ndim == 0:
        return
    noise = _noise(buffer, numbers)
    if name.endswith("var"):
        buffer.copy_(buffer.abs() + 0.1 + 0.1 * noise.abs())
    else:
        moved = buffer * (1 + 0.03 * noise) + 0.03 * noise * (buffer == 0)
        buffer.copy_(torch.where(buffer.isfinite(), moved, buffer))


def is_norm(module: nn.Module) -> bool:
    """Whether a module normalises over channels, by the name of its class; response norms (GRN) are no such norms."""
    name = type(module).__name__.lower()
    return (
        ("norm" in name or re.fullmatch(r"rms\w*", name) is not None) and "response" not in name and "grn" not in name
    )


# ------------------------------------------------------------------ 2. what was kept


def tensors_of(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, tied ones under each of their names."""
    return {
        **dict(network.named_parameters(remove_duplicate=False)),
        **dict(network.named_buffers(remove_duplicate=False)),
    }


def removed_indices(dense: nn.Module, small: nn.Module) -> Removed:
    """What is missing along every axis of every tensor, found by value. Raises `NotASubBlockError`."""
    before, after = tensors_of(dense), tensors_of(small)
    if before.keys() != after.keys():
        different = sorted(before.keys() ^ after.keys())
        raise NotASubBlockError(f"the networks have other tensors: {', '.join(different[:4])}")
    _check_ties(before, after)
    removed: Removed = {}
    for name, tensor in before.items():
        try:
            axes = _kept(tensor.detach(), after[name].detach())
        except NotASubBlockError as error:
            raise NotASubBlockError(f"{name}: {error}") from None
        gone = {axis: _complement(kept, tensor.shape[axis]) for axis, kept in axes.items()}
        if gone:
            removed[name] = gone
    return removed


def _check_ties(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> None:
    first: dict[int, str] = {}
    for name, tensor in before.items():
        other = first.setdefault(id(tensor), name)
        if other != name and after[other] is not after[name]:
            raise NotASubBlockError(f"{name} and {other} were one tensor and are two now")


def _complement(kept: Tensor, size: int) -> Tensor:
    mask = torch.ones(size, dtype=torch.bool)
    mask[kept] = False
    return mask.nonzero().flatten()


def _kept(dense: Tensor, small: Tensor) -> dict[int, Tensor]:
    """Kept indices of each axis that lost some."""
    if dense.shape == small.shape:
        if not torch.equal(dense, small) and not (dense.isnan() & small.isnan() | (dense == small)).all():
            raise NotASubBlockError("same shape, other values")
        return {}
    if (
        dense.ndim != small.ndim
        or any(d < s for d, s in zip(dense.shape, small.shape, strict=True))
        or not small.numel()
    ):
        raise NotASubBlockError(f"shape {tuple(small.shape)} does not fit into {tuple(dense.shape)}")
    for place in (dense == small.flatten()[0]).nonzero()[:50]:
        axes = _lines(dense, small, place.tolist())
        if axes is not None:
            return axes
    raise NotASubBlockError(f"its values {tuple(small.shape)} are no sub-block of {tuple(dense.shape)}")


def _lines(dense: Tensor, small: Tensor, corner: list[int]) -> dict[int, Tensor] | None:
    """Kept indices, if the small tensor's first value stands at `corner` of the dense one."""
    axes = {}
    block = dense
    for axis in range(dense.ndim):
        line = _line(dense, axis, corner).contiguous()
        wanted = _line(small, axis, [0] * small.ndim).contiguous()
        order = line.argsort()
        found = order[torch.searchsorted(line[order], wanted).clamp(max=len(line) - 1)]
        if not torch.equal(line[found], wanted) or not (found[1:] > found[:-1]).all():
            return None
        if len(found) < len(line):
            axes[axis] = found
            block = block.index_select(axis, found)
    return axes if torch.equal(block, small) else None


def _line(tensor: Tensor, axis: int, corner: list[int]) -> Tensor:
    place: list[int | slice] = list(corner)
    place[axis] = slice(None)
    return tensor[tuple(place)]


# ------------------------------------------------------------------ 3. silencing


def silence(network: nn.Module, removed: Removed, *, readers: bool) -> None:
    """Make the removed channels of the dense network zero, in place; with `readers`, also where they are read."""
    tensors = tensors_of(network)
    with torch.no_grad():
        for name, axes in removed.items():
            own = set() if readers else _reading_axes(network, name, tensors[name])
            for axis, indices in axes.items():
                if axis not in own:
                    tensors[name].index_fill_(axis, indices, _nothing(name, tensors[name]))


def _nothing(name: str, tensor: Tensor) -> float:
    if not tensor.is_floating_point():
        return 0
    if name.endswith("running_var"):
        return 1.0
    return _TINY if re.search(r"original\d|weight_[gv]$", name) else 0.0


def _reading_axes(network: nn.Module, name: str, tensor: Tensor) -> set[int]:
    """Axes along which a layer's weight reads its input."""
    path = re.sub(r"\.parametrizations\.(\w+)\.original\d?$", r".\1", f".{name}").removeprefix(".")
    owner = network.get_submodule(path.rpartition(".")[0])
    if tensor.ndim < 2:
        return set()
    if isinstance(owner, _ConvTransposeNd) or type(owner).__name__ == "Conv1D":  # the latter of transformers
        return {0}
    if isinstance(owner, (nn.Linear, _ConvNd)):
        return {1}
    return {1} if isinstance(owner, nn.RNNBase) and "_ih_" in name else set()


# ------------------------------------------------------------------ 4. the reference under a dispatch mode


_SCALED = {
    aten.mul.Tensor,
    aten.mul.Scalar,
    aten.mul_.Tensor,
    aten.mul_.Scalar,
    aten.div.Tensor,
    aten.div.Scalar,
    aten.div_.Tensor,
    aten.div_.Scalar,
}
_ATTENTION = {
    getattr(aten, name).default
    for name in (
        "_scaled_dot_product_flash_attention_for_cpu",
        "_scaled_dot_product_fused_attention_overrideable",
        "_scaled_dot_product_efficient_attention",
        "_scaled_dot_product_flash_attention",
    )
    if hasattr(aten, name)
}


def _scale_of(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> float | None:
    """The number by which an operation scales, if it is one that may come from a size."""
    if func in _ATTENTION:
        given = kwargs.get("scale")
        return float(given) if given is not None else args[0].shape[-1] ** -0.5
    if func not in _SCALED:
        return None
    number = args[1]
    if isinstance(number, Tensor):
        return float(number) if number.ndim == 0 and number.is_floating_point() else None
    return float(number) if isinstance(number, (int, float)) else None


def _from_sizes(dense: float, small: float) -> bool:
    """Whether two scales are the same root of two sizes, the second of a smaller size."""
    if dense == 0 or small == 0 or dense * small < 0:
        return False
    for power in (2, -2, 4, -4):
        sizes = [abs(dense) ** power, abs(small) ** power]
        if all(size > 0.5 and abs(size - round(size)) < 1e-6 * size for size in sizes) and sizes[1] < sizes[0]:
            return True
    return False


class ScaleRecorder(TorchDispatchMode):
    """Notes the scales of a run, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.scales: list[tuple[str, float]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        with _plain():
            scale = _scale_of(func, args, kwargs)
        if scale is not None:
            self.scales.append((str(func), scale))
        return func(*args, **kwargs)


def recorded(network: nn.Module, inputs: Any) -> list[tuple[str, float]]:
    """The scales of one run, in order."""
    recorder = ScaleRecorder()
    with recorder, _without_fused_attention():
        call(network, inputs)
    return recorder.scales


@contextmanager
def _plain() -> Iterator[None]:
    with torch._C._DisableTorchDispatch():
        yield


class Reference(TorchDispatchMode):
    """Runs the silenced network with norm statistics over kept channels and with the scales of the small one."""

    def __init__(self, network: nn.Module, removed: Removed, scales: Sequence[tuple[str, float]]) -> None:
        super().__init__()
        self.restricted = self.scaled = False
        self.network = network
        self.kept = {
            tensor.data_ptr(): {axis: _complement(gone, tensor.shape[axis]) for axis, gone in removed[name].items()}
            for name, tensor in tensors_of(network).items()
            if name in removed
        }
        self.scales = scales
        self.place = 0
        self.inside: list[tuple[int, Tensor] | None] = []

    @property
    def needed(self) -> str:
        """The tier of a network that equals this run."""
        return "exact**" if self.scaled else "exact*" if self.restricted else "exact"

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Know, while the network runs, which norm is at work."""
        with ExitStack() as stack:
            for module in self.network.modules():
                if is_norm(module):
                    stack.callback(module.register_forward_pre_hook(self._enter).remove)
                    stack.callback(module.register_forward_hook(self._leave, always_call=True).remove)
            stack.enter_context(self)
            yield

    def _enter(self, module: nn.Module, _args: Any) -> None:
        own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        for tensor in own:
            for axis, kept in self.kept.get(tensor.data_ptr(), {}).items():
                self.inside.append((tensor.shape[axis], kept))
                return
        self.inside.append(None)

    def _leave(self, _module: nn.Module, _args: Any, _output: Any) -> None:
        self.inside.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is aten.native_layer_norm.default:
            return self._layer_norm(*args, **kwargs)
        if func is aten.native_group_norm.default:
            return self._group_norm(*args, **kwargs)
        if self.inside and func in _REDUCTIONS:
            args = self._without_removed(args)
        if func in _SCALED or func in _ATTENTION:
            args, kwargs = self._rescaled(func, args, dict(kwargs))
        return func(*args, **kwargs)

    def _without_removed(self, args: Any) -> Any:
        """The arguments of a mean or variance, the input without the removed positions of the norm's channels."""
        x, dims = args[0], args[1] if len(args) > 1 else None
        channels = self.inside[-1]
        over = range(x.ndim) if not dims else [dim % x.ndim for dim in dims]
        for axis in over:
            if channels is not None and x.shape[axis] == channels[0]:
                self.restricted = True
                return (x.index_select(axis, channels[1]), *args[1:])
            if channels is None and len(alive := _alive(x, axis)) < x.shape[axis]:
                self.restricted = True
                return (x.index_select(axis, alive), *args[1:])
        return args

    def _layer_norm(
        self, x: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> Any:
        axes = range(x.ndim - len(shape), x.ndim)
        kept = self.kept.get(weight.data_ptr(), {}) if weight is not None else {}
        part = x
        for place, axis in enumerate(axes):
            if weight is None:
                part = part.index_select(axis, _alive(x, axis))
            elif place in kept:
                part = part.index_select(axis, kept[place])
        self.restricted |= part.numel() < x.numel()
        variance, mean = torch.var_mean(part, dim=tuple(axes), correction=0, keepdim=True)
        scale = (variance + eps).rsqrt()
        out = (x - mean) * scale
        out = out if weight is None else out * weight
        return out if bias is None else out + bias, mean, scale

    def _group_norm(
        self, x: Tensor, weight: Tensor | None, bias: Tensor | None, n: int, c: int, size: int, groups: int, eps: float
    ) -> Any:
        kept = torch.arange(c)
        if weight is not None:
            kept = self.kept.get(weight.data_ptr(), {}).get(0, kept)
        elif len(alive := _alive(x, 1)):
            kept = alive
        self.restricted |= len(kept) < c
        flat = x.reshape(n, c, size)
        out = torch.zeros_like(flat)
        for group in range(groups):
            low, high = group * c // groups, (group + 1) * c // groups
            inside = kept[(kept >= low) & (kept < high)]
            if len(inside):
                variance, mean = torch.var_mean(flat[:, inside], dim=(1, 2), correction=0, keepdim=True)
                out[:, low:high] = (flat[:, low:high] - mean) * (variance + eps).rsqrt()
        for tensor, join in ((weight, torch.mul), (bias, torch.add)):
            out = out if tensor is None else join(out, tensor[:, None])
        statistic = x.new_zeros(n, groups)
        return out.view_as(x), statistic, statistic

    def _rescaled(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        with _plain():
            mine = _scale_of(func, args, kwargs)
        if mine is None:
            return args, kwargs
        name, theirs = self.scales[self.place] if self.place < len(self.scales) else ("", mine)
        self.place += 1
        if name != str(func) or not _from_sizes(mine, theirs):
            return args, kwargs
        self.scaled = True
        if func in _ATTENTION:
            return args, {**kwargs, "scale": theirs}
        return (args[0], theirs, *args[2:]), kwargs


_REDUCTIONS = {aten.mean.dim, aten.var.correction, aten.std.correction, aten.var_mean.correction}


def _alive(x: Tensor, axis: int) -> Tensor:
    """Indices of an axis at which not all is zero."""
    others = [dim for dim in range(x.ndim) if dim != axis]
    return (x.abs().amax(dim=others) > 1e-100).nonzero().flatten()


# ------------------------------------------------------------------ 5. the comparison


def exactness(
    dense: nn.Module,
    small: nn.Module,
    first: Any,
    second: Any,
    *,
    copied: bool = True,
    pick: Callable[[Any], Any] = lambda output: output,
) -> Exactness:
    """How exactly `small` is `dense` without some channels; see the head of this module for the tiers.

    `first` and `second` are inputs: a tensor, a tuple of positional ones, or a dict of keywords; `pick` chooses what of the
    output is compared. With `copied=False` the dense network is silenced in place and worthless afterwards. Exceptions of the
    networks come through.
    """
    sizes = tuple(
        sum(tensor.numel() for tensor in {id(p): p for p in net.parameters()}.values()) for net in (dense, small)
    )
    try:
        removed = _removed(dense, small, first)
    except NotASubBlockError as error:
        return Exactness("WRONG", math.inf, reason=str(error), parameters=(sizes[0], sizes[1]))
    if not removed:
        return Exactness("no-op", math.nan, reason="nothing was removed", parameters=(sizes[0], sizes[1]))
    theirs = [leaves(pick(call(small, inputs))) for inputs in (first, second)]
    scales = [recorded(small, inputs) for inputs in (first, second)]
    reference = copy.deepcopy(dense) if copied else dense
    errors: dict[str, float] = {}
    why = ""
    for readers in (False, True):
        silence(reference, removed, readers=readers)
        error, why, needed = _compared(reference, removed, scales, theirs, (first, second), pick)
        errors["exactB" if readers else needed] = error
        if error < THRESHOLD:
            return Exactness("exactB" if readers else needed, error, errors, parameters=(sizes[0], sizes[1]))
    return Exactness("WRONG", min(errors.values()), errors, why, (sizes[0], sizes[1]))


def _removed(dense: nn.Module, small: nn.Module, inputs: Any) -> Removed:
    """What is missing; networks that make buffers when they first run are run first."""
    try:
        return removed_indices(dense, small)
    except NotASubBlockError:
        call(dense, inputs)
        call(small, inputs)
        return removed_indices(dense, small)


def _compared(
    network: nn.Module,
    removed: Removed,
    scales: list[list[tuple[str, float]]],
    theirs: list[list[Tensor]],
    inputs: tuple[Any, Any],
    pick: Callable[[Any], Any],
) -> tuple[float, str, str]:
    """Difference of the silenced network, a word where it is infinite, and the tier that its run needed.

    Statistics over kept channels and other scales are put in where there are any; where there are none, the run is the plain one.
    """
    ours: list[list[Tensor]] = []
    needed = "exact"
    for given, wanted, small_scales in zip(inputs, theirs, scales, strict=True):
        reference = Reference(network, removed, small_scales)
        with reference.watching(), _without_fused_attention():
            ours.append(leaves(pick(call(network, given))))
        needed = max(needed, reference.needed)
        error, why = gap(ours[-1], wanted)
        if error >= THRESHOLD:
            return error, why, needed
    return (*difference(ours, theirs), needed)


@contextmanager
def _without_fused_attention() -> Iterator[None]:
    """nn.MultiheadAttention and nn.TransformerEncoderLayer in primitive operations: the fused ones hide their scale."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def call(network: nn.Module, inputs: Any) -> Any:
    """One run without gradients, the same random numbers every time."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if isinstance(inputs, dict):
            return network(**copy.deepcopy(inputs))
        return network(*copy.deepcopy(inputs)) if isinstance(inputs, tuple) else network(inputs.clone())


def leaves(output: Any) -> list[Tensor]:
    """All tensors of an output, in order."""
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, Mapping):
        return [leaf for key in output for leaf in leaves(output[key])]
    if isinstance(output, (list, tuple)):
        return [leaf for part in output for leaf in leaves(part)]
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        return [leaf for part in dataclasses.fields(output) for leaf in leaves(getattr(output, part.name))]
    return []


def difference(ours: list[list[Tensor]], theirs: list[list[Tensor]]) -> tuple[float, str]:
    """Largest relative difference of y(x1), y(x2) and y(x1) - y(x2) over all outputs, and a word where it is infinite.

    An output that both inputs leave the same shows nothing by its change; if all do, the difference is infinite.
    """
    for mine, other in zip(ours, theirs, strict=True):
        worst, why = gap(mine, other)
        if worst >= THRESHOLD:
            return worst, why
    worst, sensitive = max(gap(mine, other)[0] for mine, other in zip(ours, theirs, strict=True)), False
    for a1, a2, b1, b2 in zip(ours[0], ours[1], theirs[0], theirs[1], strict=True):
        if a1.shape != a2.shape:
            sensitive = True
        elif a1.is_floating_point() and a1.numel():
            change, change_there = (a1 - a2).nan_to_num(0, 0, 0), (b1 - b2).nan_to_num(0, 0, 0)
            if change.abs().max() > _INSENSITIVE * _finite(a1).abs().max():
                sensitive = True
                worst = max(worst, _relative(change, change_there))
    return (worst, "") if sensitive else (math.inf, "no output depends on the input")


def gap(ours: list[Tensor], theirs: list[Tensor]) -> tuple[float, str]:
    """Largest relative difference of the outputs for one input, and a word where it is infinite."""
    worst = 0.0
    if len(ours) != len(theirs) or not ours:
        return math.inf, f"{len(theirs)} outputs where the dense network has {len(ours)}"
    for mine, other in zip(ours, theirs, strict=True):
        if mine.shape != other.shape:
            return math.inf, f"an output of shape {tuple(other.shape)} instead of {tuple(mine.shape)}"
        worst = max(worst, _relative(mine, other))
    return worst, ""


def _finite(x: Tensor) -> Tensor:
    return torch.where(x.isfinite(), x, 0)


def _relative(mine: Tensor, other: Tensor) -> float:
    if not mine.is_floating_point():
        return 0.0 if torch.equal(mine, other) else math.inf
    if not mine.numel():
        return 0.0
    if mine.isnan().any() or other.isnan().any() or not torch.equal(mine.isfinite(), other.isfinite()):
        return math.inf
    mine, other = _finite(mine), _finite(other)
    top = float(mine.abs().max())
    gap = float((mine - other).abs().max())
    return gap / top if top else gap
