"""Sparsity: single weights that are removed by masks, in a network that keeps its shape.

Masks are plain values: a dict from tensor name to a boolean tensor of that tensor's shape on the CPU, True where the weight is kept.
The network executes as many MACs as before; what the mask saves is nominal (`nominal.py`) and is no speed-up.

Which weights may go (`maskable`), what masks say (`kept_of_masks`, `collapsed`), and putting them on (`apply_masks`) stand here; which
weights stay is chosen in `mask_choice.py`, and holding them at zero while the network trains is done in `holding.py`.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from regrow.errors import ConfigError, Fault, PruningError, did_you_mean

Masks: TypeAlias = dict[str, Tensor]
"""Tensor name to boolean tensor of its shape, on the CPU; True = kept."""

_ATTENTION_WEIGHTS: Final = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
"""The projections that torch's attention holds without a linear layer of their own."""


_ORIGINAL: Final = "_orig"
"""What torch.nn.utils.prune adds to the name of a parameter that it computes a weight from."""


def maskable(network: nn.Module, skip: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of the weights that masks may remove, in the order of registration.

    These are the weights of convolutions (depthwise ones included), of linear layers and of the projections inside torch's attention, but
    not the classifier's: the linear layer that was registered last, or the last convolution of a network without linear layers, and
    whatever shares its weight. Biases, norm layers and embeddings stay whole. A tied weight is named once, by its first name.

    `skip` leaves more of them whole: names of tensors or of modules, or shell patterns of such names (`features.conv1*`). Raises
    `ConfigError` for an entry that meets nothing, `PruningError` where nothing is left and where torch.nn.utils.prune has a hand in.
    """
    candidates = weights_of(network)
    if computed := next((name for name in candidates if name.endswith(_ORIGINAL)), None):
        raise PruningError(
            f"{computed.removesuffix(_ORIGINAL)} is computed from {computed} by torch.nn.utils.prune. Take its masks with "
            "regrow.pruning.torch_masks.from_torch_prune, then make it an ordinary weight with torch.nn.utils.prune.remove."
        )
    skipped = _skipped(skip, candidates)
    if left := tuple(name for name in candidates if name not in skipped):
        return left
    raise PruningError(
        f"{type(network).__name__} has no weights that a mask may remove: {len(candidates)} tensors besides the classifier's, "
        f"{len(skipped)} of them skipped. Skip fewer, or remove whole channels."
    )


def weights_of(network: nn.Module) -> tuple[str, ...]:
    """As `maskable` without `skip` and without its errors; weights under torch.nn.utils.prune are named `weight_orig`."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    found = [id(weight) for module in network.modules() for weight in _own_weights(module)]
    last = _classifier(network)
    return tuple(names[weight] for weight in dict.fromkeys(found) if weight != last)


def _own_weights(module: nn.Module) -> Iterator[nn.Parameter]:
    """The weights that a module multiplies by, itself and not its parts."""
    keys: tuple[str, ...] = ()
    if isinstance(module, (_ConvNd, nn.Linear)):
        keys = ("weight",)
    elif isinstance(module, nn.MultiheadAttention):
        keys = _ATTENTION_WEIGHTS
    own = dict(module.named_parameters(recurse=False))
    yield from (own[name] for key in keys for name in (key, key + _ORIGINAL) if name in own)


def _classifier(network: nn.Module) -> int | None:
    """Identity of the classifier's weight."""
    for kind in (nn.Linear, _ConvNd):
        weights = [
            weight for module in network.modules() if isinstance(module, kind) for weight in _own_weights(module)
        ]
        if weights:
            return id(weights[-1])
    return None


def _skipped(skip: Sequence[str], names: Sequence[str]) -> frozenset[str]:
    meant = {entry: [name for name in names if _is_meant(entry, name)] for entry in skip}
    faults = [
        Fault(
            where="study",
            key="prune.skip",
            rule=f"no weight that a mask may remove is called {entry!r}",
            hint=did_you_mean(entry, names) if len(names) <= 20 else f"Names look like {names[0]} and {names[-1]}.",
        )
        for entry, found in meant.items()
        if not found
    ]
    if faults:
        raise ConfigError(faults=faults)
    return frozenset(name for found in meant.values() for name in found)


def _is_meant(entry: str, name: str) -> bool:
    return fnmatch.fnmatchcase(name, entry) or fnmatch.fnmatchcase(name.rpartition(".")[0], entry)


def kept_of_masks(masks: Mapping[str, Tensor]) -> tuple[int, int]:
    """Weights that stay, and all weights that the masks speak of.

    >>> kept_of_masks({"a": torch.tensor([True, False, False])})
    (1, 3)
    """
    kept = sum(int(mask.count_nonzero()) for mask in masks.values())
    return kept, sum(mask.numel() for mask in masks.values())


def collapsed(masks: Mapping[str, Tensor], share: float = 0.001) -> tuple[str, ...]:
    """One sentence for every tensor that is all but gone: no weight stays, or not more than one, or less than the share `share`.

    Such a layer lets next to nothing through, whatever the accuracy of the rest: layer collapse, which global rankings run into
    at high fractions. Source of the word: Tanaka et al. 2020, arXiv:2006.05467.
    """
    notes = []
    for name, mask in masks.items():
        kept = int(mask.count_nonzero())
        if kept < mask.numel() and (kept <= 1 or kept < share * mask.numel()):
            notes.append(
                f"{name} keeps {kept} of {mask.numel()} weights: the layer is all but gone (layer collapse). Remove less, rank "
                "within each layer (prune.scope), keep a floor, or skip it."
            )
    return tuple(notes)


@torch.no_grad()
def apply_masks(network: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Set the weights that masks remove to exactly zero, in place; all else is left as it is.

    Raises `PruningError` for masks that are not of this network.
    """
    for name, parameter in masked_parameters(network, masks).items():
        parameter.masked_fill_(removed(masks[name], parameter), 0)


def masked_parameters(network: nn.Module, masks: Mapping[str, Tensor]) -> dict[str, nn.Parameter]:
    """The parameters that masks speak of, by name; tied ones go by any of their names.

    Raises `PruningError` that lists what the network lacks, what has another shape and what is not boolean.
    """
    parameters = dict(network.named_parameters(remove_duplicate=False))
    wrong = [_misfit(name, mask, parameters.get(name)) for name, mask in masks.items()]
    if found := [text for text in wrong if text]:
        more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
        raise PruningError(
            f"the masks are not of this {type(network).__name__}: {'; '.join(found[:3])}{more}. Masks fit the network that "
            "they were chosen for, at its full shape."
        )
    return {name: parameters[name] for name in masks}


def _misfit(name: str, mask: Tensor, parameter: nn.Parameter | None) -> str:
    if parameter is None:
        return f"it has no parameter {name}"
    if mask.shape != parameter.shape:
        return f"{name} has shape {list(parameter.shape)}, its mask {list(mask.shape)}"
    if mask.dtype != torch.bool:
        return f"the mask of {name} must be boolean, True where the weight is kept; it is {mask.dtype}"
    return ""


def removed(mask: Tensor, parameter: Tensor) -> Tensor:
    """True where the weight goes, laid out in memory and on the device as the parameter is: filling is then one straight pass."""
    return torch.empty_like(parameter, dtype=torch.bool, requires_grad=False).copy_(~mask)
