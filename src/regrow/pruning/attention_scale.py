"""The attention scale: keep that of the dense network, by folding its change into the weights.

`scaled_dot_product_attention` divides by sqrt(head size) unless it is told otherwise. A small network whose heads are smaller therefore
divides by less. Multiplying what computes the queries, or just as well the keys, by

    sqrt(head size left / head size of the dense network)

gives back the scale that the weights were trained with. Which tensors do that depends on the network (a norm of the queries undoes any
factor that comes before it), so every way is tried, and only one after which every attention gives what the old scale gives is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from regrow.channels.architecture import Architecture
from regrow.channels.masks import axis_masks, named_tensors
from regrow.channels.onmeta import as_call
from regrow.channels.tracing import Tracing
from regrow.channels.watch import plain_functions
from regrow.errors import PruningError
from regrow.networks.groups import Group, Slice
from regrow.networks.modes import evaluating

TOLERANCE: Final = 1e-4
"""Largest difference that counts as none, relative to the largest number of an output; the change sought is of the order of 1."""

_QUERIES: Final = [Fraction(part) for part in ("1", "1/2", "1/3", "2/3", "3/4", "4/5", "3/5", "7/8", "7/9", "8/9")]
"""Share of a weight's heads that are queries: all of them; half of queries and keys; a third of queries, keys and values; and where
several queries share a key."""


def fold_scale(
    network: nn.Module, small: nn.Module, architecture: Architecture, tracing: Tracing, example_inputs: Any
) -> tuple[str, ...]:
    """Change weights of `small` so that its default attention scales come out as the dense network's; says what was changed.

    Nothing is changed, and nothing said, where head sizes stayed and where there are no numbers (meta device). Raises `PruningError`
    where no change of weights does it, as in a network that computes its scale from the head size in its own code.
    """
    if not tracing.scales(architecture.widths) or any(tensor.is_meta for tensor in small.parameters()):
        return ()
    dense, plain = _Attentions(), _Attentions()
    _run(network, example_inputs, dense)
    _run(small, example_inputs, plain)
    scaled = _Attentions([size**-0.5 for size in dense.sizes])
    _run(small, example_inputs, scaled)
    if plain.sizes == dense.sizes:
        raise _impossible()
    for way in _ways(network, architecture, tracing):
        before = _multiplied(small, way)
        folded = _Attentions()
        _run(small, example_inputs, folded)
        if before and _equal(folded.results, scaled.results):
            more = f" and {len(before) - 4} more tensors" if len(before) > 4 else ""
            return (f"the attention scale of the dense network was folded into {', '.join([*before][:4])}{more}",)
        _restore(small, before)
    raise _impossible()


def _impossible() -> PruningError:
    return PruningError(
        "keep_attention_scale: no change of weights gives back the attention scale of the dense network, because the network's own code "
        "computes it from the head size. Leave keep_attention_scale out, or ignore the layers that compute the queries."
    )


class _Attentions(TorchFunctionMode):
    """Writes down the head size and the result of every attention with a default scale; `scales` are used in its place, in turn."""

    def __init__(self, scales: Sequence[float] = ()) -> None:
        super().__init__()
        self.scales = iter(scales)
        self.sizes: list[int] = []
        self.results: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Every call of PyTorch's interface."""
        named = kwargs or {}
        if not _is_default(func, args, named):
            return func(*args, **named)
        result = func(*args[:6], **{**named, "scale": next(self.scales, None)})
        self.sizes.append(int((args[0] if args else named["query"]).shape[-1]))
        self.results.append(result)
        return result


def _is_default(func: Any, args: Sequence[Any], kwargs: Any) -> bool:
    attention = getattr(func, "__name__", "") == "scaled_dot_product_attention"
    return attention and (args[6] if len(args) > 6 else kwargs.get("scale")) is None


def _run(network: nn.Module, example_inputs: Any, mode: _Attentions) -> None:
    """Run the network in eval mode under `mode`; its own modes are left as they were."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its attention is out of a mode's sight
    args, kwargs = as_call(example_inputs)
    try:
        with evaluating(network), torch.no_grad(), plain_functions(), mode:
            network(*args, **kwargs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@dataclass(frozen=True, slots=True)
class _Part:
    """Positions along an axis of one tensor of the small network, and what to multiply them by."""

    tensor: str
    axis: int
    positions: Tensor
    factor: float


def _ways(network: nn.Module, architecture: Architecture, tracing: Tracing) -> Iterator[list[_Part]]:
    """What might multiply all queries, or all keys, the likeliest first.

    The first producer of every group along a head size, the second, ..., all; then the leading part of each, where queries and keys are
    rows of one weight; then, where norms follow, the norms of one name.
    """
    masks = axis_masks(network, architecture)
    heads = _along_head_sizes(tracing, architecture)
    places = max((group.producers for group, _ in heads), default=0)
    for share in _QUERIES:
        for chosen in (*((place,) for place in range(places)), range(places)):
            slices = [(group, part, factor) for group, factor in heads for part in _producers(group, chosen)]
            if all((part.tile * share).denominator == 1 for _, part, _ in slices):
                yield [
                    _part(group, replace(part, tile=int(part.tile * share)), factor, masks)
                    for group, part, factor in slices
                ]
    others = [
        (group, part, factor) for group, factor in heads for part in group.slices[group.producers :] if part.axis == 0
    ]
    for layer in dict.fromkeys(_layer(part) for _, part, _ in others):
        yield [_part(group, part, factor, masks) for group, part, factor in others if _layer(part) == layer]


def _along_head_sizes(tracing: Tracing, architecture: Architecture) -> list[tuple[Group, float]]:
    """Groups along the head size of some attention that lost channels, and what makes up for the loss."""
    axes = [entry.axes[-1] for entry in tracing.journal.values() if entry.name == "scaled_dot_product_attention"]
    whole = [tuple(range(group.channels)) for group in tracing.groups]
    found = []
    for number, (group, entry) in enumerate(zip(tracing.groups, architecture.kept, strict=True)):
        alone = [*whole[:number], entry.indices, *whole[number + 1 :]]
        if any(ids is not None and not tracing.kept(alone)(ids).all() for ids in axes):
            found.append((group, math.sqrt(len(entry.indices) / group.channels)))
    return found


def _producers(group: Group, places: Iterable[int]) -> Iterator[Slice]:
    """Producers of a group, each with the bias that is added to what it gives."""
    for producer in (group.slices[place] for place in places if place < group.producers):
        layer, _, name = producer.tensor.rpartition(".")
        bias = f"{layer}.{name.replace('weight', 'bias')}"
        yield producer
        yield from (
            part for part in group.slices[group.producers :] if (part.tensor, part.start) == (bias, producer.start)
        )


def _layer(part: Slice) -> str:
    """`q_norm` of `blocks.3.attn.q_norm.weight`."""
    return part.tensor.rpartition(".")[0].rpartition(".")[2]


def _part(group: Group, part: Slice, factor: float, masks: Mapping[str, Mapping[int, Tensor]]) -> _Part:
    keep = masks[part.tensor][part.axis]
    held = torch.zeros(len(keep), dtype=torch.bool)
    held[part.start : part.start + part.length(group.channels)] = True
    return _Part(part.tensor, part.axis, held[keep].nonzero().flatten(), factor)


def _multiplied(small: nn.Module, way: Sequence[_Part]) -> dict[str, Tensor]:
    """Multiply, and give the tensors back as they were before."""
    tensors = named_tensors(small)
    before = {part.tensor: tensors[part.tensor].detach().clone() for part in way}
    with torch.no_grad():
        for part in way:
            tensor = tensors[part.tensor]
            positions = part.positions.to(tensor.device)
            tensor.index_copy_(part.axis, positions, tensor.index_select(part.axis, positions) * part.factor)
    return before


def _restore(small: nn.Module, before: Mapping[str, Tensor]) -> None:
    tensors = named_tensors(small)
    with torch.no_grad():
        for name, tensor in before.items():
            tensors[name].copy_(tensor)


def _equal(found: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
    return len(found) == len(expected) and all(
        float((one.double() - other.double()).abs().max()) <= TOLERANCE * float(other.double().abs().max())
        for one, other in zip(found, expected, strict=True)
    )
