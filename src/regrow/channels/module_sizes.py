"""The sizes that torch's own layers keep as attributes beside their tensors, and how to write new ones.

`nn.Linear` has `in_features` and `out_features` beside its weight, `nn.GroupNorm` has `num_groups`. When a tensor gets another
shape, these numbers must follow: `forward` and `reset_parameters` read them. Rules go by `isinstance`, so subclasses count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping, MutableSequence
from typing import Any, Final

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from regrow.channels.architecture import Correction
from regrow.errors import PruningError

Shapes = Mapping[str, tuple[int, ...]]
"""Shape by the module's own name of a tensor: `weight`, `running_mean`."""

Kept = Mapping[str, Tensor]
"""Which indices of a tensor's first axis are left, boolean, by the module's own name of the tensor."""


def leaf_sizes(module: nn.Module, shapes: Shapes, kept: Kept | None = None) -> dict[str, int]:
    """The attributes, by dotted path from `module`, that the new shapes of its tensors imply; empty for classes not known here.

    `module` still has its dense sizes. Shapes alone do not always say whether whole groups (of a convolution, a group norm, heads of
    `nn.MultiheadAttention`) went or a part of each: `kept` does. Without it the number of groups stays where it can.

    >>> leaf_sizes(nn.Linear(8, 6), {"weight": (3, 8)})
    {'in_features': 8, 'out_features': 3}
    """
    for kinds, rule in _RULES:
        if isinstance(module, kinds):
            return rule(module, shapes, kept or {})
    return {}


def read_size(module: nn.Module, path: str) -> Any:
    """The value at a dotted path: attributes, keys of mappings, positions in sequences.

    >>> read_size(nn.LayerNorm(8), "normalized_shape.0")
    8
    """
    value: Any = module
    for part in path.split("."):
        value = _step(value, part)
    return value


def write_size(module: nn.Module, path: str, size: int) -> None:
    """Set the number at a dotted path; tuples on the way are replaced, objects and lists changed in place."""
    _write(module, path.split("."), size)


def correct(network: nn.Module, corrections: Iterable[Correction]) -> None:
    """Write every correction into the network; a number that already has its small value is left.

    An object that several modules share, such as a configuration, is therefore corrected once. Raises `PruningError` where the module
    or attribute does not exist, or holds a number that is neither the dense nor the small one.
    """
    for correction in corrections:
        _correct(network, correction)


def _correct(network: nn.Module, correction: Correction) -> None:
    where = f"{correction.module}.{correction.attribute}".lstrip(".")
    try:
        module = network.get_submodule(correction.module)
        found = read_size(module, correction.attribute)
        if found == correction.dense and correction.dense != correction.small:
            write_size(module, correction.attribute, correction.small)
            found = read_size(module, correction.attribute)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise PruningError(
            f"the architecture corrects {where} from {correction.dense} to {correction.small}, but this network does not let it: "
            f"{error}. Pass the network, or the factory, that the architecture was made from."
        ) from error
    if found != correction.small:
        raise PruningError(
            f"the architecture corrects {where} from {correction.dense} to {correction.small}, but this network has {found} there. "
            "Pass the network, or the factory, that the architecture was made from."
        )


def _step(value: Any, part: str) -> Any:
    if isinstance(value, Mapping):
        return value[_key(value, part)]
    if isinstance(value, list | tuple):
        return value[int(part)]
    return getattr(value, part)


def _key(mapping: Mapping[Any, Any], part: str) -> Any:
    return part if part in mapping else int(part)


def _write(owner: Any, path: list[str], size: int) -> None:
    part, rest = path[0], path[1:]
    value: Any = size
    if rest:
        value = _step(owner, part)
        if isinstance(value, tuple):
            value = _replaced(value, rest, size)
        else:
            _write(value, rest, size)
            return
    if isinstance(owner, MutableMapping):
        owner[_key(owner, part)] = value
    elif isinstance(owner, MutableSequence):
        owner[int(part)] = value
    else:
        setattr(owner, part, value)


def _replaced(values: tuple[Any, ...], path: list[str], size: int) -> Any:
    """The tuple with another number at the path, of the same type."""
    copy = list(values)
    _write(copy, path, size)
    return type(values)(*copy) if hasattr(values, "_fields") else type(values)(copy)


def _linear(_module: Any, shapes: Shapes, _kept: Kept) -> dict[str, int]:
    if "weight" not in shapes:
        return {}
    out, read = shapes["weight"]
    return {"in_features": read, "out_features": out}


def _bilinear(_module: Any, shapes: Shapes, _kept: Kept) -> dict[str, int]:
    if "weight" not in shapes:
        return {}
    out, first, second = shapes["weight"]
    return {"in1_features": first, "in2_features": second, "out_features": out}


def _convolution(module: _ConvNd, shapes: Shapes, kept: Kept) -> dict[str, int]:
    """Weight: (out, in / groups, ...), transposed: (in, out / groups, ...)."""
    if "weight" not in shapes:
        return {}
    first, second = shapes["weight"][:2]
    transposed = isinstance(module, _ConvTransposeNd)
    dense_first, dense_inner = module.out_channels, module.in_channels // module.groups
    if transposed:
        dense_first, dense_inner = module.in_channels, module.out_channels // module.groups
    per_group = dense_first // module.groups
    if "weight" in kept:
        groups = _blocks_left(kept["weight"], module.groups)
    elif first % module.groups == 0 and (dense_inner > 1 or first == dense_first):
        groups = module.groups
    else:
        # A depthwise convolution loses whole groups; so does one whose outputs no longer divide.
        groups = max(1, first // per_group)
    sizes = {"groups": groups, "in_channels": second * groups, "out_channels": first}
    return {**sizes, "in_channels": first, "out_channels": second * groups} if transposed else sizes


def _batch_norm(_module: Any, shapes: Shapes, _kept: Kept) -> dict[str, int]:
    for name in ("weight", "bias", "running_mean", "running_var"):
        if name in shapes:
            return {"num_features": shapes[name][0]}
    return {}


def _layer_norm(_module: Any, shapes: Shapes, _kept: Kept) -> dict[str, int]:
    return {f"normalized_shape.{axis}": size for axis, size in enumerate(shapes.get("weight", ()))}


def _group_norm(module: nn.GroupNorm, shapes: Shapes, kept: Kept) -> dict[str, int]:
    if "weight" not in shapes:
        return {}
    channels = shapes["weight"][0]
    groups = module.num_groups
    if "weight" in kept:
        groups = _blocks_left(kept["weight"], groups)
    elif channels % groups:
        groups = max(1, channels * groups // module.num_channels)
    return {"num_groups": groups, "num_channels": channels}


def _embedding(_module: Any, shapes: Shapes, _kept: Kept) -> dict[str, int]:
    if "weight" not in shapes:
        return {}
    rows, columns = shapes["weight"]
    return {"num_embeddings": rows, "embedding_dim": columns}


def _recurrent(module: nn.RNNBase, shapes: Shapes, _kept: Kept) -> dict[str, int]:
    """weight_ih: (gates * hidden, input), weight_hh: (gates * hidden, projection or hidden), weight_hr: (projection, hidden)."""
    gates = {"LSTM": 4, "GRU": 3}.get(module.mode, 1)
    sizes = {}
    if "weight_ih_l0" in shapes:
        rows, read = shapes["weight_ih_l0"]
        sizes = {"hidden_size": rows // gates, "input_size": read}
    if "weight_hr_l0" in shapes:
        sizes["proj_size"] = shapes["weight_hr_l0"][0]
    return sizes


def _cell(module: nn.RNNCellBase, shapes: Shapes, _kept: Kept) -> dict[str, int]:
    if "weight_ih" not in shapes:
        return {}
    rows, read = shapes["weight_ih"]
    gates = {nn.LSTMCell: 4, nn.GRUCell: 3}
    divisor = next((count for kind, count in gates.items() if isinstance(module, kind)), 1)
    return {"hidden_size": rows // divisor, "input_size": read}


def _attention(module: nn.MultiheadAttention, shapes: Shapes, kept: Kept) -> dict[str, int]:
    """in_proj_weight: (3 * embed, embed); or q_proj_weight (embed, embed), k_proj_weight (embed, kdim), v_proj_weight (embed, vdim)."""
    if "in_proj_weight" in shapes:
        embed = shapes["in_proj_weight"][0] // 3
        sizes = {"embed_dim": embed, "kdim": embed, "vdim": embed}
        name, parts = "in_proj_weight", 3
    elif "q_proj_weight" in shapes:
        embed = shapes["q_proj_weight"][0]
        sizes = {"embed_dim": embed, "kdim": shapes["k_proj_weight"][1], "vdim": shapes["v_proj_weight"][1]}
        name, parts = "q_proj_weight", 1
    else:
        return {}
    heads = module.num_heads
    if name in kept:
        heads = _blocks_left(kept[name], parts * heads) // parts
    elif embed % heads:
        heads = max(1, embed // module.head_dim)
    return {**sizes, "num_heads": heads, "head_dim": embed // heads}


def _prelu(_module: Any, shapes: Shapes, _kept: Kept) -> dict[str, int]:
    return {"num_parameters": shapes["weight"][0]} if "weight" in shapes else {}


def _blocks_left(kept: Tensor, blocks: int) -> int:
    """How many of `blocks` equal runs of indices still hold one.

    >>> import torch
    >>> _blocks_left(torch.tensor([True, False, False, False]), 2)
    1
    """
    return int(kept.reshape(blocks, -1).any(1).sum())


_RULES: Final[tuple[tuple[tuple[type[nn.Module], ...], Callable[[Any, Shapes, Kept], dict[str, int]]], ...]] = (
    ((nn.Linear,), _linear),
    ((nn.Bilinear,), _bilinear),
    ((_ConvNd,), _convolution),
    ((_NormBase,), _batch_norm),
    ((nn.LayerNorm, nn.RMSNorm), _layer_norm),
    ((nn.GroupNorm,), _group_norm),
    ((nn.Embedding, nn.EmbeddingBag), _embedding),
    ((nn.RNNBase,), _recurrent),
    ((nn.RNNCellBase,), _cell),
    ((nn.MultiheadAttention,), _attention),
    ((nn.PReLU,), _prelu),
)
"""The first row that the module is an instance of holds: the attributes of each class as functions of its tensors' shapes."""
