"""A small network that has really learnt scikit-learn's digits, shared by the tests of reconstructions; and errors measured by hooks."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from regrow.channels.groups import Group, channel_groups, keep_masks
from regrow.networks.build import build
from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import dense_spec

TRAIN = 1200


@functools.cache
def digits() -> tuple[Tensor, Tensor]:
    """Images [N, 1, 8, 8] with mean 0 and deviation 1, and labels; the first `TRAIN` are for training."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = torch.tensor(bunch.images, dtype=torch.float32).unsqueeze(1)
    return (images - images.mean()) / images.std(), torch.tensor(bunch.target)


def held_out() -> Tensor:
    """Images that no training and no method has seen."""
    return digits()[0][TRAIN:]


def batches(images: int = 600) -> list[tuple[Tensor, Tensor]]:
    """The first training examples, in batches of 100."""
    inputs, labels_N = digits()
    return list(zip(inputs[:images].split(100), labels_N[:images].split(100), strict=True))


@functools.cache
def trained(name: str = "vgg11", width: float = 0.25) -> nn.Module:
    """Four epochs of SGD; copy it before changing it."""
    torch.manual_seed(0)
    network = build(dense_spec(NetworkSettings(name=name, width=width), classes=10, shape=(1, 8, 8)), 0)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    images, labels_N = digits()
    network.train()
    for _ in range(4):
        for rows_B in torch.randperm(TRAIN).split(100):
            optimizer.zero_grad()
            cross_entropy(network(images[rows_B]), labels_N[rows_B]).backward()
            optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return network.eval()


def one_group(network: nn.Module, index: int, fraction: float) -> tuple[tuple[Group, ...], list[int]]:
    """Groups and widths when only one group loses channels."""
    groups = channel_groups(network)
    widths = [group.channels for group in groups]
    widths[index] = max(1, round(groups[index].channels * (1 - fraction)))
    return groups, widths


def reader_of(group: Group) -> str:
    """The first layer that reads a group of the zoo."""
    return next(part.tensor for part in group.slices if part.axis == 1).removesuffix(".weight")


def output_error(network: nn.Module, group: Group, kept: Sequence[int], weights: Mapping[str, Tensor]) -> float:
    """Squared error of the reader's output over its variance, on held-out images, by running both networks."""
    reader = reader_of(group)
    changed = silenced(network, [group], {group.name: kept}, weights)
    wanted, found = (output_of(one, reader, held_out()) for one in (network, changed))
    mean = wanted.mean(dim=[axis for axis in range(wanted.ndim) if axis != 1], keepdim=True)
    return float((wanted - found).square().sum() / (wanted - mean).square().sum())


def silenced(
    network: nn.Module,
    groups: Sequence[Group],
    kept: Mapping[str, Sequence[int]],
    weights: Mapping[str, Tensor],
) -> nn.Module:
    """A copy of full size with new weights, in which the columns of removed channels are zero."""
    changed = copy.deepcopy(network)
    changed.load_state_dict(weights, strict=False)
    for name, axes in keep_masks(groups, kept, network.state_dict()).items():
        for axis, keep in axes.items():
            if axis == 1:
                changed.get_parameter(name).detach().index_fill_(1, (~keep).nonzero().flatten(), 0)
    return changed


def output_of(network: nn.Module, layer: str, images: Tensor) -> Tensor:
    """What a layer computes."""
    seen: list[Tensor] = []

    def keep(module: nn.Module, given: object, output: Tensor) -> None:
        seen.append(output.clone())

    handle = network.get_submodule(layer).register_forward_hook(keep)
    with torch.no_grad():
        network(images)
    handle.remove()
    return seen[0]
