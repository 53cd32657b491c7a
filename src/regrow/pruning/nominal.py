"""Nominal MACs: multiply-accumulates of the weights that a mask keeps. A number for tables, not a speed-up.

A masked network executes every multiplication of the dense one (`regrow.networks.cost.cost_of`); only special hardware or formats make
anything of the zeros. What is counted here is what would be left if each masked weight cost nothing:

    nominal = executed - sum over masked tensors of  positions * removed weights

with positions = how often one weight is multiplied: output pixels of a convolution, rows of a product. The network runs once without
numbers on the meta device, and every convolution and product that reads a masked tensor, or a part of it, is written down.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from regrow.networks.cost import cost_of
from regrow.pruning.sparsity import masked_parameters

_aten: Final = torch.ops.aten
_PRODUCTS: Final = (_aten.mm, _aten.bmm, _aten.addmm, _aten.baddbmm)


def nominal_macs(network: nn.Module, masks: Mapping[str, Tensor], shape: Sequence[int]) -> int:
    """MACs of one forward pass of one example of `shape` (without the batch), masked weights left out.

    Biases, norm layers and activations are not counted, as in `cost_of`. A weight that is changed before it multiplies (standardised,
    say) is counted in full. `network` is not touched. Raises `PruningError` for masks of another network.
    """
    masked_parameters(network, masks)
    return cost_of(network, shape).macs - _removed_macs(network, masks, shape)


def _removed_macs(network: nn.Module, masks: Mapping[str, Tensor], shape: Sequence[int]) -> int:
    # deepcopy takes what `memo` holds instead of copying it, so no weight is duplicated.
    memo = {id(tensor): _on_meta(tensor) for tensor in [*network.parameters(), *network.buffers()]}
    try:
        return _run(copy.deepcopy(network, memo), masks, torch.empty(1, *shape, device="meta"))
    except (RuntimeError, NotImplementedError, TypeError, ValueError):
        # A forward that looks at numbers; the one kernel of attention that is made of products leaves torch's fast path out.
        with sdpa_kernel(SDPBackend.MATH):
            return _run(copy.deepcopy(network).cpu(), masks, torch.zeros(1, *shape))


def _on_meta(tensor: Tensor) -> Tensor:
    empty = torch.empty_like(tensor, device="meta")
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty


def _run(network: nn.Module, masks: Mapping[str, Tensor], example: Tensor) -> int:
    network.eval()
    tape = _Tape(masked_parameters(network, masks), masks)
    with torch.no_grad(), tape:
        network(example)
    return tape.removed


class _Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's base is not annotated
    """Adds up, over all operations, positions times removed weights."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], masks: Mapping[str, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.removed = 0
        # Views share their tensor's storage, and are matched by it. The storages live as long as the network does.
        self._lines = {_key(parameter): _line(masks[name], parameter) for name, parameter in parameters.items()}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # True, torch's default, would import its compiler at the first operation: two seconds for nothing, we compile nothing.
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket is _aten.convolution:
            images, weight, transposed = args[0], args[1], args[6]
            elements = images.numel() if transposed else result.numel()
            self._note(weight, elements // weight.shape[0])
        elif func.overloadpacket in _PRODUCTS:
            left, right = args[-2], args[-1]
            self._note(left, right.shape[-1])
            self._note(right, left.shape[-2])
        return result

    def _note(self, weight: Tensor, positions: int) -> None:
        line = self._lines.get(_key(weight))
        if line is not None:
            gone = line.as_strided(weight.shape, weight.stride(), weight.storage_offset())
            self.removed += positions * int(gone.count_nonzero())


def _line(mask: Tensor, parameter: Tensor) -> Tensor:
    """True where a weight is gone, laid out in memory exactly as the parameter is, so that a view of it can be taken of this too."""
    line = torch.zeros(parameter.untyped_storage().nbytes() // parameter.element_size(), dtype=torch.bool)
    line.as_strided(parameter.shape, parameter.stride(), parameter.storage_offset()).copy_(~mask)
    return line


def _key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
