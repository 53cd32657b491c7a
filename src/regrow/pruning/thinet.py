"""ThiNet: channels that the next layer misses least go, greedily; what is left is rescaled by least squares.

Source: Luo, Wu and Lin, "ThiNet: A Filter Level Pruning Method for Deep Neural Network Compression", ICCV 2017, arXiv:1707.06342,
sections 3.2.1 to 3.2.3.

An output value of the layer that reads the channels, without its bias, is a sum of one contribution for each input channel,

    y = sum over channels j of x_j,      x_j = sum over taps k of  weight[o, k, j] * patch[k, j]

Such values are sampled: per example a few places of the output, and at each place one random output channel. The source takes 10
places from each of 10 images per ImageNet class, 100,000 values in all; the default here is 10 places from at most 2,000 examples.
Layers with fewer than 10 places (a classifier behind a pool has one) give several output channels per place instead. All values come
from the network as it was pruned so far.

    1. Greedily, until exactly `width` channels stay, the removed set T grows by the channel that leaves
       sum over values of (sum over j in T of x_j)^2 smallest. Ties go by position.
    2. Each kept channel j gets the scale s_j that minimises sum over values of (y - sum over kept j of s_j x_j)^2; it is multiplied
       into column j of the layer's weights, so the network needs no other layer.

Both need only the products A = sum over values of x x^T, so memory does not grow with the examples. Where several layers read the
channels, there is one choice: their sums are added, each divided by the variance of the layer's outputs; scales are each layer's own.
The source fine-tunes between layers; here nothing is trained, whatever follows the pruning does it.

Shape suffixes: N = sampled values, K = taps, I = input columns, O = outputs, C = channels of the group, R = removed, S = those that stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn

from regrow.networks.groups import Group
from regrow.pruning.reconstruction import IMAGES, POSITIONS, LayerError, Reconstruction, reconstruct
from regrow.pruning.reconstruction_fit import Spread, damped_solve
from regrow.pruning.reconstruction_layers import weight_matrix, write_columns
from regrow.pruning.reconstruction_work import Batches, Reader, Sample, Work, tensor_of

_TINY: Final = 1e-30


def thinet(
    network: nn.Module,
    groups: Sequence[Group],
    widths: Sequence[int],
    batches: Batches | None,
    generator: torch.Generator,
    example_inputs: Any = None,
    *,
    images: int = IMAGES,
    positions: int = POSITIONS,
) -> Reconstruction:
    """Choose exactly `widths` channels of every group, and rescale the layers that read them; see the top of this module.

    Args:
        network: trained; it runs in eval mode and is left as it is.
        groups: `channel_groups(network)` of a network of the zoo, `Tracing.groups` of any other.
        widths: channels that stay, one number per group.
        batches: training examples, (images, labels); read anew for every group.
        generator: draws places and output channels.
        example_inputs: not looked at; all reconstructions are called alike.
        images: most examples to look at.
        positions: sampled places per example.

    Raises `PruningError` without examples, and for widths that do not fit.
    """
    del example_inputs
    return reconstruct(
        "thinet", rebuild_group, network, groups, widths, batches, generator, images=images, positions=positions
    )


@dataclass
class Contributions:
    """What is known about the contributions of a group's channels to one layer."""

    columns: Tensor
    """Input columns of the layer's weight that belong to the group and are not removed."""

    channels: Tensor
    """The channel in each of them."""

    weight: Tensor
    """The weight there, as it was before anything was removed."""

    products: Tensor
    """A: sums of products of two channels' contributions over all sampled values, float64 on the CPU."""

    spread: Spread = field(default_factory=Spread)
    """Of the layer's outputs."""

    values: int = 0
    """Sampled values."""

    @property
    def scale(self) -> float:
        """The variance of an output times the number of sampled values: what squared errors are measured in."""
        deviations_O = self.spread.deviations()
        return max(self.values * float(deviations_O.mean()) / max(self.spread.values, 1), _TINY)

    def add(self, sample: Sample, outputs: Tensor, positions: int, generator: torch.Generator) -> None:
        """Some more values, each of one row and of one random output channel among `outputs`."""
        self.spread.add(sample.outputs[:, outputs])
        times = -(-positions * sample.images // len(sample.outputs))
        for _ in range(times):
            drawn_N = outputs[torch.randint(len(outputs), (len(sample.outputs),), generator=generator)]
            parts_NI = (sample.patches * self.weight[drawn_N]).sum(dim=1).double().cpu()
            parts_NC = torch.zeros(len(parts_NI), len(self.products), dtype=torch.float64)
            parts_NC.index_add_(1, self.channels, parts_NI)
            self.products += parts_NC.T @ parts_NC
            self.values += len(parts_NC)


def rebuild_group(work: Work, group: Group, width: int, readers: Sequence[Reader]) -> Iterator[LayerError]:
    """Choose the group's channels, remove the others, rescale the readers."""
    found = _contributions(work, group, readers)
    shared_CC = torch.stack([one.products / one.scale for one in found.values()]).sum(dim=0)
    kept = greedy(shared_CC, width)
    work.silence(group, kept)
    for layer, one in found.items():
        scales_C = channel_scales(one.products, kept)
        new_OKI = one.weight * scales_C[one.channels].to(one.weight)
        write_columns(work.modules[layer], one.columns, new_OKI)
        work.changed.add(tensor_of(layer))
        removed_C = torch.full_like(scales_C, -1).index_fill_(0, torch.tensor(kept), 0)
        errors = [float(change_C @ one.products @ change_C) / one.scale for change_C in (removed_C, scales_C - 1)]
        yield LayerError(group=group.name, reader=layer, before=errors[0], after=errors[1])


def _contributions(work: Work, group: Group, readers: Sequence[Reader]) -> dict[str, Contributions]:
    found = {}
    for reader in readers:
        columns = work.columns(reader.layer)
        columns = columns[reader.channels[columns] >= 0]
        found[reader.layer] = Contributions(
            columns=columns,
            channels=reader.channels[columns],
            weight=weight_matrix(work.modules[reader.layer])[:, :, columns].clone(),
            products=torch.zeros(group.channels, group.channels, dtype=torch.float64),
        )
    outputs = {layer: work.outputs(layer) for layer in found}
    for layer, sample in work.samples({layer: one.columns for layer, one in found.items()}, compare=False):
        found[layer].add(sample, outputs[layer], work.positions, work.generator)
    return found


def greedy(products_CC: Tensor, width: int) -> tuple[int, ...]:
    """The `width` channels that stay when the others went one by one, each time the one that raises 1_T^T A 1_T least.

    >>> greedy(torch.tensor([[4.0, -3.9, 0.0], [-3.9, 4.0, 0.0], [0.0, 0.0, 3.0]]), 2)
    (0, 1)
    >>> greedy(torch.tensor([[4.0, -3.9, 0.0], [-3.9, 4.0, 0.0], [0.0, 0.0, 5.0]]), 1)
    (2,)
    """
    own_C = products_CC.diagonal()
    with_removed_C = torch.zeros_like(own_C)
    stays_C = torch.ones(len(own_C), dtype=torch.bool)
    for _ in range(len(own_C) - width):
        price_C = (own_C + 2 * with_removed_C).masked_fill(~stays_C, float("inf"))
        gone = int(price_C.argmin())
        stays_C[gone] = False
        with_removed_C = with_removed_C + products_CC[:, gone]
    return tuple(stays_C.nonzero().flatten().tolist())


def channel_scales(products_CC: Tensor, kept: Sequence[int]) -> Tensor:
    """scales_C: for each kept channel the factor that serves best, by least squares; 0 for removed channels.

    With s = 1 + d the equations of step 2 are A_SS d = A_SR 1: the kept channels take over the sum of the removed ones.
    """
    stays_C = torch.zeros(len(products_CC), dtype=torch.bool)
    stays_C[list(kept)] = True
    right_S = products_CC[stays_C][:, ~stays_C].sum(dim=1, keepdim=True)
    scales_C = torch.zeros(len(products_CC), dtype=products_CC.dtype)
    scales_C[stays_C] = 1 + damped_solve(products_CC[stays_C][:, stays_C], right_S).flatten()
    return scales_C
