"""What a network costs: multiply-accumulates, parameters and peak activation memory of one example, counted without computing.

The network runs once on the meta device, in inference mode, and every primitive operation is written down.

MACs: multiply-accumulates of convolutions and matrix products (linear layers), groups and depthwise convolutions counted for
what they multiply. Biases, norm layers, activations, pools and sums are not counted: the convention of the published tables.

Peak activation bytes: the largest sum, over the moments of the forward pass, of the bytes of float32 activations alive then.
A value is alive from the operation that makes it (the input: from the start) to the last operation that reads it (the output: to
the end), so while an operation runs, what it reads and what it writes are both alive. Views share the value they look at,
in-place operations make none, and by-products that nobody reads (the indices of a max pool) count as nothing. Parameters, buffers
and the workspace inside an operation are not activations. It is the memory that an ideal allocator needs.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from regrow.networks.build import blueprint
from regrow.networks.shapes import SHAPES
from regrow.networks.spec import NetworkSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Cost of one forward pass of one example."""

    macs: int
    """Multiply-accumulates of convolutions and linear layers; FLOPs are twice as many."""

    params: int
    """Trainable or frozen parameters; buffers are not counted."""

    peak_activation_bytes: int
    """Bytes; see the top of this module."""


@functools.cache
def cost(spec: NetworkSpec) -> Cost:
    """Cost of the network of the zoo that a specification describes. No weights are made."""
    return _measure(blueprint(spec), torch.empty(1, *spec.shape, device="meta"), SHAPES)


def cost_of(network: nn.Module, shape: Sequence[int]) -> Cost:
    """Cost of any network whose forward takes one batch of examples of `shape` (without the batch).

    Works on a copy on the meta device: no hook, mode or running statistic of `network` is touched. A network whose forward looks at
    numbers cannot run there; of that one a copy is run in earnest, once.
    """
    tensors = [*network.parameters(), *network.buffers()]
    # deepcopy takes what `memo` holds instead of copying it, so no weight is duplicated.
    memo = {id(tensor): _on_meta(tensor) for tensor in tensors}
    try:
        return _measure(copy.deepcopy(network, memo), torch.empty(1, *shape, device="meta"), {})
    except (RuntimeError, NotImplementedError, TypeError, ValueError):
        # One kernel of attention is made of matrix products that can be seen; the others are one operation each.
        with sdpa_kernel(SDPBackend.MATH):
            return _measure(copy.deepcopy(network).cpu(), torch.zeros(1, *shape), {})


def _on_meta(tensor: Tensor) -> Tensor:
    empty = torch.empty_like(tensor, device="meta")
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty


def _measure(network: nn.Module, example: Tensor, shapes: Mapping[Any, Callable[..., Any]]) -> Cost:
    network.eval()
    tape = _Tape(shapes)
    with torch.no_grad(), tape:
        output = network(example)
    return Cost(
        macs=tape.macs,
        params=sum(parameter.numel() for parameter in network.parameters()),
        peak_activation_bytes=_peak(tape.steps, example, output),
    )


class _Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's base is not annotated
    """Counts MACs and writes down, per operation, the tensors that it read and those that it gave."""

    def __init__(self, shapes: Mapping[Any, Callable[..., Any]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.shapes = shapes
        self.macs = 0
        self.steps: list[tuple[list[Tensor], list[Tensor]]] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # True, torch's default, would import its compiler at the first operation: two seconds for nothing, we compile nothing.
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = self.shapes.get(func, func)(*args, **(kwargs or {}))
        count = _MACS.get(func.overloadpacket)
        if count is not None:
            self.macs += count(args, result)
        self.steps.append((list(_tensors([args, kwargs])), list(_tensors(result))))
        return result


def _tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _tensors(part)


def _peak(steps: list[tuple[list[Tensor], list[Tensor]]], example: Tensor, output: Any) -> int:
    """Bytes at the worst moment. Values are storages, which views share; the tape keeps them alive, so ids are unique."""
    last_read: dict[int, int] = {}
    born: dict[int, tuple[int, int]] = {_key(example): (0, example.untyped_storage().nbytes())}
    for moment, (read, written) in enumerate(steps):
        outside = {_key(tensor) for tensor in read} - born.keys()
        last_read.update((_key(tensor), moment) for tensor in read)
        for tensor in written:
            if _key(tensor) not in outside:
                born.setdefault(_key(tensor), (moment, tensor.untyped_storage().nbytes()))
    last_read.update((_key(tensor), len(steps)) for tensor in _tensors(output))
    change = [0] * (len(steps) + 2)
    for key, (start, size) in born.items():
        if key in last_read:
            change[start] += size
            change[last_read[key] + 1] -= size
    alive = peak = 0
    for step in change:
        alive += step
        peak = max(peak, alive)
    return peak


def _key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _convolution_macs(args: tuple[Any, ...], result: Tensor) -> int:
    """Each output element reads C_in / groups * K * K inputs; transposed: each input element writes as many outputs."""
    images, weight, transposed = args[0], args[1], args[6]
    elements = images.numel() if transposed else result.numel()
    return int(elements * math.prod(weight.shape[1:]))


def _product_macs(args: tuple[Any, ...], result: Tensor) -> int:
    """Each element of a product [.., N, M] @ [.., M, P] is a sum of M terms."""
    return int(result.numel() * args[-2].shape[-1])


_aten: Final = torch.ops.aten
_MACS: Final[dict[Any, Callable[[tuple[Any, ...], Tensor], int]]] = {
    _aten.convolution: _convolution_macs,
    _aten.mm: _product_macs,
    _aten.bmm: _product_macs,
    _aten.addmm: _product_macs,
    _aten.baddbmm: _product_macs,
}
