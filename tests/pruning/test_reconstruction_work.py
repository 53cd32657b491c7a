from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from regrow.channels.groups import Group, Slice, channel_groups
from regrow.channels.trace import trace
from regrow.errors import PruningError
from regrow.pruning.reconstruction_work import Reader, Work

from .trained_digits import batches, trained


def work_on(network: nn.Module, *, images: int = 100, positions: int = 4, seed: int = 0) -> Work:
    numbers = torch.Generator().manual_seed(seed)
    return Work(network, channel_groups(network), batches, numbers, images=images, positions=positions)


def all_columns(work: Work, layer: str) -> dict[str, Tensor]:
    return {layer: work.columns(layer)}


def test_each_convolution_of_a_vgg_is_read_by_the_next_layer() -> None:
    work = work_on(trained())
    readers = [[reader.layer for reader in work.readers[group.name]] for group in work.order]
    assert readers == [*([f"features.conv{n}"] for n in range(2, 9)), ["classifier.linear"]]
    assert work.groups_of("features.conv2") == ["features.conv1"]
    assert not work.compensated


def test_a_layer_behind_a_flattened_map_knows_which_columns_belong_to_a_channel() -> None:
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    images = torch.randn(2, 1, 4, 4)
    groups = trace(network, images).groups
    work = Work(network, groups, lambda: [(images, torch.zeros(2))], torch.Generator(), images=2, positions=1)
    assert work.readers[groups[0].name][0].channels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]


def test_samples_are_the_layers_own_numbers() -> None:
    network = trained()
    work = work_on(network)
    module = network.get_submodule("features.conv3")
    ((_, sample),) = work.samples(all_columns(work, "features.conv3"), compare=True)
    weight_OKI = module.get_parameter("weight").detach().flatten(2).transpose(1, 2)
    assert sample.patches.shape == (400, 9, 32)
    assert torch.allclose(torch.einsum("nki,oki->no", sample.patches, weight_OKI), sample.outputs, atol=1e-4)
    assert torch.equal(sample.wanted, sample.outputs)  # nothing is removed yet


def test_what_is_wanted_is_what_the_original_network_computes() -> None:
    work = work_on(trained())
    before = next(iter(work.samples(all_columns(work, "features.conv3"), compare=True)))[1]
    again = work_on(trained())
    again.silence(again.order[0], (0, 1, 2))
    after = next(iter(again.samples(all_columns(again, "features.conv3"), compare=True)))[1]
    assert torch.equal(before.wanted, after.wanted)
    assert not torch.allclose(after.wanted, after.outputs, atol=0.1)


def test_no_more_images_are_read_than_asked_for_and_no_row_twice() -> None:
    work = work_on(trained(), images=150, positions=7)
    found = [sample for _, sample in work.samples(all_columns(work, "features.conv8"), compare=False)]
    assert [sample.images for sample in found] == [100, 50]
    assert [len(sample.outputs) for sample in found] == [400, 200]  # its map has 2 x 2 places
    first = found[0].outputs
    assert len(first.unique(dim=0)) == len(first)


def test_silence_leaves_the_original_alone_and_makes_removed_channels_zero() -> None:
    network = trained()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    work = work_on(network)
    work.silence(work.order[1], range(2, 30))
    assert work.columns("features.conv3").tolist() == list(range(2, 30))
    assert work.outputs("features.conv2").tolist() == list(range(2, 30))
    assert not work.tensors["features.conv3.weight"][:, [0, 1, 30, 31]].any()
    assert not work.tensors["features.norm2.bias"][[0, 1, 30, 31]].any()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_the_gain_is_the_scale_of_the_norm_behind_the_layer_held_away_from_zero() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)).eval()
    norm = network[2]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_var is not None
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([3.0, -1.0, 0.0]))
        norm.running_var.copy_(torch.tensor([9.0, 4.0, 1.0]) - norm.eps)
    images = torch.randn(2, 1, 3, 3)
    group = Group("0", 2, (Slice("0.weight", 0), Slice("1.weight", 1)))
    work = Work(network, [group], lambda: [(images, torch.zeros(2))], torch.Generator(), images=2, positions=1)
    assert torch.allclose(work.gain("1"), torch.tensor([1.0, -0.5, 0.01]))
    assert torch.equal(work.gain("0"), torch.ones(2))


class Tied(nn.Module):
    """Two layers with one weight, a grouped convolution, and a layer that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.grouped = nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 1, groups=2)
        self.one, self.other, self.idle = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.other.weight = self.one.weight

    def forward(self, images: Tensor) -> Tensor:
        """Images to images."""
        read = self.first(images)
        result: Tensor = self.grouped(read) + self.one(read) * self.other(read)
        return result


def test_tied_grouped_and_idle_layers_are_no_readers() -> None:
    names = ("grouped", "one", "idle")
    group = Group("first", 4, (Slice("first.weight", 0), *(Slice(f"{name}.weight", 1) for name in names[1:])))
    images = torch.randn(2, 1, 3, 3)
    work = Work(Tied(), [group], lambda: [(images, torch.zeros(2))], torch.Generator(), images=2, positions=1)
    assert work.readers == {"first": ()}
    assert work.unread(group) == ["idle.weight", "one.weight"]


def test_groups_are_taken_in_the_order_in_which_their_layers_run() -> None:
    network = nn.ModuleDict({"late": nn.Linear(3, 2), "early": nn.Linear(2, 3)})

    class Order(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = network

        def forward(self, values: Tensor) -> Tensor:
            result: Tensor = self.layers["late"](self.layers["early"](values))
            return result

    groups = [Group("b", 2, (Slice("layers.late.weight", 0),)), Group("a", 3, (Slice("layers.early.weight", 0),))]
    values = torch.randn(2, 2)
    work = Work(Order(), groups, lambda: [(values, torch.zeros(2))], torch.Generator(), images=2, positions=1)
    assert [group.name for group in work.order] == ["a", "b"]


def test_no_batches_are_refused() -> None:
    network = trained()
    with pytest.raises(PruningError, match="got no batch"):
        Work(network, channel_groups(network), list, torch.Generator(), images=10, positions=1)


def test_readers_are_values() -> None:
    reader = Reader("a", torch.zeros(2))
    with pytest.raises(AttributeError):
        reader.layer = "b"  # type: ignore[misc]
