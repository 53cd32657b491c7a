"""Zoo networks for tests: small, in float64, with norm statistics far from trivial, and pruned at random."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from regrow.channels.architecture import Architecture, KeptChannels
from regrow.channels.fingerprint import fingerprint
from regrow.networks.build import build
from regrow.networks.settings import NetworkSettings
from regrow.networks.spec import NetworkSpec
from regrow.networks.zoo import NETWORKS, dense_spec
from regrow.randomness import generator

SHAPE = (2, 8, 8)


def small_spec(name: str) -> NetworkSpec:
    return dense_spec(NetworkSettings(name=name, width=0.25), classes=5, shape=SHAPE)


def restless(spec: NetworkSpec) -> nn.Module:
    """The network as if trained: every norm has its own scales, shifts, means and variances, every convolution its biases."""
    network = build(spec, 0, "test").double().eval()
    numbers = generator(0, "norms")
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and module.running_var is not None:
                for tensor, low in ((module.weight, 0.5), (module.bias, -0.5), (module.running_mean, -0.5)):
                    assert tensor is not None
                    tensor.uniform_(low, low + 1, generator=numbers)
                module.running_var.uniform_(0.5, 1.5, generator=numbers)
            elif isinstance(module, nn.Conv2d) and module.bias is not None:
                module.bias.uniform_(-0.5, 0.5, generator=numbers)
    return network


def random_architecture(network: nn.Module, dense: NetworkSpec, seed: int = 0) -> Architecture:
    """Each group loses a random number of random channels, at least one where it has two."""
    numbers = generator(seed, "architecture")
    kept = []
    for group in NETWORKS[dense.name].groups(dense.width):
        order = torch.randperm(group.channels, generator=numbers)
        left = int(torch.randint(1, max(2, group.channels), (), generator=numbers))
        indices = tuple(sorted(int(index) for index in order[:left]))
        kept.append(KeptChannels(group=group.name, channels=group.channels, indices=indices))
    return Architecture(dense=dense, kept=tuple(kept), fingerprint=fingerprint(network), regrow="test")


def silenced_output(network: nn.Module, architecture: Architecture, images: Tensor) -> Tensor:
    """The dense network's output with the removed channels held at zero where they are read, through hooks.

    Which module to hold is written down here by hand, family by family, and not taken from `channel_groups()`.
    """
    family = architecture.dense.name.removesuffix("-detached").rstrip("0123456789")
    hooks = _SILENCERS[family](network, architecture)
    try:
        with torch.no_grad():
            output: Tensor = network(images)
        return output
    finally:
        for hook in hooks:
            hook.remove()


def mask_of(architecture: Architecture, group: str) -> Tensor:
    """1 where a channel of the group lives, 0 where it went."""
    entry = next(entry for entry in architecture.kept if entry.group == group)
    mask_C = torch.zeros(entry.channels, dtype=torch.float64)
    mask_C[list(entry.indices)] = 1
    return mask_C


def _hold(values: Tensor, mask_C: Tensor) -> Tensor:
    return values * mask_C.reshape(1, -1, *[1] * (values.ndim - 2))


def _hold_output(module: nn.Module, mask_C: Tensor) -> torch.utils.hooks.RemovableHandle:
    return module.register_forward_hook(lambda _module, _inputs, result: _hold(result, mask_C))


def _hold_input(module: nn.Module, mask_C: Tensor) -> torch.utils.hooks.RemovableHandle:
    return module.register_forward_pre_hook(lambda _module, inputs: (_hold(inputs[0], mask_C),))


Handles = list[torch.utils.hooks.RemovableHandle]


def _silence_vgg(network: nn.Module, architecture: Architecture) -> Handles:
    """A norm's zero passes ReLU and pools as zero."""
    return [
        _hold_output(network.get_submodule(f"features.norm{number}"), mask_of(architecture, f"features.conv{number}"))
        for number in range(1, len(architecture.kept) + 1)
    ]


def _silence_vgg_without_norms(network: nn.Module, architecture: Architecture) -> Handles:
    """Bias and all: a channel that is gone gives zero."""
    return [
        _hold_output(network.get_submodule(entry.group), mask_of(architecture, entry.group))
        for entry in architecture.kept
    ]


def _silence_resnet(network: nn.Module, architecture: Architecture) -> Handles:
    return [
        _hold_output(network.get_submodule(entry.group.replace("conv1", "norm1")), mask_of(architecture, entry.group))
        for entry in architecture.kept
    ]


def _silence_preresnet(network: nn.Module, architecture: Architecture) -> Handles:
    following = {"conv1": "norm2", "conv2": "norm3"}
    handles = []
    for entry in architecture.kept:
        block, _, inner = entry.group.rpartition(".")
        norm = network.get_submodule(f"{block}.{following[inner]}")
        handles.append(_hold_output(norm, mask_of(architecture, entry.group)))
    return handles


def _silence_densenet(network: nn.Module, architecture: Architecture) -> Handles:
    """Each reader normalises for itself, so zeros are put where convolutions and the classifier read."""
    compact = "bc" in architecture.dense.name
    layers = 16 if compact else 12
    handles = []
    stream = mask_of(architecture, "stem")
    for block in (1, 2, 3):
        for number in range(1, layers + 1):
            layer = f"block{block}.layer{number}"
            handles.append(_hold_input(network.get_submodule(f"{layer}.conv1"), stream))
            if compact:
                handles.append(
                    _hold_input(network.get_submodule(f"{layer}.conv2"), mask_of(architecture, f"{layer}.conv1"))
                )
            stream = torch.cat([stream, mask_of(architecture, f"{layer}.conv{2 if compact else 1}")])
        reader = network.get_submodule(f"transition{block}.conv" if block < 3 else "classifier")
        handles.append(_hold_input(reader, stream))
        if block < 3:
            stream = mask_of(architecture, f"transition{block}.conv")
    return handles


_SILENCERS: dict[str, Callable[[nn.Module, Architecture], Handles]] = {
    "vgg": _silence_vgg,
    "vgg16-gap": _silence_vgg_without_norms,
    "resnet": _silence_resnet,
    "preresnet": _silence_preresnet,
    "densenet": _silence_densenet,
    "densenet-bc": _silence_densenet,
}


def numbered(spec: NetworkSpec) -> nn.Module:
    """The network with every tensor filled with 0, 1, 2, ...: a value says where it came from."""
    network = build(spec, 0, "test").double()
    for tensor in network.state_dict().values():
        tensor.copy_(torch.arange(tensor.numel()).reshape(tensor.shape))
    return network
