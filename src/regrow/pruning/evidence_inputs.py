"""What weights multiply: statistics of the inputs of layers, streamed over the batches without derivatives.

Reading is seen where PyTorch multiplies a weight with an input (convolutions and matrix products of a `TorchDispatchMode`), and a weight
is known by its place in memory. So attention that hands its weights to a function, and layers of any library, are seen as well as modules
of `torch.nn`; a weight that is computed anew in every pass (standardised, quantised) is not.

Shape suffixes: B = examples (for a linear layer: rows of its input, so tokens too), I = inputs of a layer, P = positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from regrow.channels.masks import named_tensors
from regrow.errors import PruningError
from regrow.pruning.evidence_look import Look, read, run


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One product of an input and a weight."""

    name: str
    """The weight."""

    axis: int
    """The weight's axis along which inputs stand; a grouped convolution has I / groups there."""

    groups: int
    values: Tensor
    """values_BIP of a convolution, with one axis of positions for each of its dimensions; values_BI of a linear layer."""

    output: Tensor
    """What came out, laid out alike."""


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's is not annotated
    """Calls `see` with every reading of the named weights. MPS and inference see `linear` whole, everything else its parts."""

    def __init__(self, weights: Mapping[str, Tensor], see: Callable[[Reading], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._names = {(tensor.data_ptr(), tensor.numel()): name for name, tensor in weights.items()}
        self._weights, self._see = weights, see

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        ops, result = torch.ops.aten, func(*args, **(kwargs or {}))
        if func is ops.convolution.default:
            self._convolution(result, *args)
        elif func is ops.linear.default:
            self._product(result.flatten(0, -2), args[0].flatten(0, -2), args[1].t())
        elif func is ops.addmm.default:
            self._product(result, args[1], args[2])
        elif func is ops.mm.default:
            self._product(result, args[0], args[1])
        return result

    def _convolution(self, result: Tensor, given: Tensor, weight: Tensor, *rest: Any) -> None:
        if name := self._name(weight):
            transposed, groups = rest[4], rest[6]
            self._see(Reading(name, 0 if transposed else 1, 1 if transposed else groups, given, result))

    def _product(self, result: Tensor, given: Tensor, weight: Tensor) -> None:
        if name := self._name(weight):
            axis = 0 if weight.shape == self._weights[name].shape and weight.is_contiguous() else 1
            self._see(Reading(name, axis, 1, given, result))

    def _name(self, weight: Tensor) -> str | None:
        return self._names.get((weight.data_ptr(), weight.numel()))


def input_norm(look: Look) -> dict[str, Tensor]:
    """norm[i] = sqrt((1/N) sum over examples and positions of x_i^2), in the weight's layout, with size 1 along all other axes.

    The norm of Sun et al. 2024, arXiv:2306.11695, per square root of N examples, as in their program. In a convolution of several groups
    each row of the weight reads inputs of its own; then the result has those rows.
    """
    sums: dict[str, Tensor] = {}
    layout: dict[str, tuple[int, int]] = {}

    def see(reading: Reading) -> None:
        values_BIP = reading.values.flatten(2) if reading.values.ndim > 2 else reading.values.unsqueeze(2)
        part = values_BIP.double().square_().sum(dim=(0, 2)).cpu()
        sums[reading.name] = sums[reading.name] + part if reading.name in sums else part
        layout[reading.name] = (reading.axis, reading.groups)

    count = _watched(look, look.names, see)
    tensors = look.tensors()
    if lacking := [name for name in look.names if name not in sums]:
        raise PruningError(
            f"{look.criterion} looks at what weights multiply, and the network multiplies nothing with {', '.join(lacking[:3])} itself: "
            "it is no weight of a convolution or matrix product, or what is used is computed from it. Skip it, or use taylor."
        )
    return {name: _laid_out((sums[name] / count).sqrt(), tensors[name], *layout[name]) for name in look.names}


def _laid_out(norms_I: Tensor, weight: Tensor, axis: int, groups: int) -> Tensor:
    """The norms where the weight has its inputs."""
    shape = [1] * weight.ndim
    if groups == 1:
        shape[axis] = len(norms_I)
        norms = norms_I.reshape(shape)
    else:
        by_row = norms_I.reshape(groups, -1).repeat_interleave(weight.shape[0] // groups, dim=0)
        norms = by_row.reshape([*by_row.shape, *shape[2:]])
    return norms.to(weight.device, torch.promote_types(weight.dtype, torch.float32))


def _watched(look: Look, names: Iterable[str], see: Callable[[Reading], None]) -> int:
    """Run all batches and show every reading of the named weights; the number of examples."""
    every, count = named_tensors(look.network), 0
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one fused call, in which no product is seen
    try:
        with torch.no_grad(), Watch({name: every[name] for name in names}, see):
            for batch in read(look):
                run(look, batch.inputs)
                count += len(batch)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return count
