"""Adopting small networks that were made by other means: Torch-Pruning, slices by hand, training, fresh weights."""

from __future__ import annotations

import copy
import functools

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

import regrow
from regrow.channels.carve import carve
from regrow.channels.trace import trace
from regrow.errors import PruningError
from regrow.networks.build import build
from regrow.networks.settings import NetworkSettings
from regrow.networks.spec import NetworkSpec
from regrow.networks.zoo import dense_spec
from regrow.pruning.adopt import adopt

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(7))


def zoo(name: str, width: float = 0.25) -> tuple[nn.Module, NetworkSpec]:
    spec = dense_spec(NetworkSettings(name=name, width=width), classes=10, shape=(3, 32, 32))
    return used(build(spec, 0)), spec


def used(network: nn.Module) -> nn.Module:
    """As after a training: norms with scales and statistics of their own."""
    torch.manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


@functools.cache
def resnet18() -> nn.Module:
    torch.manual_seed(0)
    return used(torchvision.models.resnet18(num_classes=10))


def torch_pruned(network: nn.Module, ignored: set[str], **options: object) -> tuple[nn.Module, dict[str, set[int]]]:
    """A copy that Torch-Pruning halved, and which outputs of which layer it says it took."""
    library = pytest.importorskip("torch_pruning")
    small = copy.deepcopy(network)
    pruner = library.pruner.BasePruner(
        small,
        IMAGES,
        importance=library.importance.GroupMagnitudeImportance(p=2),
        ignored_layers=[module for name, module in small.named_modules() if name in ignored],
        in_channel_groups={},
        out_channel_groups={},
        num_heads={},
        **{"pruning_ratio": 0.5, **options},
    )
    pruner.step()
    gone: dict[str, set[int]] = {}
    for name, is_output, indices in pruner.pruning_history():
        if is_output:
            gone.setdefault(name, set()).update(indices)
    return small, gone


@pytest.mark.parametrize("scope", [False, True], ids=["each layer", "globally"])
def test_torch_prunings_resnet18_is_adopted_bit_for_bit_and_regrows(scope: bool) -> None:
    small, gone = torch_pruned(resnet18(), {"fc"}, global_pruning=scope)
    adopted = adopt(resnet18(), small, IMAGES)
    assert adopted.inherited and not adopted.trained and adopted.notes == ()
    with torch.no_grad():
        assert torch.equal(adopted.network(IMAGES), small(IMAGES))
    taken = {
        part.tensor: gone.get(part.tensor.removesuffix(".weight"), set())
        for entry in adopted.architecture.kept
        for part in entry.slices
    }
    for entry in adopted.architecture.kept:
        said = set().union(*(taken[part.tensor] for part in entry.slices if part.axis == 0))
        assert set(entry.indices) == set(range(entry.channels)) - said
    fresh = regrow.regrow(adopted.architecture, lambda: torchvision.models.resnet18(num_classes=10), seed=1)
    assert [tensor.shape for tensor in fresh.parameters()] == [tensor.shape for tensor in small.parameters()]


@pytest.mark.parametrize("name", ["vgg11", "resnet20", "densenet40"])
def test_networks_of_the_zoo_that_torch_pruning_pruned_are_architectures_of_the_zoo(name: str) -> None:
    network, spec = zoo(name)
    inner = {group.name for group in network.channel_groups()}  # type: ignore[operator]  # the zoo's declare them
    layers = {key for key, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
    small, gone = torch_pruned(network, layers - inner)
    adopted = adopt(network, small, IMAGES, dense=spec)
    with torch.no_grad():
        torch.testing.assert_close(adopted.network(IMAGES), small(IMAGES), rtol=0, atol=1e-6)
    assert adopted.inherited
    assert {
        group: set(range(entry.channels)) - set(entry.indices)
        for group, entry in ((entry.group, entry) for entry in adopted.architecture.kept)
    } == {group: gone.get(group, set()) for group in inner}
    fresh = build(adopted.architecture.pruned_spec(), 3)
    assert [tensor.shape for tensor in fresh.parameters()] == [tensor.shape for tensor in small.parameters()]


def half_of(network: nn.Module, seed: int = 0) -> tuple[nn.Module, regrow.Architecture]:
    return tuple(regrow.prune(network, IMAGES, fraction=0.5, criterion="random", seed=seed))  # type: ignore[return-value]


def test_what_was_carved_here_is_recognised_whatever_was_chosen() -> None:
    small, architecture = half_of(resnet18(), seed=5)
    adopted = adopt(resnet18(), small, IMAGES)
    assert adopted.architecture == architecture


def test_after_training_channels_are_recognised_by_their_direction() -> None:
    small, architecture = half_of(resnet18())
    torch.manual_seed(2)
    optimizer = torch.optim.SGD(small.train().parameters(), lr=0.01, momentum=0.9)
    for _ in range(5):
        optimizer.zero_grad()
        nn.functional.cross_entropy(small(torch.randn(16, 3, 32, 32)), torch.arange(16) % 10).backward()
        optimizer.step()
    adopted = adopt(resnet18(), small, IMAGES)
    assert adopted.inherited and adopted.trained
    assert adopted.architecture.indices == architecture.indices
    assert "recognised by the direction of their weights" in adopted.notes[0]
    with torch.no_grad():
        assert torch.equal(adopted.network.eval()(IMAGES), small.eval()(IMAGES))


def test_fresh_weights_are_not_taken_for_inherited_ones() -> None:
    small, architecture = half_of(resnet18())
    fresh = regrow.regrow(architecture, lambda: torchvision.models.resnet18(num_classes=10), seed=9)
    adopted = adopt(resnet18(), fresh, IMAGES)
    assert not adopted.inherited and adopted.trained
    assert adopted.architecture.widths == architecture.widths
    assert adopted.notes[0].startswith("fresh weights: no channel of 12 of 12 groups (conv1, layer1.0.conv1, ")
    with torch.no_grad():
        assert torch.equal(adopted.network(IMAGES), fresh.eval()(IMAGES))
    assert small is not fresh


def test_channels_in_another_order_compute_the_same_within_rounding() -> None:
    network, spec = zoo("vgg11")
    small, _ = half_of(network)
    turn = torch.arange(small.features.conv1.out_channels - 1, -1, -1)  # type: ignore[union-attr, arg-type, operator]
    tensors = small.state_dict()
    for name in [
        name for name in tensors if name.startswith(("features.conv1.", "features.norm1.")) and tensors[name].ndim
    ]:
        tensors[name] = tensors[name][turn]
    tensors["features.conv2.weight"] = tensors["features.conv2.weight"][:, turn]
    small.load_state_dict(tensors)
    adopted = adopt(network, small, IMAGES, dense=spec)
    assert adopted.notes == (
        "channels of features.conv1 stood in another order and were put back into the dense network's",
    )
    assert not adopted.trained
    with torch.no_grad():
        torch.testing.assert_close(adopted.network(IMAGES), small(IMAGES), rtol=0, atol=1e-6)


def test_tensors_alone_are_adopted_with_a_note() -> None:
    small, architecture = half_of(resnet18())
    adopted = adopt(resnet18(), small.state_dict(), IMAGES)
    assert adopted.architecture == architecture
    assert adopted.notes == ("the small network came as tensors without code, so its outputs were not compared",)


def attention(size: int = 8) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("test_vit", img_size=32, patch_size=size, num_classes=5).eval()


@pytest.mark.parametrize("heads", [0.0, 0.5], ids=["smaller heads", "fewer heads"])
def test_fewer_heads_and_smaller_heads_are_told_apart_by_what_is_computed(heads: float) -> None:
    network = attention()
    traced = trace(network, IMAGES)
    fractions = {group.name: heads for group in traced.groups if group.role == "heads"} | {"*": 0.5 - heads}
    small, architecture = regrow.prune(network, IMAGES, fraction=fractions)
    adopted = adopt(network, small, IMAGES, traced=traced)
    assert adopted.architecture == architecture
    assert adopted.inherited


def test_whole_residual_blocks_may_be_gone_besides_channels() -> None:
    small, architecture = half_of(resnet18())
    small.layer3[1] = nn.Identity()  # type: ignore[index, operator]
    adopted = adopt(resnet18(), small, IMAGES)
    assert adopted.inherited and adopted.architecture.removed == ("layer3.1",)
    kept, before = adopted.architecture.indices, architecture.indices
    assert {name for name in kept if kept[name] != before[name]} == {"layer3.1.conv1"}
    with torch.no_grad():
        assert torch.equal(adopted.network(IMAGES), small(IMAGES))
    fresh = regrow.regrow(adopted.architecture, lambda: torchvision.models.resnet18(num_classes=10), seed=1)
    assert [tensor.shape for tensor in fresh.parameters()] == [tensor.shape for tensor in small.parameters()]


def test_blocks_of_the_zoo_may_be_gone() -> None:
    network, spec = zoo("resnet20", 0.5)
    small = copy.deepcopy(network)
    small.stage2[1] = nn.Identity()  # type: ignore[index, operator]
    adopted = adopt(network, small, IMAGES, dense=spec)
    assert adopted.architecture.removed == ("stage2.block2",)
    assert not hasattr(build(adopted.architecture.pruned_spec(), 0).get_submodule("stage2.block2"), "conv1")


def test_a_lacking_tensor_that_no_block_explains_is_refused() -> None:
    small, _ = half_of(resnet18())
    tensors = {name: tensor for name, tensor in small.state_dict().items() if name != "layer3.1.conv1.weight"}
    with pytest.raises(PruningError, match=r"Missing: layer3\.1\.conv1\.weight; not in the dense network: none"):
        adopt(resnet18(), tensors, IMAGES)


class Tied(nn.Module):
    """Tokens to scores of the next token; the last layer's weight is the embedding's."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.hidden, self.out = nn.Embedding(11, 8), nn.Linear(8, 16), nn.Linear(16, 8)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """[N, T] to [N, T, 11]."""
        stream = self.embed(tokens)
        scores: Tensor = self.head(stream + self.out(self.hidden(stream).relu()))
        return scores


@pytest.mark.parametrize("turned", [False, True])
def test_tied_weights_stay_tied(turned: bool) -> None:
    torch.manual_seed(0)
    network, tokens = Tied().eval(), torch.arange(11).view(1, 11)
    small, architecture = regrow.prune(network, tokens, fraction=0.5)
    tensors = small.state_dict()
    if turned:
        axes = {"embed.weight": 1, "head.weight": 1, "hidden.weight": 1, "out.weight": 0, "out.bias": 0}
        small.load_state_dict(tensors | {name: tensors[name].flip(axis) for name, axis in axes.items()})
    adopted = adopt(network, small, tokens)
    assert adopted.architecture == architecture and not adopted.trained
    assert adopted.network.head.weight is adopted.network.embed.weight  # type: ignore[union-attr]
    with torch.no_grad():
        torch.testing.assert_close(adopted.network(tokens), small(tokens), rtol=0, atol=1e-6)


def test_both_networks_are_left_as_they_are() -> None:
    network, spec = zoo("resnet20")
    small, _ = adopt_half(network, spec)
    before = [copy.deepcopy(one.state_dict()) for one in (network, small)]
    network.train()
    adopt(network, small, IMAGES, dense=spec)
    assert network.training and not small.training
    for state, one in zip(before, (network, small), strict=True):
        assert all(torch.equal(tensor, state[name]) for name, tensor in one.state_dict().items())


def adopt_half(network: nn.Module, spec: NetworkSpec) -> tuple[nn.Module, regrow.Architecture]:
    from tests.pruning.pruned import prune

    architecture = prune(network, spec, "l1", [width // 2 for width in spec.widths], seed=0)
    return carve(network, architecture), architecture


def test_another_activation_is_refused_with_the_place() -> None:
    small, _ = half_of(resnet18())
    small.layer2[0].relu = nn.Identity()  # type: ignore[union-attr, index]  # its block calls it twice
    with pytest.raises(
        PruningError, match=r"computes something else than the small network: .* from layer2\.0\.relu on"
    ):
        adopt(resnet18(), small, IMAGES)


def test_a_pruned_stream_of_a_network_of_the_zoo_is_refused_with_the_tensor() -> None:
    network, spec = zoo("resnet20", 1.0)
    tensors: dict[str, Tensor] = dict(network.state_dict())
    tensors["stem.conv.weight"] = tensors["stem.conv.weight"][:8]
    with pytest.raises(
        PruningError, match=r"stem.conv.weight: the shape \(16, 3, 3, 3\) was expected, found \(8, 3, 3, 3\)"
    ):
        adopt(network, tensors, IMAGES, dense=spec)
