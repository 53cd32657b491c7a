"""Verify: is the small network the dense one without the removed channels, and nothing else?

Both run on the example inputs in inference mode: the dense network with the removed channels silenced (`regrow.channels.silence`), the
small one as it is. What they return must agree to the precision of the numbers; where it does not, the first module at which they part
is named.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from regrow.channels.architecture import Architecture
from regrow.channels.duplicate import duplicate
from regrow.channels.labels import tensors_in
from regrow.channels.masks import axis_masks
from regrow.channels.onmeta import as_call, moved
from regrow.channels.outputs import contract
from regrow.channels.silence import DivergedError, Silence, plain_functions, silenced
from regrow.channels.trace import Tracing
from regrow.errors import PruningError
from regrow.networks.modes import evaluating

TOLERANCE: Final = {torch.float64: 1e-8, torch.float32: 1e-3, torch.float16: 5e-2, torch.bfloat16: 1e-1}
"""Largest difference that counts as none, relative to the largest number of the output."""

ROUNDING: Final = 5e-6
"""Differences of float32 outputs up to here are rounding (measured: below 1e-6 on thirty networks). Greater ones are looked at again in
double precision: one wrong row in the queries of an untrained attention changes the output by 3e-5 only."""

_LARGEST_COPY: Final = 2**29
"""Numbers of a network that is copied to look again, at most."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared, and how far apart it was."""

    verified: bool
    """False where nothing could be compared; `reason` says why."""

    error: float | None
    """Largest difference of any output, relative to that output's largest number."""

    tolerance: float | None
    reason: str = ""
    allowed: tuple[str, ...] = ()
    """What differs by nature and was allowed for."""

    def __str__(self) -> str:
        if not self.verified:
            return f"not verified: {self.reason}"
        return f"verified: outputs differ by {self.error:.1e} of their largest number (allowed: {self.tolerance:.0e})"


def verify(
    network: nn.Module,
    small: nn.Module,
    architecture: Architecture,
    tracing: Tracing,
    example_inputs: Any,
    outputs: Any = None,
) -> Verification:
    """Compare the small network with the silenced dense one; both are left as they were.

    Raises `PruningError` where they differ by more than `TOLERANCE`, naming the first module at which they part.
    """
    device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
    if device.type == "meta":
        return Verification(
            False, None, None, "the network is on the meta device, where there are no numbers to compare"
        )
    inputs = moved(example_inputs, device)
    try:
        dense, expected = _silent_outputs(network, architecture, tracing, inputs, outputs)
    except DivergedError as reason:
        return Verification(False, None, None, f"the network's path depends on the values of its inputs ({reason})")
    try:
        found = _small(small, inputs, outputs)
    except Exception as error:
        raise _cannot_run(dense, small, inputs, outputs, error) from error
    apart, tolerance = _difference(expected, found)
    if not apart <= tolerance and dense.took_another_path:
        return Verification(
            False, None, None, "with channels silenced the network takes another path than when it was traced"
        )
    if not apart <= tolerance or _is_wrong(apart, expected, dense, small, architecture, inputs, outputs):
        raise PruningError(
            f"the small network does not compute what the dense one does without the removed channels: outputs differ by {apart:.1e} "
            f"of their largest number, more than rounding explains; they part at {_first_apart(dense, small, inputs, outputs)}. Nothing "
            "was returned. Leave the layers around it out with ignore=, and please report the network."
        )
    if nothing := _nothing_to_compare(expected):
        return Verification(False, None, None, nothing)
    allowed = [*tracing.notes]
    if tracing.scales(architecture.widths):
        allowed.append("numbers that the code computes from sizes, such as 1 / sqrt(head size), follow the new sizes")
    return Verification(True, apart, tolerance, allowed=tuple(allowed))


def _silent_outputs(
    network: nn.Module, architecture: Architecture, tracing: Tracing, inputs: Any, outputs: Any
) -> tuple[_Dense, list[Tensor]]:
    """The silenced dense network, and what it returns.

    Where it did not go the way of the trace, it is traced once more: it may have filled tables on its first run that it only reads on
    its second.
    """
    dense = _Dense(network, architecture, tracing)
    try:
        return dense, dense(inputs, outputs)
    except DivergedError:
        again = tracing.again() if tracing.again else None
        if again is None or again.groups != tracing.groups:
            raise
    dense = _Dense(network, architecture, again)
    return dense, dense(inputs, outputs)


def _is_wrong(
    apart: float,
    expected: Sequence[Tensor],
    dense: _Dense,
    small: nn.Module,
    architecture: Architecture,
    inputs: Any,
    outputs: Any,
) -> bool:
    """Whether a difference that is tolerated stays as it is in double precision, where rounding would vanish."""
    single = any(tensor.dtype == torch.float32 for tensor in expected)
    numbers = sum(tensor.numel() for tensor in dense.network.parameters())
    if not single or apart <= ROUNDING or numbers > _LARGEST_COPY:
        return False
    networks = [duplicate(one, {}).double() for one in (dense.network, small)]
    wide = tree_map(
        lambda leaf: leaf.double() if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf, inputs
    )
    try:
        again = _Dense(networks[0], architecture, dense.tracing)(wide, outputs)
        error, _ = _difference(again, _small(networks[1], wide, outputs))
    except Exception:  # code that insists on float32 cannot be looked at again
        return False
    return error > max(ROUNDING, 0.3 * apart)


Trail = list[tuple[str, float]]
"""Modules in the order in which they returned, with a sum that silent channels do not change."""


class _Dense:
    """The silenced dense network."""

    def __init__(self, network: nn.Module, architecture: Architecture, tracing: Tracing) -> None:
        self.network, self.tracing = network, tracing
        self.masks = axis_masks(network, architecture)
        self.kept = tracing.kept([entry.indices for entry in architecture.kept])
        self.point = tracing.at(architecture.widths)
        self.took_another_path = False

    def __call__(self, inputs: Any, outputs: Any, trail: Trail | None = None) -> list[Tensor]:
        shell = silenced(self.network, self.point)
        mode = Silence(shell, self.masks, self.tracing.journal, self._kept, self.point)
        with plain_functions():
            found = _ran(shell, inputs, outputs, mode, trail)
        self.took_another_path = mode.calls != self.tracing.calls
        return found

    def _kept(self, ids: Any) -> Tensor:
        return torch.from_numpy(self.kept(ids))


def _small(small: nn.Module, inputs: Any, outputs: Any, trail: Trail | None = None) -> list[Tensor]:
    with evaluating(small):
        return _ran(small, inputs, outputs, contextlib.nullcontext(), trail)


def _cannot_run(dense: _Dense, small: nn.Module, inputs: Any, outputs: Any, error: Exception) -> PruningError:
    """Why the small network stops, and at which module; both run once more to find it."""
    trails: tuple[Trail, Trail] = ([], [])
    dense(inputs, outputs, trails[0])
    with contextlib.suppress(Exception):
        _small(small, inputs, outputs, trails[1])
    place = next((name for name, _ in trails[0][len(trails[1]) :]), "") or "the network's own code"
    return PruningError(
        f"the small network cannot run on the example inputs: {type(error).__name__} at {place}: {error}. Nothing was returned. "
        "Leave the layers around it out with ignore=, and please report the network."
    )


def _ran(network: nn.Module, inputs: Any, outputs: Any, mode: Any, trail: Trail | None) -> list[Tensor]:
    args, kwargs = as_call(inputs)
    watched = contextlib.nullcontext() if trail is None else _watched(network, trail)
    with torch.no_grad(), torch.random.fork_rng(devices=[]), watched, _one_path(), mode:
        torch.manual_seed(0)
        result = network(*args, **kwargs)
    return [tensor for _, tensor in contract(result, outputs)[0]]


@contextlib.contextmanager
def _one_path() -> Iterator[None]:
    """The same arithmetic for both: attention written out, no fused encoder layers."""
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)


@contextlib.contextmanager
def _watched(network: nn.Module, trail: Trail) -> Iterator[None]:
    """Write down, for every module, the sum of squares of what it returned."""
    handles = [module.register_forward_hook(_writer(name, trail)) for name, module in network.named_modules() if name]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _writer(name: str, trail: Trail) -> Any:
    def write(_module: nn.Module, _inputs: Any, output: Any) -> None:
        with torch._C.DisableTorchFunction():
            squares = [
                float(tensor.detach().double().square().sum())
                for tensor in tensors_in(output)
                if tensor.is_floating_point()
            ]
        trail.append((name, sum(squares)))

    return write


def _difference(expected: Sequence[Tensor], found: Sequence[Tensor]) -> tuple[float, float]:
    """Largest relative difference of any output, and the tolerance of the coarsest number type among them."""
    worst, tolerance = 0.0, 0.0
    if len(expected) != len(found):
        return float("inf"), 0.0
    for one, other in zip(expected, found, strict=True):
        if one.shape != other.shape:
            return float("inf"), 0.0
        if not one.is_floating_point():
            continue
        tolerance = max(tolerance, TOLERANCE.get(one.dtype, 1e-1))
        scale = float(one.abs().max()) if one.numel() else 0.0
        apart = float((one.double() - other.double()).abs().max()) if one.numel() else 0.0
        worst = max(worst, apart / scale if scale > 0 else apart) if apart == apart else float("inf")
    return worst, tolerance or 1.0


def _nothing_to_compare(outputs: Sequence[Tensor]) -> str:
    """Why equal outputs say nothing; empty where they do."""
    numbers = [tensor for tensor in outputs if tensor.is_floating_point() and tensor.numel()]
    if not numbers:
        return "the network returns no floating-point numbers, and only these are compared"
    if not any(bool((tensor != 0).any()) for tensor in numbers):
        return "all outputs are zero, for these example inputs and these weights; give other inputs, or weights that were trained"
    return ""


def _first_apart(dense: _Dense, small: nn.Module, inputs: Any, outputs: Any) -> str:
    """The first module at which the two part; both run once more to find it."""
    trails: tuple[Trail, Trail] = ([], [])
    dense(inputs, outputs, trails[0])
    _small(small, inputs, outputs, trails[1])
    for (name, squares), (other_name, other_squares) in zip(*trails, strict=False):
        if name != other_name:
            return f"{other_name}, where the small network runs and the dense one runs {name}"
        if abs(squares - other_squares) > 1e-3 * max(squares, other_squares, 1e-12):
            return name
    return "the network's own code, between its modules"
