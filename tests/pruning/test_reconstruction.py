from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regrow.channels.architecture import Architecture, KeptChannels, regrow_version
from regrow.channels.carve import carve
from regrow.channels.fingerprint import fingerprint
from regrow.channels.groups import Group, Slice, channel_groups
from regrow.channels.trace import trace
from regrow.errors import PruningError
from regrow.networks.build import build
from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import dense_spec
from regrow.pruning.criteria import l1 as l1_norm
from regrow.pruning.reconstruction import LayerError, Reconstruction, largest
from regrow.pruning.regression import regression
from regrow.pruning.thinet import thinet

from .trained_digits import batches, trained

METHODS: dict[str, Callable[..., Reconstruction]] = {"thinet": thinet, "regression": regression}


def numbers() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def small_batches(images: int = 40, shape: tuple[int, ...] = (1, 8, 8)) -> Callable[[], list[tuple[Tensor, Tensor]]]:
    inputs = torch.randn(images, *shape, generator=numbers())
    return lambda: [(part, torch.zeros(len(part))) for part in inputs.split(20)]


@pytest.mark.parametrize("method", METHODS)
class TestEveryReconstruction:
    @pytest.mark.parametrize("name", ["vgg16", "resnet20", "preresnet20", "densenet40"])
    def test_keeps_exact_widths_of_every_family_and_the_result_can_be_carved(self, method: str, name: str) -> None:
        spec = dense_spec(NetworkSettings(name=name, width=0.25), classes=10, shape=(1, 8, 8))
        network = build(spec, 0).eval()
        groups = channel_groups(network)
        widths = [max(1, group.channels // 2) for group in groups]
        found = METHODS[method](network, groups, widths, small_batches(), numbers(), torch.randn(1, 1, 8, 8), images=20)
        assert [len(found.kept[group.name]) for group in groups] == widths
        tensors = network.state_dict()
        assert all(found.weights[key].shape == tensors[key].shape for key in found.weights)
        assert all(bool(tensor.isfinite().all()) for tensor in found.weights.values())
        dense = copy.deepcopy(network)
        dense.load_state_dict({**tensors, **found.weights})
        kept = tuple(
            KeptChannels(group=group.name, channels=group.channels, indices=found.kept[group.name]) for group in groups
        )
        architecture = Architecture(dense=spec, kept=kept, fingerprint=fingerprint(dense), regrow=regrow_version())
        assert carve(dense, architecture)(torch.randn(2, 1, 8, 8)).isfinite().all()

    def test_leaves_the_network_alone(self, method: str) -> None:
        network = copy.deepcopy(trained()).train()
        network.get_submodule("features.norm2").eval()
        before, modes = fingerprint(network), [module.training for module in network.modules()]
        groups = channel_groups(network)
        METHODS[method](network, groups, [1] * len(groups), lambda: batches(100), numbers())
        assert fingerprint(network) == before
        assert [module.training for module in network.modules()] == modes
        assert all(parameter.grad is None for parameter in network.parameters())
        assert not any(module._forward_hooks for module in network.modules())

    def test_has_nothing_to_do_at_full_width(self, method: str) -> None:
        network = trained()
        groups = channel_groups(network)
        widths = [group.channels for group in groups]
        found = METHODS[method](network, groups, widths, lambda: batches(100), numbers())
        assert found.kept == {group.name: tuple(range(group.channels)) for group in groups}
        assert (found.weights, found.errors, found.notes) == ({}, (), ())

    def test_lowers_the_error_of_every_layer(self, method: str) -> None:
        network = trained()
        groups = channel_groups(network)
        widths = [group.channels // 2 for group in groups]
        found = METHODS[method](network, groups, widths, lambda: batches(300), numbers())
        assert [error.group for error in found.errors] == [group.name for group in groups]
        assert all(error.after < error.before for error in found.errors)
        assert set(json.loads(json.dumps(found.errors[0].to_json()))) == {"group", "reader", "before", "after"}

    def test_works_on_traced_groups_of_a_stream(self, method: str) -> None:
        network = Stream().eval()
        groups = trace(network, torch.randn(1, 1, 8, 8)).groups
        widths = [group.channels // 2 for group in groups]
        found = METHODS[method](network, groups, widths, small_batches(), numbers())
        assert [len(found.kept[group.name]) for group in groups] == widths
        assert {error.reader for error in found.errors} == {"inner", "outer", "head"}
        assert found.notes == ()

    def test_falls_back_to_l1_where_no_layer_can_be_rebuilt(self, method: str) -> None:
        network = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 1, groups=4))
        with torch.no_grad():
            network[0].weight.copy_(torch.tensor([3.0, 1.0, -4.0, 2.0]).reshape(4, 1, 1, 1))
        group = Group("0", 4, (Slice("0.weight", 0), Slice("0.bias", 0), Slice("1.weight", 0), Slice("1.bias", 0)))
        found = METHODS[method](network, [group], [2], small_batches(), numbers())
        assert found.kept == {"0": (0, 2)}
        assert found.weights == {}
        assert f"by L1 norm, not by {method}" in found.notes[0]

    def test_says_which_layer_had_no_voice(self, method: str) -> None:
        network = Mixed()
        parts = (Slice("first.weight", 0), Slice("first.bias", 0), Slice("plain.weight", 1), Slice("mixing", 1))
        found = METHODS[method](network, [Group("first", 4, parts)], [2], small_batches(), numbers())
        assert found.notes == ("first: mixing also holds its channels, stays as it is and had no voice in the choice",)
        assert "mixing" not in found.weights

    def test_refuses_widths_that_do_not_fit(self, method: str) -> None:
        network = trained()
        groups = channel_groups(network)
        with pytest.raises(PruningError, match="8 channel groups and needs one width for each; found 1"):
            METHODS[method](network, groups, [3], batches, numbers())
        with pytest.raises(PruningError, match=r"features\.conv1 keeps 1 to 16 channels; asked for 0"):
            METHODS[method](network, groups, [0] * 8, batches, numbers())


class Stream(nn.Module):
    """One residual block whose stream is a group of its own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.inner, self.outer = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 6, 3, padding=1), nn.Conv2d(6, 8, 1)
        self.head = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        """Images to scores [B, 3]."""
        stream = self.stem(images).relu()
        stream = stream + self.outer(self.inner(stream).relu())
        scores: Tensor = self.head(stream.mean(dim=(2, 3)))
        return scores


class Mixed(nn.Module):
    """A convolution that a layer reads, and a bare parameter."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.plain = nn.Conv2d(1, 4, 1), nn.Conv2d(4, 2, 1)
        self.mixing = nn.Parameter(torch.randn(2, 4))

    def forward(self, images: Tensor) -> Tensor:
        """Images to images."""
        read = self.first(images)
        result: Tensor = self.plain(read) + torch.einsum("oc,bchw->bohw", self.mixing, read)
        return result


def test_the_largest_channels_are_those_with_the_highest_l1_norms() -> None:
    network = trained()
    group = channel_groups(network)[3]
    arguments: list[Any] = [torch.Generator()] if "generator" in l1_norm.__code__.co_varnames else []
    scores_C = l1_norm(network.state_dict()["features.conv4.weight"], *arguments)
    expected = scores_C.topk(10).indices.sort().values.tolist()
    assert list(largest(group, 10, network.state_dict())) == expected


def test_several_producers_count_the_same() -> None:
    group = Group("a", 2, (Slice("a", 0), Slice("b", 0)), producers=2)
    tensors = {"a": torch.tensor([[1000.0], [1001.0]]), "b": torch.tensor([[2.0], [1.0]])}
    assert largest(group, 1, tensors) == (0,)


def test_errors_are_values() -> None:
    assert LayerError(group="a", reader="b", before=1.0, after=0.5).to_json() == {
        "group": "a",
        "reader": "b",
        "before": 1.0,
        "after": 0.5,
    }
