"""Flow: how much of an input of ones reaches the output over each weight, when all weights are taken as positive."""

from __future__ import annotations

import inspect
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from regrow.channels.masks import named_tensors
from regrow.channels.onmeta import moved
from regrow.errors import PruningError
from regrow.pruning.evidence_look import Look, derived, read, run

_BATCH_NORM: Final = functional.batch_norm
_LAST_AXIS: Final = (functional.layer_norm, functional.rms_norm)
_NORMS: Final = (_BATCH_NORM, functional.group_norm, functional.instance_norm, *_LAST_AXIS)


def flow(look: Look) -> dict[str, Tensor]:
    """dR/d|w| by name of the tensor, float64, with

        R = sum of the outputs for one input of ones, of the network with |w| in place of every weight w.

    Biases and running means are zero, batch norms multiply by |gamma| / sqrt(running variance + eps) and other norms by |gamma|. So R is
    linear in the weights of each layer, and where no layer goes around another one the scores |w| * dR/d|w| of each layer add up
    to R: no layer is cut off before another one (Tanaka et al. 2020, arXiv:2006.05467, theorem 1). In float64: a product over
    fifty layers leaves the range of float32.

    Raises `PruningError` where no shape of an input is known, and where the flow leaves the range of float64 as well.
    """
    tensors = {name: _positive(name, tensor) for name, tensor in named_tensors(look.network).items()}
    leaves = [tensors[name].requires_grad_() for name in look.names]
    device = next((tensor.device for tensor in tensors.values()), torch.device("cpu"))
    inputs = tree_map(_ones, moved(_example(look), device))
    with torch.enable_grad(), _LinearNorms():
        parts = [one.sum() for one in tree_leaves(run(look, inputs, tensors)) if isinstance(one, Tensor)]
        total = torch.stack([part for part in parts if part.is_floating_point()]).sum()
    slopes = derived(look, total, leaves)
    lost = [name for name, slope in zip(look.names, slopes, strict=True) if not bool(slope.isfinite().all())]
    if lost:
        raise PruningError(
            f"{look.criterion}: the flow through {lost[0]} is not finite; the network is too deep, or does something that has no meaning "
            "for large positive numbers. Use lamp, which looks at weights alone."
        )
    return dict(zip(look.names, slopes, strict=True))


def _example(look: Look) -> Any:
    if look.example is not None:
        return look.example
    if look.batches is not None:
        return next(read(look)).inputs
    raise PruningError(
        f"{look.criterion} sends an input of ones through the network and needs to know its shape. Pass example=, any input that the "
        "network takes, such as torch.zeros(1, 3, 32, 32)."
    )


def _positive(name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor.clone()
    wide = tensor.detach().to(torch.float64, copy=True)
    return wide.zero_() if name.endswith(("bias", "running_mean")) else wide.abs_()


def _ones(leaf: Any) -> Any:
    if not isinstance(leaf, Tensor):
        return leaf
    one = leaf[:1] if leaf.ndim > 1 else leaf
    return torch.ones_like(one, dtype=torch.float64) if leaf.is_floating_point() else one


class _LinearNorms(TorchFunctionMode):
    """Norms as what they are in a linear network: scales."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        return _scaled(func, args, given) if func in _NORMS else func(*args, **given)


def _scaled(func: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Tensor:
    bound = inspect.signature(func).bind(*args, **given).arguments
    inputs: Tensor = bound["input"]
    factor = inputs.new_ones(()) if bound.get("weight") is None else bound["weight"]
    if func is _BATCH_NORM and bound.get("running_var") is not None:
        factor = factor * (bound["running_var"] + bound.get("eps", 1e-5)).rsqrt()
    if func not in _LAST_AXIS and factor.ndim:
        factor = factor.reshape(-1, *[1] * (inputs.ndim - 2))
    return inputs * factor
