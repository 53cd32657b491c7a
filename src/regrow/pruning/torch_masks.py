"""Masks that `torch.nn.utils.prune` made, and zeros that are in a network already, as masks."""

from __future__ import annotations

from torch import Tensor, nn

from regrow.errors import PruningError
from regrow.pruning.sparsity import Masks, weights_of

_MASK, _ORIGINAL = "_mask", "_orig"


def from_torch_prune(network: nn.Module, *, zeros: bool = False) -> Masks:
    """The masks of a network that `torch.nn.utils.prune` worked on; the network is left as it is.

    Where it pruned, a module holds `weight_orig` and `weight_mask`; the mask is given under the name that the weight has once
    `torch.nn.utils.prune.remove` made it an ordinary parameter again. Pruned biases are found too. With `zeros`, weights of other
    layers count as well: those that are exactly zero now are taken as removed (read once, here; what reaches zero later lives).

    Raises `PruningError` where nothing is pruned.
    """
    masks = _of_buffers(network)
    if zeros:
        masks |= _of_zeros(network)
    if any(not bool(mask.all()) for mask in masks.values()):
        return masks
    looked = "weight_mask buffers or zeros" if zeros else "weight_mask buffers"
    hint = "" if zeros else " If its zeros are in plain weights, pass zeros=True."
    raise PruningError(f"{type(network).__name__} has no pruned weights: no {looked} were found.{hint}")


def _of_buffers(network: nn.Module) -> Masks:
    parameters = dict(network.named_parameters())
    return {
        name.removesuffix(_MASK): (mask.detach() != 0).cpu()
        for name, mask in network.named_buffers()
        if name.endswith(_MASK) and _fits(mask, parameters.get(name.removesuffix(_MASK) + _ORIGINAL))
    }


def _fits(mask: Tensor, original: nn.Parameter | None) -> bool:
    """Whether a buffer is such a mask: buffers of this name may be anything else."""
    return original is not None and original.shape == mask.shape


def _of_zeros(network: nn.Module) -> Masks:
    parameters = dict(network.named_parameters())
    plain = [name for name in weights_of(network) if not name.endswith(_ORIGINAL)]
    return {name: (parameters[name].detach() != 0).cpu() for name in plain}
