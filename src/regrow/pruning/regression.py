"""Regression-based channel pruning: LASSO chooses channels, then the layer that reads them is fitted anew by least squares.

Source: He, Zhang and Sun, "Channel Pruning for Accelerating Very Deep Neural Networks", ICCV 2017, arXiv:1707.06168.

For the layer that reads a group, X_j is what it reads of channel j, W_j its weights there, and Y what it should compute:

    1. minimise over beta   1/(2N) |Y - sum over j of beta_j X_j W_j^T|^2 + lambda |beta|_1      with every |W_j| = 1

       with lambda growing until at most `width` coefficients are not zero. The channels with the largest |beta_j| stay; where fewer are
       left than `width`, those that went last come back, so exactly `width` stay.
    2. minimise over W      |Y - sum over kept j of X_j W_j^T|^2,    all weights of the layer on what is left, its bias too if it has one.

Y is the ORIGINAL network's output and X what the network as pruned so far computes, so later layers make up for the errors of earlier
ones. Residual branches (section 3.3.2 there): the last layer of a branch is fitted to Y2 + Y1 - Y1', so it makes up for its
shortcut's error as well. The first layer of a branch reads the whole stream where the stream's channels are not a group of their
own: the source puts a layer that samples channels before it, and a layer that indexes at run time has no place in an ordinary small
network. A batch norm behind the layer belongs to it, as the source merges the two: step 1 measures errors behind the norm.

Rows are sampled as in `regrow.pruning.reconstruction_work`: 10 places per example, all output channels of each. The source takes
5,000 examples of ImageNet; the default here is at most 2,000. Both steps need sums of products only:

    A[j, l] = sum over the features f of j, g of l of  (X^T X)[f, g] (W W^T)[f, g],      b[j] = sum over f of j, o of  W[f, o] (X^T Y)[f, o]

so memory grows with the square of the layer's features (input channels x kernel), never with the examples: 170 MB for 512 channels of
3 x 3. A layer with more than 6,144 features of the group is treated as by `regrow.pruning.thinet`, and a note says so.

Several layers that read a group: their A and b are added, each divided by the variance of its outputs; each is then fitted by itself.
A layer that reads several groups (concatenation) is fitted on each group's columns in turn, and on all of them after the last.

Shape suffixes: N = sampled rows, F = features, O = outputs, C = channels of the group, I = input columns, K = taps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn

from regrow.networks.groups import Group
from regrow.pruning.reconstruction import IMAGES, POSITIONS, LayerError, Reconstruction, reconstruct
from regrow.pruning.reconstruction_fit import Spread, damped_solve
from regrow.pruning.reconstruction_lasso import strongest
from regrow.pruning.reconstruction_layers import weight_matrix, write_columns
from regrow.pruning.reconstruction_work import Batches, Reader, Sample, Work, tensor_of
from regrow.pruning.thinet import rebuild_group as rescale_group

MOST_FEATURES: Final = 6144
"""Of one layer and group: 300 MB of sums of products."""

_ROWS_AT_ONCE: Final = 512
_TINY: Final = 1e-30


def regression(
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
    """Choose exactly `widths` channels of every group, and fit the layers that read them; see the top of this module.

    Args:
        network: trained; it runs in eval mode and is left as it is.
        groups: `channel_groups(network)` of a network of the zoo, `Tracing.groups` of any other.
        widths: channels that stay, one number per group.
        batches: training examples, (images, labels); read anew for every group.
        generator: draws places.
        example_inputs: not looked at; all reconstructions are called alike.
        images: most examples to look at.
        positions: sampled places per example.

    Raises `PruningError` without examples, and for widths that do not fit.
    """
    del example_inputs
    return reconstruct(
        "regression", rebuild_group, network, groups, widths, batches, generator, images=images, positions=positions
    )


@dataclass
class Moments:
    """Sums of products of one layer's features X, of what its outputs lack (wanted - computed), and of both."""

    columns: Tensor
    """Input columns that the features come from."""

    outputs: Tensor
    """Outputs that are fitted: those that are not removed themselves."""

    weight: Tensor
    """The weights on the features before anything was removed, float64; a last row of zeros where the layer has a bias."""

    taps: int
    bias: bool
    products: Tensor
    """X^T X, float64."""

    lacks: Tensor
    """X^T (wanted - computed), float64."""

    lacking: Tensor
    """Sums of (wanted - computed)^2."""

    spread: Spread = field(default_factory=Spread)
    """Of what is wanted."""

    def add(self, sample: Sample) -> None:
        """Some more rows."""
        features_NF = sample.patches.flatten(1)
        if self.bias:
            features_NF = torch.cat([features_NF, torch.ones_like(features_NF[:, :1])], dim=1)
        wanted_NO = sample.wanted[:, self.outputs]
        lacks_NO = wanted_NO - sample.outputs[:, self.outputs]
        self.products += features_NF.T @ features_NF
        self.lacks += features_NF.T @ lacks_NO
        self.lacking += lacks_NO.double().square().sum(dim=0)
        self.spread.add(wanted_NO)

    def channel_of_each(self, channel_I: Tensor) -> Tensor:
        """The channel that each feature belongs to; -1 for the bias."""
        channels = channel_I[self.columns].repeat(self.taps)
        return torch.cat([channels, torch.tensor([-1])]) if self.bias else channels

    def scale(self, gain_O: Tensor) -> float:
        """What squared errors are measured in: the deviations of what is wanted, behind the norm."""
        return max(float(self.spread.deviations() @ gain_O.square()), _TINY)

    def error(self, change_FO: Tensor, gain_O: Tensor) -> float:
        """The squared error that is left when the weights change so, over the variance of what is wanted.

        |E - X D|^2 = |E|^2 - 2 D . X^T E + D . X^T X D, with E what was lacking, for each output.
        """
        left_O = self.lacking + (change_FO * (self.products @ change_FO - 2 * self.lacks)).sum(dim=0)
        return max(float(left_O @ gain_O.square()), 0.0) / self.scale(gain_O)

    def fitted(self, removed_F: Tensor) -> Tensor:
        """change_FO: removed features lose their weights, the others take over what is lacking then, by least squares."""
        change_FO = -self.weight * removed_F.unsqueeze(1)
        stays_F = ~removed_F
        right_FO = (self.lacks - self.products @ change_FO)[stays_F]
        change_FO[stays_F] = damped_solve(self.products[stays_F][:, stays_F], right_FO)
        return change_FO


def rebuild_group(work: Work, group: Group, width: int, readers: Sequence[Reader]) -> Iterator[LayerError]:
    """Choose the group's channels, remove the others, fit the readers."""
    large = [one.layer for one in readers if len(_own_columns(work, one)) * _taps(work, one.layer) > MOST_FEATURES]
    if large:
        work.notes.append(
            f"{group.name}: {', '.join(large)} reads more than {MOST_FEATURES} features of it, so its channels were chosen and its "
            "readers rescaled as by thinet, not by regression"
        )
        yield from rescale_group(work, group, width, readers)
        return
    found = group_moments(work, readers)
    kept = _choice(work, group, width, readers, found)
    yield from fit_group(work, group, kept, readers, found)


def group_moments(work: Work, readers: Sequence[Reader]) -> dict[str, Moments]:
    """One pass over the examples: what the readers of a group read of it, and what their outputs lack."""
    return _moments(work, {reader.layer: _own_columns(work, reader) for reader in readers})


def fit_group(
    work: Work, group: Group, kept: Sequence[int], readers: Sequence[Reader], found: Mapping[str, Moments]
) -> Iterator[LayerError]:
    """Step 2, for channels that anybody may have chosen: remove the others, and fit the readers one after the other."""
    work.silence(group, kept)
    stays_C = torch.zeros(group.channels, dtype=torch.bool)
    stays_C[list(kept)] = True
    for index, reader in enumerate(readers):
        yield _fit(work, group, reader, found[reader.layer], stays_C, alone=index == 0)


def _fit(work: Work, group: Group, reader: Reader, one: Moments, stays_C: Tensor, *, alone: bool) -> LayerError:
    """Fit one reader; `alone` where none of this group's readers has changed before it."""
    layer, gain_O = reader.layer, work.gain(reader.layer)[one.outputs].double()
    channel_F = one.channel_of_each(reader.channels)
    removed_F = ((channel_F >= 0) & ~stays_C[channel_F.clamp_min(0)]).to(one.weight.device)
    before = one.error(-one.weight * removed_F.unsqueeze(1), gain_O)
    change_FO = one.fitted(removed_F)
    _write(work, layer, one, change_FO)
    groups = work.groups_of(layer)
    if group.name == groups[-1] and (len(groups) > 1 or not alone):
        one = _moments(work, {layer: work.columns(layer)})[layer]
        change_FO = one.fitted(torch.zeros(len(one.weight), dtype=torch.bool, device=one.weight.device))
        _write(work, layer, one, change_FO)
    return LayerError(group=group.name, reader=layer, before=before, after=one.error(change_FO, gain_O))


def _taps(work: Work, layer: str) -> int:
    return weight_matrix(work.modules[layer]).shape[1]


def _own_columns(work: Work, reader: Reader) -> Tensor:
    columns = work.columns(reader.layer)
    return columns[reader.channels[columns] >= 0]


def _moments(work: Work, asked: Mapping[str, Tensor]) -> dict[str, Moments]:
    """One pass over the examples."""
    found = {layer: _empty(work, layer, columns) for layer, columns in asked.items()}
    for layer, sample in work.samples(asked, compare=True):
        found[layer].add(sample)
    return found


def _empty(work: Work, layer: str, columns: Tensor) -> Moments:
    module = work.modules[layer]
    outputs = work.outputs(layer).to(work.device)
    weight_FO = weight_matrix(module)[outputs][:, :, columns.to(work.device)].flatten(1).T.double()
    bias = module._parameters.get("bias") is not None
    if bias:
        weight_FO = torch.cat([weight_FO, torch.zeros_like(weight_FO[:1])])
    return Moments(
        columns=columns,
        outputs=outputs,
        weight=weight_FO,
        taps=weight_matrix(module).shape[1],
        bias=bias,
        products=weight_FO.new_zeros(len(weight_FO), len(weight_FO)),
        lacks=torch.zeros_like(weight_FO),
        lacking=weight_FO.new_zeros(len(outputs)),
    )


def _choice(
    work: Work, group: Group, width: int, readers: Sequence[Reader], found: Mapping[str, Moments]
) -> tuple[int, ...]:
    """Step 1, over all readers together."""
    products_CC = torch.zeros(group.channels, group.channels, dtype=torch.float64)
    right_C, length_C = products_CC.new_zeros(group.channels), products_CC.new_zeros(group.channels)
    for reader in readers:
        one, gain_O = found[reader.layer], work.gain(reader.layer)
        gain_O = gain_O[found[reader.layer].outputs].double()
        channel_F, scale = one.channel_of_each(reader.channels), one.scale(gain_O)
        products, right, length = lasso_terms(one, channel_F, gain_O, group.channels)
        products_CC += products / scale
        right_C += right / scale
        length_C += length / scale
    length_C = length_C.sqrt().clamp_min(_TINY)
    normal_CC = products_CC / length_C.unsqueeze(1) / length_C
    return strongest(normal_CC, right_C / length_C, width)


def lasso_terms(one: Moments, channel_F: Tensor, gain_O: Tensor, channels: int) -> tuple[Tensor, Tensor, Tensor]:
    """A, b and the squared lengths |W_j|^2 of the top of this module, before |W_j| is made 1, behind the norm.

    The channels' share of the target is what is lacking plus what they contribute now, so b = W . (X^T E + X^T X W).
    """
    mine_F = channel_F >= 0
    channel_F = channel_F[mine_F]
    mine_F = mine_F.to(gain_O.device)
    weight_FO = (one.weight * gain_O)[mine_F]
    features_FF = one.products[mine_F][:, mine_F]
    right_F = (weight_FO * (one.lacks[mine_F] * gain_O + features_FF @ weight_FO)).sum(dim=1).cpu()
    rows_FC = torch.zeros(len(channel_F), channels, dtype=torch.float64)
    for start in range(0, len(channel_F), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        products = features_FF[rows] * (weight_FO[rows] @ weight_FO.T)
        rows_FC[rows] = torch.zeros_like(rows_FC[rows]).index_add_(1, channel_F, products.cpu())
    zeros_C = torch.zeros(channels, dtype=torch.float64)
    return (
        torch.zeros(channels, channels, dtype=torch.float64).index_add_(0, channel_F, rows_FC),
        zeros_C.index_add(0, channel_F, right_F),
        zeros_C.index_add(0, channel_F, weight_FO.square().sum(dim=1).cpu()),
    )


def _write(work: Work, layer: str, one: Moments, change_FO: Tensor) -> None:
    """Put the changed weights, and the changed bias, into the working copy."""
    module = work.modules[layer]
    new_FO = one.weight + change_FO
    block = weight_matrix(module)[:, :, one.columns.to(work.device)].clone()
    features = one.taps * len(one.columns)
    block[one.outputs] = new_FO[:features].T.reshape(len(one.outputs), one.taps, len(one.columns)).to(block)
    write_columns(module, one.columns, block)
    work.changed.add(tensor_of(layer))
    if one.bias:
        bias = module.get_parameter("bias").detach()
        bias[one.outputs] += new_FO[-1].to(bias)
        work.changed.add(tensor_of(layer, "bias"))
