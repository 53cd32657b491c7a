"""The working copy of a network that is rebuilt layer by layer, and what its layers read and compute on examples.

Two networks run side by side: the original one, which is never changed, and a copy of full size in which what was removed so far is
zero and layers may have new weights. A pass over the examples gives, for the layers that are asked for, sampled patches of what they
read in the copy, what they compute there, and what they should compute. Batches are streamed, and a pass ends at the last layer that
was asked for.

What a layer should compute is what it computes in the original network. Where its output goes, through at most a batch norm, to a
residual addition, the shortcut's error is made up for as well (He et al. 2017, section 3.3.2, arXiv:1707.06168):

    wanted = y2 + (y1 - y1') / (gamma / sqrt(variance + epsilon))

with y2 the layer's original output, y1 and y1' the shortcut's values in the original network and in the copy, and the norm's eval-mode
scale. Channels whose scale is below a hundredth of the layer's largest keep y2: no weight of the layer could move them.

Shape suffixes as in `regrow.pruning.reconstruction_layers`: N = sampled rows, K = taps, I = input columns, O = outputs.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import torch
from torch import Tensor, nn

from regrow.channels.groups import keep_masks
from regrow.channels.masks import named_tensors
from regrow.errors import PruningError
from regrow.networks.groups import Group
from regrow.networks.modes import evaluating
from regrow.pruning.reconstruction_layers import input_axis, is_layer, patches, places, rows_of
from regrow.pruning.reconstruction_paths import EnoughError, Mark, Paths, find_paths, follow

Batches: TypeAlias = Callable[[], Iterable[tuple[Tensor, Tensor]]]
"""Gives (images, labels), the same ones every time, from the start."""

_SILENT: Final = 0.01
"""Of the largest scale of a norm: channels below it cannot be moved through the norm."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A layer that reads the channels of a group."""

    layer: str
    """Dotted path of the module."""

    channels: Tensor
    """For each input column of its weight, the group's channel that stands there; -1 for those of other groups."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One batch's rows of one layer."""

    images: int
    """Examples in the batch."""

    patches: Tensor
    """What the layer reads in the working copy, of the columns that were asked for."""

    outputs: Tensor
    """What it computes there."""

    wanted: Tensor
    """What it should compute; the same as `outputs` where the original network was not asked."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """The rows of one run of a layer in one of the two networks."""

    rows: Tensor
    patches: Tensor | None
    outputs: Tensor
    shortcut: Tensor | None = None


class Work:
    """The original network, its working copy, and the examples."""

    def __init__(
        self,
        network: nn.Module,
        groups: Sequence[Group],
        batches: Batches,
        generator: torch.Generator,
        *,
        images: int,
        positions: int,
    ) -> None:
        self.original, self.working = network, _copy(network)
        self.batches, self.generator, self.images, self.positions = batches, generator, images, positions
        self.device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
        self.modules: Final = dict(self.working.named_modules())
        self.tensors: Final = named_tensors(self.working)
        self.live: dict[str, dict[int, Tensor]] = {}
        self.kept: dict[str, tuple[int, ...]] = {}
        self.changed: set[str] = set()
        self.notes: list[str] = []
        layers = _own_layers(self.modules)
        self.paths: Final = find_paths(self.working, layers, lambda: self.working(next(self._streamed())))
        self.order: Final = _in_forward_order(groups, self.paths)
        self.readers: Final = {group.name: self._readers_of(group, layers) for group in groups}
        self.compensated: Final = _compensated(self.paths, [self.readers[group.name] for group in self.order])

    def _readers_of(self, group: Group, layers: Iterable[str]) -> tuple[Reader, ...]:
        """The layers that read the group and ran, in the order in which they ran."""
        weights = {tensor_of(layer): layer for layer in layers}
        found: dict[str, Tensor] = {}
        for part in group.slices[group.producers :]:
            layer = weights.get(part.tensor)
            if layer is None or part.axis != input_axis(self.modules[layer]):
                continue
            length = self.tensors[part.tensor].shape[part.axis]
            channel_I = found.setdefault(layer, torch.full((length,), -1))
            channels = torch.tensor(list(part.channels_at(group.channels)))
            channel_I[part.start : part.start + len(channels)] = channels
        return tuple(Reader(layer, found[layer]) for layer in self.paths.calls if layer in found)

    def groups_of(self, layer: str) -> list[str]:
        """The groups that the layer reads, in the order in which they are rebuilt."""
        return [group.name for group in self.order if any(one.layer == layer for one in self.readers[group.name])]

    def unread(self, group: Group) -> list[str]:
        """Weights that read the group along an inner axis and are not among its readers."""
        known = {tensor_of(reader.layer) for reader in self.readers[group.name]}
        parts = group.slices[group.producers :]
        return sorted({part.tensor for part in parts if part.axis > 0} - known)

    def silence(self, group: Group, kept: Sequence[int]) -> None:
        """Remove the other channels of the group: in the working copy, everything that computes or reads them is zero from now on."""
        self.kept[group.name] = tuple(kept)
        for name, axes in keep_masks([group], {group.name: kept}, self.tensors).items():
            tensor = self.tensors[name]
            for axis, keep in axes.items():
                live = self.live.setdefault(name, {})
                live[axis] = live.get(axis, torch.ones_like(keep)) & keep
                if isinstance(tensor, nn.Parameter):
                    tensor.detach().index_fill_(axis, (~keep).nonzero().flatten().to(tensor.device), 0)

    def columns(self, layer: str) -> Tensor:
        """The input columns of the layer that are not removed."""
        return self._alive(layer, input_axis(self.modules[layer]))

    def outputs(self, layer: str) -> Tensor:
        """The outputs of the layer that are not removed."""
        return self._alive(layer, 1 - input_axis(self.modules[layer]))

    def _alive(self, layer: str, axis: int) -> Tensor:
        weight = self.modules[layer].get_parameter("weight")
        keep = self.live.get(tensor_of(layer), {}).get(axis)
        return torch.arange(weight.shape[axis]) if keep is None else keep.nonzero().flatten()

    def gain(self, layer: str) -> Tensor:
        """What one unit of the layer's output becomes behind the batch norm that reads it; ones where none does.

        The scale gamma / sqrt(variance + epsilon) of the original network, held away from zero at a hundredth of its largest value.
        """
        weight = self.modules[layer].get_parameter("weight")
        ones_O = torch.ones(weight.shape[1 - input_axis(self.modules[layer])], device=weight.device)
        name = self.paths.norms.get(layer)
        norm = self.original.get_submodule(name) if name else None
        variance = getattr(norm, "running_var", None)
        if norm is None or variance is None:
            return ones_O
        gamma = norm.weight.detach() if isinstance(norm.weight, Tensor) else ones_O
        scale_O = gamma / torch.sqrt(variance + norm.eps)
        least = _SILENT * scale_O.abs().max()
        return torch.where(scale_O.abs() >= least, scale_O, least) if least > 0 else ones_O

    def samples(self, asked: Mapping[str, Tensor], *, compare: bool) -> Iterator[tuple[str, Sample]]:
        """One pass over the examples: (layer, rows of one batch) for the layers asked for, each with the columns that count.

        With `compare`, the original network says what is wanted.
        """
        with evaluating(self.original):
            for images in self._streamed():
                yield from self._of_one_batch(images, asked, compare)

    def _of_one_batch(self, images: Tensor, asked: Mapping[str, Tensor], compare: bool) -> Iterator[tuple[str, Sample]]:
        seen = self._see(self.working, images, asked, None)
        rows = {layer: [one.rows for one in runs] for layer, runs in seen.items()}
        twin = self._see(self.original, images, asked, rows) if compare else seen
        runs = [(layer, here, there) for layer in seen for here, there in zip(seen[layer], twin[layer], strict=True)]
        for layer, here, there in runs:
            assert here.patches is not None
            yield layer, Sample(len(images), here.patches, here.outputs, self._wanted(layer, here, there))

    def _wanted(self, layer: str, here: _Seen, there: _Seen) -> Tensor:
        if here.shortcut is None or there.shortcut is None:
            return there.outputs
        gain_O = self.gain(layer)
        movable_O = gain_O.abs() > _SILENT * gain_O.abs().max()
        return there.outputs + (there.shortcut - here.shortcut) / gain_O * movable_O

    def _streamed(self) -> Iterator[Tensor]:
        """Images, batch by batch, as many as were asked for."""
        left = self.images
        for images, _ in self.batches():
            if left <= 0:
                return
            yield images[:left].to(self.device)
            left -= len(images)
        if left == self.images:
            raise PruningError("a reconstruction needs examples to look at; got no batch")

    def _see(
        self,
        network: nn.Module,
        images: Tensor,
        asked: Mapping[str, Tensor],
        rows: Mapping[str, Sequence[Tensor]] | None,
    ) -> dict[str, list[_Seen]]:
        """Run one batch; rows are drawn where none are given, and patches are taken only then."""
        seen: dict[str, list[_Seen]] = {layer: [] for layer in asked}
        joins = self.compensated & asked.keys()
        left = [sum(self.paths.calls[layer] for layer in asked) + len(joins)]

        def counted() -> None:
            left[0] -= 1
            if left[0] == 0:
                raise EnoughError

        def ran(layer: str, module: nn.Module, given: Tensor, output: Tensor) -> None:
            drawn = self._draw(module, output, len(images)) if rows is None else rows[layer][len(seen[layer])]
            columns = asked[layer].to(self.device)
            read = _wide(patches(module, given, output, drawn, columns)) if rows is None else None
            seen[layer].append(_Seen(drawn, read, _wide(rows_of(module, output, drawn))))
            counted()

        def added(mark: Mark, other: Tensor) -> None:
            if mark.layer in joins and seen[mark.layer][0].shortcut is None:
                run = seen[mark.layer][0]
                shortcut_NO = _wide(rows_of(self.modules[mark.layer], other, run.rows))
                seen[mark.layer][0] = replace(run, shortcut=shortcut_NO)
                counted()

        norms = [self.paths.norms[layer] for layer in joins if layer in self.paths.norms]
        follow(network, asked, norms, lambda: network(images), on_output=ran, on_addition=added)
        return seen

    def _draw(self, module: nn.Module, output: Tensor, images: int) -> Tensor:
        """Rows of the output, drawn anew: as many per image as asked for, none twice; all of them where there are fewer."""
        examples, count = places(module, output)
        if examples == images:
            order = torch.rand(examples, count, generator=self.generator)
            place = order.topk(min(self.positions, count), dim=1).indices
            rows_N = (torch.arange(examples).unsqueeze(1) * count + place).flatten()
        else:  # windows or other parts of images: no part has a claim of its own
            rows_N = torch.randperm(examples * count, generator=self.generator)[: self.positions * images]
        return rows_N.to(self.device)


def _wide(values: Tensor) -> Tensor:
    """In float32 at least: sums of products of half-precision numbers would say little."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def tensor_of(layer: str, tensor: str = "weight") -> str:
    """The name of a layer's weight or bias; the network itself may be the layer."""
    return f"{layer}.{tensor}" if layer else tensor


def _copy(network: nn.Module) -> nn.Module:
    try:
        working = copy.deepcopy(network)
    except Exception as error:
        raise PruningError(
            f"{type(network).__name__} cannot be copied ({type(error).__name__}: {error}), and a reconstruction works on a copy. "
            "Give the class a __deepcopy__ method, or remove what cannot be copied before pruning."
        ) from error
    return working.eval()


def _own_layers(modules: Mapping[str, nn.Module]) -> list[str]:
    """The layers whose weights may be changed: those that no other module holds as well."""
    held = Counter(id(tensor) for module in modules.values() for tensor in module._parameters.values())
    return [
        name for name, module in modules.items() if is_layer(module) and held[id(module._parameters["weight"])] == 1
    ]


def _in_forward_order(groups: Sequence[Group], paths: Paths) -> tuple[Group, ...]:
    """By the first run of the layer that computes the channels; a group whose layer is unknown follows the one before it."""
    moment = {tensor_of(layer): index for index, layer in enumerate(paths.calls)}
    keys, last = [], -1
    for group in groups:
        last = moment.get(group.leader.tensor, last)
        keys.append(last)
    return tuple(groups[index] for index in sorted(range(len(groups)), key=keys.__getitem__))


def _compensated(paths: Paths, readers: Sequence[Sequence[Reader]]) -> frozenset[str]:
    """The layers that make up for their shortcut's error.

    Where both sides of an addition come from such layers, it is the one that is rebuilt later; where that is the same step, none. A
    layer that runs several times, or takes part in several additions, has no shortcut of its own.
    """
    step = {reader.layer: index for index, group in enumerate(readers) for reader in group}
    found = set()
    times = Counter(mark.layer for mark, _ in paths.additions)
    for mark, other in paths.additions:
        rival = step.get(other.layer, -1) if other is not None else -1
        if paths.calls[mark.layer] == times[mark.layer] == 1 and step.get(mark.layer, -1) > rival:
            found.add(mark.layer)
    return frozenset(found)
