"""Which products a network multiplies out, and how many positions of each of their axes are left at other widths.

The network runs once more as `regrow.channels.trace` runs it. A convolution or matrix product multiplies as many pairs of numbers as the
lengths of its axes multiply to; every axis carries channel ids, and the ids say which groups its positions belong to. So the count at
any widths follows from one run: of layers with weights, of attention, which multiplies activations with each other, of layers that
read concatenated or flattened channels, and of layers for which channels are positions (the token mixing of an MLP-Mixer).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

# The run is that of `trace`, with an eye on products; its parts stand there.
from regrow.channels.conclusion import Attempt, concluded
from regrow.channels.ids import Ids
from regrow.channels.labels import labels_of
from regrow.channels.onmeta import as_call, meta_copy, moved, sharing_copy
from regrow.channels.pauses import no_collection
from regrow.channels.trace import Recorder, _attempt, _copy, _train_mode
from regrow.channels.watch import Watch, plain_functions
from regrow.errors import PruningError
from regrow.networks.groups import Group, Slice

Axis = Mapping[tuple[int, ...], int]
"""How many positions of an axis belong to which groups, by number: {(): 3, (0,): 64, (1, 2): 768}."""

Product = tuple[Axis, ...]
"""The axes whose lengths multiply to one count."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What one run found."""

    products: tuple[Product, ...]
    """One per convolution or matrix product: its multiply-accumulates."""

    parameters: tuple[Product, ...]
    """One per parameter: its numbers."""


@no_collection()
def counts_of(
    network: nn.Module,
    groups: Sequence[Group],
    example_inputs: Any,
    *,
    outputs: Callable[[Any], Any] | None = None,
    allow_inexact: Sequence[str] = (),
) -> Counts:
    """The axes of all products and parameters, in terms of `groups`. The network is not touched.

    `outputs` and `allow_inexact` are those that the groups were traced with. Raises `PruningError` where the network cannot run, and
    where `groups` are not channels that can go one by one.
    """
    recorder = _run(network, example_inputs, outputs, allow_inexact)
    tracing = concluded(recorder.attempt, "meta" if recorder.on_meta else "values")
    dense = [group.channels for group in tracing.groups]
    sizes = tracing.at(dense).system.families.sizes
    given = _given_by_traced(groups, tracing.groups)

    def axis(ids: Ids, length: int) -> Axis:
        if ids is None:
            return {(): length}
        found: Counter[tuple[int, ...]] = Counter()
        for members, count in sizes(ids).items():
            found[tuple(sorted(given[member] for member in members if member in given))] += count
        return found

    return Counts(
        products=tuple(tuple(axis(ids, n) for ids, n in product) for product in recorder.products),
        parameters=tuple(tuple(axis(ids, n) for ids, n in one) for one in recorder.parameters),
    )


def _given_by_traced(groups: Sequence[Group], traced: Sequence[Group]) -> dict[int, int]:
    """The number in `groups` of every traced group; those that are in none keep their width."""
    place = {_key(part): number for number, group in enumerate(traced) for part in group.slices}
    given: dict[int, int] = {}
    for number, group in enumerate(groups):
        for part in group.slices:
            found = place.get(_key(part))
            if found is None or traced[found].channels != group.channels or given.setdefault(found, number) != number:
                raise PruningError(
                    f"what the network costs at other widths cannot be counted: axis {part.axis} of {part.tensor}, in which group "
                    f"{group.name} says its {group.channels} channels are, holds other channels when the network runs"
                )
    return given


def _key(part: Slice) -> tuple[object, ...]:
    return part.tensor, part.axis, part.start, part.repeat, part.tile, part.order


Sized = tuple[Ids, int]
"""Channel ids of one axis, and its length."""


class _Counting(Recorder):  # type: ignore[no-untyped-call]  # torch's base is not annotated
    """Follows channel ids, and writes down the axes of every product."""

    def __init__(self, attempt: Attempt, on_meta: bool) -> None:
        super().__init__(attempt.demands, on_meta)
        self.attempt = attempt
        self.products: list[tuple[Sized, ...]] = []
        self.parameters = [_axes(one) for one in attempt.tensors.values() if isinstance(one, nn.Parameter)]

    def __torch_dispatch__(self, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Every primitive operation."""
        out = super().__torch_dispatch__(func, kinds, args, kwargs)
        if (look := _PRODUCTS.get(func.overloadpacket)) is not None:
            self.products.append(tuple(look(args, out)))
        return out


def _run(network: nn.Module, inputs: Any, outputs: Any, allow: Sequence[str]) -> _Counting:
    """One forward pass without numbers; on the network's own where its code looks at them."""
    device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
    error: Exception | None = None
    for on_meta, copied in ((True, meta_copy), (False, sharing_copy)):
        attempt = _attempt(*_copy(network, copied), allow)
        recorder = _Counting(attempt, on_meta)
        given = moved(_first(inputs), "meta" if on_meta else device)
        try:
            _forward(recorder, given)
        except Exception as caught:  # whatever a stranger's forward raises
            error = error or caught
            continue
        _train_mode(attempt, given, outputs)
        return recorder
    raise PruningError(f"the network cannot run on the example inputs. {type(error).__name__}: {error}") from error


def _first(inputs: Any) -> Any:
    """One example of a batch; inputs of several parts are taken as they are, since only their owner knows which axis is the batch."""
    return inputs[:1] if isinstance(inputs, Tensor) and inputs.dim() > 0 else inputs


def _forward(recorder: _Counting, inputs: Any) -> None:
    args, kwargs = as_call(inputs)
    copy = recorder.attempt.copy.eval()
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        written_out = torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)
        untouched = torch.random.fork_rng(devices=[])
        with torch.no_grad(), untouched, written_out, plain_functions(), Watch(recorder.demands), recorder:
            copy(*args, **kwargs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)


def _axes(tensor: Tensor, first: int = 0) -> list[Sized]:
    return list(zip(labels_of(tensor).axes, map(int, tensor.shape), strict=True))[first:]


def _convolution(args: Sequence[Any], out: Tensor) -> list[Sized]:
    """Every number of the result reads the inputs of its group within the kernel; transposed, every input writes as many."""
    images, weight, transposed = args[0], args[1], args[6]
    if transposed:
        return [*_axes(images), *_axes(weight, 1)]
    return [_axes(out)[0], _axes(weight)[0], *_axes(out, 2), *_axes(weight, 1)]


def _matrix(args: Sequence[Any], out: Tensor) -> list[Sized]:
    """[.., N, M] @ [.., M, P]: every number of the result is a sum of M terms."""
    del out
    left, right = _axes(args[-2]), _axes(args[-1])
    batch = [mine if mine[0] is not None else yours for mine, yours in zip(left[:-2], right[:-2], strict=True)]
    summed = left[-1] if left[-1][0] is not None else right[-2]
    return [*batch, left[-2], summed, right[-1]]


_aten: Final = torch.ops.aten
_PRODUCTS: Final[dict[Any, Callable[[Sequence[Any], Tensor], list[Sized]]]] = {
    _aten.convolution: _convolution,
    **dict.fromkeys((_aten.mm, _aten.bmm, _aten.addmm, _aten.baddbmm), _matrix),
}
"""The operations that `regrow.networks.cost` counts."""
