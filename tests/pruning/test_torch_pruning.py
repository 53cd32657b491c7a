"""Torch-Pruning's pruners as methods: what they leave is theirs, bit for bit, and an architecture of ours."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator

import pytest
import torch
import torchvision
from torch import Tensor, nn

from regrow.channels.carve import carve
from regrow.channels.trace import trace
from regrow.errors import MissingExtraError, PruningError
from regrow.networks.build import build
from regrow.networks.settings import NetworkSettings
from regrow.networks.spec import NetworkSpec
from regrow.networks.zoo import dense_spec
from regrow.pruning.foreign_methods import load_method, run_method
from regrow.pruning.method_results import MethodResult
from regrow.pruning.method_sources import TORCH_PRUNERS
from regrow.pruning.torch_pruning import torch_pruning_method

pytest.importorskip("torch_pruning")

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(7))


@functools.cache
def zoo(name: str) -> tuple[nn.Module, NetworkSpec]:
    spec = dense_spec(NetworkSettings(name=name, width=0.25), classes=10, shape=(3, 32, 32))
    return used(build(spec, 0)), spec


def used(network: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    numbers = torch.Generator().manual_seed(3)
    for _ in range(2):
        yield torch.randn(8, 3, 32, 32, generator=numbers), torch.arange(8)


def pruned(name: str, network: nn.Module, spec: NetworkSpec | None = None, **more: object) -> MethodResult:
    arguments = {"fraction": 0.5, "batches": batches, "dense": spec, **more}
    return run_method(load_method(f"torch-pruning:{name}"), network, IMAGES, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("scope", ["group", "global"])
@pytest.mark.parametrize("name", TORCH_PRUNERS)
@pytest.mark.parametrize("network", ["vgg11", "resnet20"])
def test_what_torch_pruning_leaves_is_carved_from_our_architecture(network: str, name: str, scope: str) -> None:
    dense, spec = zoo(network)
    architecture = pruned(name, dense, spec, scope=scope, seed=4).architecture
    assert architecture is not None
    if scope == "group":
        assert architecture.widths == tuple(channels // 2 for channels in spec.widths)
    theirs = copy.deepcopy(dense)
    with torch.random.fork_rng():  # for random, which draws: here only sizes and the way are compared
        torch_pruning_method(
            theirs, IMAGES, name=name, fraction=0.5, groups=dense.channel_groups(), scope=scope, batches=batches
        )  # type: ignore[operator]
    if name != "random":
        with torch.no_grad():
            torch.testing.assert_close(carve(dense, architecture)(IMAGES), theirs(IMAGES), rtol=0, atol=1e-6)
    fresh = build(architecture.pruned_spec(), 1)
    assert sum(tensor.numel() for tensor in fresh.parameters()) < sum(tensor.numel() for tensor in dense.parameters())


def test_the_l1_norm_of_the_first_layer_keeps_what_our_l1_keeps() -> None:
    dense, spec = zoo("vgg11")
    architecture = pruned("l1", dense, spec).architecture
    assert architecture is not None
    for entry in architecture.kept:
        norms = dense.get_parameter(f"{entry.group}.weight").detach().double().abs().sum(dim=(1, 2, 3))
        assert entry.indices == tuple(sorted(norms.topk(entry.channels // 2).indices.tolist()))


def test_widths_are_met_exactly_whatever_the_arithmetic_of_shares_says() -> None:
    dense, spec = zoo("resnet20")
    widths = [1, 2, 3, 4, 5, 6, 7, 9, 16]
    architecture = pruned("group-l2", dense, spec, widths=widths).architecture
    assert architecture is not None and architecture.widths == tuple(widths)


def test_resnet18_of_torchvision_is_pruned_with_its_streams() -> None:
    torch.manual_seed(0)
    dense = used(torchvision.models.resnet18(num_classes=10))
    traced = trace(dense, IMAGES)
    architecture = pruned("group-l2", dense, traced=traced).architecture
    assert architecture is not None
    assert architecture.widths == tuple(group.channels // 2 for group in traced.groups)


@pytest.mark.parametrize("model", ["mobilenet_v3_small", "regnet_x_400mf"])
def test_depthwise_and_grouped_convolutions_keep_their_groups(model: str) -> None:
    torch.manual_seed(0)
    dense = torchvision.models.get_model(model, num_classes=10).eval()
    found = pruned("group-l2", dense)
    assert found.architecture is not None and found.weights is None
    assert carve(dense, found.architecture)(IMAGES).shape == (2, 10)


def test_random_follows_the_seed() -> None:
    dense, spec = zoo("vgg11")
    first, again, other = (pruned("random", dense, spec, seed=seed).architecture for seed in (0, 0, 1))
    assert first == again != other


def test_taylor_is_the_gradient_times_the_weight_in_the_layers_that_compute_and_read_a_channel() -> None:
    dense, spec = zoo("vgg11")
    architecture = pruned("taylor", dense, spec).architecture
    assert architecture is not None
    network = copy.deepcopy(dense)
    for images, labels in batches():
        nn.functional.cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
    last = architecture.kept[-1]
    score = torch.zeros(last.channels)
    # The scale of the batch norm between them does not count: where Torch-Pruning looks for norms it asks for group norms.
    for name, axis in {"features.conv8": 0, "classifier.linear": 1}.items():
        weight = network.get_parameter(f"{name}.weight")
        assert weight.grad is not None
        score += (weight * weight.grad).detach().abs().movedim(axis, 0).reshape(last.channels, -1).sum(dim=1)
    assert set(last.indices) == set(score.topk(len(last.indices)).indices.tolist())


def test_a_method_that_looks_at_examples_says_so() -> None:
    dense, spec = zoo("vgg11")
    with pytest.raises(PruningError, match="torch-pruning:taylor looks at training examples"):
        pruned("taylor", dense, spec, batches=None)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    dense, spec = zoo("vgg11")
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    with pytest.raises(MissingExtraError, match=r"regrow\[torch-pruning\]"):
        pruned("l1", dense, spec)
