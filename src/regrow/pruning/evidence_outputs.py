"""What layers compute: statistics of their outputs, streamed over the batches without derivatives.

Every product with a weight is seen as it is computed, by modules or plain functions. Its output is followed through the norm and the
activation right behind it, whether these are modules or functions, and looked at before anything else reads it. The projections
inside `nn.MultiheadAttention` are looked at as they are computed.

Shape suffixes: B = examples, R = rows of a weight (its output channels), P = positions, H and W = the sides of a feature map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from regrow.pruning.evidence_inputs import Watch
from regrow.pruning.evidence_look import Look, read, run

_LINEAR: Final = functional.linear
_PRODUCTS: Final = frozenset(
    {
        *(_LINEAR, functional.conv1d, functional.conv2d, functional.conv3d),
        *(functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d),
    }
)

_NORMS: Final = ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm")
_RECTIFIERS: Final = ("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "silu", "mish", "gelu", "softplus")
_SQUASHES: Final = ("hardswish", "hardtanh", "hardsigmoid", "sigmoid", "tanh", "dropout")
_FOLLOWED: Final = frozenset({*_NORMS, *_RECTIFIERS, *_SQUASHES})
"""Names of norms and activations; those that work in place end in an underscore."""

_LOOKS: Final = frozenset(
    {
        "__get__",
        "__len__",
        "dim",
        "size",
        "numel",
        "stride",
        "is_contiguous",
        "is_floating_point",
        "get_device",
        "__hash__",
    }
)
"""What reads no number of a tensor: its shape, its type (`__get__` is every attribute)."""

_NUMBERS_AT_ONCE: Final = 2**20
"""Of feature maps whose ranks are computed together: 4 MB."""


def output_mean(look: Look) -> dict[str, Tensor]:
    """activation_R = mean over examples of the mean over positions of |x_r|, float64, by name of the weight."""
    return _means(look, _absolute_means)


def output_rank(look: Look) -> dict[str, Tensor]:
    """rank_R = mean over examples of the rank of row r's feature map, a matrix of height x width; float64, by name of the weight.

    Ranks count singular values above max(H, W) * eps * the largest one. Without two axes of positions (linear layers) a channel is a
    matrix of one row, whose rank is 1, or 0 where all of it is zero.
    """
    return _means(look, _ranks)


def _means(look: Look, measure: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """Sums of `measure` over examples, outputs_BRP to sums_R, divided by their number. Weights that nothing was seen of are left out."""
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}

    def see(name: str, output_BRP: Tensor) -> None:
        found = measure(output_BRP).to("cpu", torch.float64)
        sums[name] = sums[name].add_(found) if name in sums else found
        counts[name] = counts.get(name, 0) + len(output_BRP)

    weights = look.tensors()
    with torch.no_grad():
        for batch in read(look):
            with _Outputs(weights, see) as outputs:
                run(look, batch.inputs)
                outputs.finish()
    return {name: total / counts[name] for name, total in sums.items()}


def _absolute_means(output_BRP: Tensor) -> Tensor:
    flat = output_BRP.abs().reshape(*output_BRP.shape[:2], -1)
    return flat.mean(dim=2, dtype=torch.float64).sum(dim=0)


def _ranks(output_BRP: Tensor) -> Tensor:
    """Sum over examples of the ranks, a few maps at a time."""
    maps = output_BRP if output_BRP.ndim == 4 else output_BRP.reshape(*output_BRP.shape[:2], 1, -1)
    flat = maps.flatten(0, 1).float()
    at_once = max(1, _NUMBERS_AT_ONCE // max(1, flat[0].numel()))
    ranks = [torch.linalg.matrix_rank(flat[start : start + at_once]) for start in range(0, len(flat), at_once)]
    return torch.cat(ranks).reshape(maps.shape[:2]).double().sum(dim=0)


class _Outputs(TorchFunctionMode):
    """Follows what watched weights compute, and tells of it before anything but a norm or an activation reads it."""

    def __init__(self, weights: Mapping[str, Tensor], see: Callable[[str, Tensor], None]) -> None:
        super().__init__()
        self._weights, self._see = weights, see
        self._places = {id(tensor): name for name, tensor in weights.items()}
        self._followed: dict[int, tuple[Tensor, str, int]] = {}
        """By identity of a tensor: the tensor (so that the identity stays taken), its weight, the axis of its channels."""

    def finish(self) -> None:
        """Tell of the outputs that nothing has read."""
        for key in list(self._followed):
            self._tell(key)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name in _LOOKS:
            return func(*args, **given)
        read_here = [id(one) for one in _tensors((*args, *given.values())) if id(one) in self._followed]
        goes_on = None
        if read_here and name.rstrip("_") in _FOLLOWED and args and id(args[0]) == read_here[0]:
            goes_on = self._followed.pop(read_here.pop(0))
        for key in read_here:
            self._tell(key)
        if func is functional.multi_head_attention_forward:  # what it calls is not shown to this mode
            with Watch(self._weights, lambda reading: self._see(reading.name, reading.output)):
                return func(*args, **given)
        result = func(*args, **given)
        if goes_on is not None and isinstance(result, Tensor):
            self._followed[id(result)] = (result, *goes_on[1:])
        elif func in _PRODUCTS:
            self._begin(func, args[1] if len(args) > 1 else given["weight"], result)
        return result

    def _begin(self, func: Any, weight: Tensor, result: Tensor) -> None:
        name = self._places.get(id(weight))
        if name is not None:
            self._followed[id(result)] = (result, name, -1 if func is _LINEAR else 1)

    def _tell(self, key: int) -> None:
        if key in self._followed:
            output, name, axis = self._followed.pop(key)
            self._see(name, output.movedim(axis, 1) if output.ndim > 1 else output.unsqueeze(0))


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """Tensors among arguments, and in lists and tuples among them."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)
