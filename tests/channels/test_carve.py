from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regrow.channels.architecture import Architecture, KeptChannels
from regrow.channels.carve import carve, carve_tensors
from regrow.channels.fingerprint import fingerprint
from regrow.channels.groups import channel_groups
from regrow.errors import PruningError
from regrow.networks.zoo import NETWORKS
from regrow.pruning.anything import prune_network

from .residual import IMAGES, WIDTH, Around, Deep, silent
from .traced import Small, x
from .zoo_networks import SHAPE, numbered, random_architecture, restless, silenced_output, small_spec


@pytest.mark.parametrize("name", NETWORKS)
class TestEveryNetwork:
    def test_carved_equals_the_dense_network_with_the_same_channels_silenced(self, name: str) -> None:
        dense = small_spec(name)
        network = restless(dense)
        architecture = random_architecture(network, dense)
        images = torch.randn(3, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            found, untouched = carve(network, architecture)(images), network(images)
        expected = silenced_output(network, architecture, images)
        scale = float(expected.abs().max())
        assert float((found - expected).abs().max()) <= 1e-10 * scale
        # The proof would be empty if silencing changed nothing.
        assert float((untouched - expected).abs().max()) > 1e-3 * scale

    def test_every_carved_tensor_is_an_exact_block_of_the_dense_one(self, name: str) -> None:
        dense = small_spec(name)
        network = numbered(dense)
        architecture = random_architecture(network, dense)
        originals = network.state_dict()
        small = carve(network, architecture).state_dict()
        assert small.keys() == originals.keys()
        for tensor_name, block in small.items():
            rows = _rows_by_value(block, originals[tensor_name].shape)
            group = tensor_name.removesuffix(".weight")
            if group in architecture.indices:
                assert tuple(rows[0]) == architecture.indices[group]


def _rows_by_value(block: torch.Tensor, shape: torch.Size) -> list[list[int]]:
    """The original indices along every axis, read off the numbers themselves; asserts that they form a grid in order."""
    places = torch.unravel_index(block.long(), shape) if shape else ()
    rows = []
    for axis, place in enumerate(places):
        along = place.movedim(axis, 0).reshape(place.shape[axis], -1)
        assert bool((along == along[:, :1]).all())
        rows.append(along[:, 0].tolist())
        assert rows[-1] == sorted(set(rows[-1]))
    return rows


def test_the_dense_network_is_left_as_it_is() -> None:
    dense = small_spec("resnet20")
    network = restless(dense).train()
    before = fingerprint(network)
    small = carve(network, random_architecture(network, dense))
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.fill_(float("nan"))
    assert fingerprint(network) == before


def test_an_architecture_that_keeps_everything_gives_an_equal_copy() -> None:
    dense = small_spec("densenet40")
    network = restless(dense)
    kept = tuple(
        KeptChannels(group=group.name, channels=group.channels, indices=tuple(range(group.channels)))
        for group in NETWORKS[dense.name].groups(dense.width)
    )
    architecture = Architecture(dense=dense, kept=kept, fingerprint=fingerprint(network), regrow="test")
    assert fingerprint(carve(network, architecture)) == fingerprint(network)


def test_mode_type_and_frozen_parameters_are_inherited() -> None:
    dense = small_spec("resnet20")
    network = restless(dense).train()
    network.get_submodule("stage1").eval()
    network.get_parameter("stage2.block1.conv1.weight").requires_grad_(False)
    small = carve(network, random_architecture(network, dense))
    assert small.training and not small.get_submodule("stage1.block1").training
    assert not small.get_parameter("stage2.block1.conv1.weight").requires_grad
    assert small.get_parameter("stage2.block1.conv2.weight").requires_grad
    assert {parameter.dtype for parameter in small.parameters()} == {torch.float64}


def test_other_weights_are_refused_unless_they_are_meant() -> None:
    dense = small_spec("vgg11")
    network = restless(dense)
    architecture = random_architecture(network, dense)
    with torch.no_grad():
        network.get_parameter("features.conv1.weight").add_(1)
    with pytest.raises(PruningError, match="fingerprints differ"):
        carve(network, architecture)
    rewound = carve(network, architecture, other_weights=True)
    rows = list(architecture.indices["features.conv1"])
    expected = network.get_parameter("features.conv1.weight").detach()[rows]
    assert torch.equal(rewound.get_parameter("features.conv1.weight").detach(), expected)


def test_a_network_that_was_already_pruned_is_refused() -> None:
    dense = small_spec("vgg11")
    network = restless(dense)
    architecture = random_architecture(network, dense)
    with pytest.raises(PruningError, match="Pass the dense network, not a pruned one"):
        carve(carve(network, architecture), architecture)


def test_a_network_of_another_depth_is_refused() -> None:
    network, deeper = restless(small_spec("resnet20")), restless(small_spec("resnet32"))
    with pytest.raises(PruningError, match="made from another network"):
        carve(deeper, random_architecture(network, small_spec("resnet20")))


def test_a_network_without_groups_is_refused() -> None:
    architecture = random_architecture(restless(small_spec("vgg11")), small_spec("vgg11"))
    with pytest.raises(PruningError, match="Sequential does not say which of its channels go together"):
        carve(nn.Sequential(nn.Linear(2, 2)), architecture)


def test_the_carved_network_is_the_one_that_its_specification_builds() -> None:
    dense = small_spec("preresnet20")
    network = restless(dense)
    architecture = random_architecture(network, dense)
    assert architecture.pruned_spec() == replace(dense, widths=architecture.widths)
    small = carve(network, architecture)
    assert tuple(group.channels for group in small.channel_groups()) == architecture.widths  # type: ignore[operator]


# ------------------------------------------------------------------ networks from elsewhere


class Mine(nn.Linear):
    """A person's own layer, with things of its own."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.note, self.table, self.rate = "mine", {"a": [1, 2]}, 0.5
        self.register_buffer("count", torch.zeros(outputs), persistent=False)

    def forward(self, value: Tensor) -> Tensor:
        return super().forward(value) + self.count


class Stranger(nn.Module):
    """Tied weights, a buffer in no state, an own layer, a norm, a shared configuration, heads as numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(heads=2, size=4)
        self.embed, self.norm = Mine(6, 8), nn.BatchNorm1d(8)
        self.inner, self.head = nn.Linear(8, 8), nn.Linear(8, 3)
        self.again = nn.Linear(8, 8)
        self.again.weight = self.inner.weight
        self.heads, self.size = 2, 4

    def forward(self, value: Tensor) -> Tensor:
        stream = self.norm(self.embed(value))
        stream = stream + self.inner(stream).view(-1, self.heads, self.size).relu().flatten(1) + self.again(stream)
        result: Tensor = self.head(stream)
        return result


def strange(dtype: torch.dtype = torch.float64) -> tuple[Stranger, Architecture]:
    """The network, and an architecture that keeps half of it."""
    torch.manual_seed(0)
    network = Stranger().to(dtype).eval()
    return network, prune_network(network, x(2, 6).to(dtype), fraction={"*": 0.5}, verify=False).architecture


def test_a_network_from_elsewhere_keeps_its_class_and_loses_half_of_its_tensors() -> None:
    network, architecture = strange()
    small = carve(network, architecture)
    assert type(small) is Stranger and small(x(2, 6).double()).shape == (2, 3)
    dense, left = network.state_dict(), small.state_dict()
    assert list(left) == list(dense)
    assert left["embed.weight"].shape == (2, 6) and left["inner.weight"].shape == (2, 2)
    assert (small.heads, small.size) == (1, 2) and (network.heads, network.size) == (2, 4)


def test_every_tensor_is_one_exact_block_of_the_dense_one() -> None:
    network = Stranger().double()
    with torch.no_grad():
        for tensor in [*network.parameters(), *network.buffers()]:
            tensor.copy_(torch.arange(tensor.numel()).reshape(tensor.shape))
    found = prune_network(network, x(2, 6).double(), fraction={"*": 0.5}, verify=False)
    heads, sizes = (dict(zip((2, 4), found.architecture.kept, strict=True))[n].indices for n in (2, 4))
    stays = [4 * head + size for head in heads for size in sizes]
    assert len(stays) == 2
    dense = dict([*network.named_parameters(), *network.named_buffers()])
    for name, block in [*found.network.named_parameters(), *found.network.named_buffers()]:
        for rows, whole in zip(_rows_by_value(block, dense[name].shape), dense[name].shape, strict=True):
            assert rows == (stays if whole == 8 else list(range(whole))), name


def test_the_numbers_of_pytorch_s_layers_say_what_their_tensors_are() -> None:
    small = carve(*strange())
    assert isinstance(small, Stranger)
    assert (small.embed.in_features, small.embed.out_features) == (6, 2)
    assert (small.inner.in_features, small.inner.out_features) == (2, 2) and small.norm.num_features == 2
    assert "in_features=2, out_features=3" in repr(small.head)


def test_tied_weights_stay_tied_and_everything_else_is_a_copy() -> None:
    network, architecture = strange()
    small = carve(network, architecture)
    assert isinstance(small, Stranger)
    assert small.again.weight is small.inner.weight and small.again.bias is not small.inner.bias
    with torch.no_grad():
        for tensor in [*small.parameters(), *small.buffers()]:
            tensor.fill_(7)
    small.embed.table["a"].append(3)
    small.config.heads = 99
    assert not any((tensor == 7).any() for tensor in [*network.parameters(), *network.buffers()])
    assert network.embed.table == {"a": [1, 2]} and network.config.heads == 2


def test_attributes_of_a_person_s_own_layer_come_along() -> None:
    small = carve(*strange())
    assert isinstance(small, Stranger) and type(small.embed) is Mine
    assert (small.embed.note, small.embed.table, small.embed.rate) == ("mine", {"a": [1, 2]}, 0.5)


def test_buffers_in_no_state_are_cut_and_stay_out_of_the_state() -> None:
    small = carve(*strange())
    assert isinstance(small, Stranger)
    assert small.embed.count.shape == (2,) and "embed.count" not in small.state_dict()
    assert "norm.running_mean" in small.state_dict()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_the_type_of_numbers_is_inherited(dtype: torch.dtype) -> None:
    small = carve(*strange(dtype))
    assert {tensor.dtype for tensor in small.parameters()} == {dtype}
    assert small.get_buffer("norm.running_mean").dtype == dtype
    assert small.get_buffer("norm.num_batches_tracked").dtype == torch.int64


def test_modes_and_frozen_parameters_are_inherited_module_by_module() -> None:
    network, architecture = strange()
    network.train()
    network.norm.eval()
    network.embed.weight.requires_grad_(False)
    network.again.bias.requires_grad_(False)
    small = carve(network, architecture)
    assert isinstance(small, Stranger)
    assert {name: module.training for name, module in small.named_modules()} == {
        name: module.training for name, module in network.named_modules()
    }
    assert {name: one.requires_grad for name, one in small.named_parameters()} == {
        name: one.requires_grad for name, one in network.named_parameters()
    }
    assert all(one.grad is None and one.is_leaf for one in small.parameters())


def test_hooks_come_along() -> None:
    network, architecture = strange()
    seen: list[tuple[int, ...]] = []
    network.inner.register_forward_hook(lambda _module, _inputs, result: seen.append(tuple(result.shape)))
    network.head.register_forward_pre_hook(lambda _module, inputs: (inputs[0] * 0,))
    small = carve(network, architecture)
    assert isinstance(small, Stranger)
    assert torch.equal(small(x(2, 6).double()), small.head.bias.expand(2, 3))
    assert seen == [(2, 2)]


def test_attributes_of_parameters_come_along() -> None:
    network, architecture = strange()
    network.embed.weight.is_special = True  # type: ignore[attr-defined]
    assert carve(network, architecture).get_parameter("embed.weight").is_special  # type: ignore[attr-defined]


def test_a_network_on_meta_gives_a_small_one_on_meta() -> None:
    network, architecture = strange()
    small = carve(network.to("meta"), architecture, other_weights=True)
    assert small.get_parameter("embed.weight").shape == (2, 6) and small.get_parameter("embed.weight").is_meta


def test_caches_of_dense_sizes_are_forgotten_in_the_small_network() -> None:
    network, architecture = strange()
    network.mask_cache = {"8": torch.ones(8)}  # type: ignore[assignment]
    small: Any = carve(network, architecture)
    assert small.mask_cache == {} and network.mask_cache != {}


def test_a_network_that_cannot_be_copied_is_told_what_to_do() -> None:
    network, architecture = strange()
    network.lock = threading.Lock()  # type: ignore[assignment]
    with pytest.raises(PruningError, match=r"Stranger cannot be copied .*Give the class a __deepcopy__ method"):
        carve(network, architecture)


def test_other_weights_of_a_network_from_elsewhere_are_refused_unless_they_are_meant() -> None:
    network, architecture = strange()
    with torch.no_grad():
        network.embed.weight.add_(1)
    with pytest.raises(PruningError, match="fingerprints differ"):
        carve(network, architecture)
    assert carve(network, architecture, other_weights=True).get_parameter("embed.weight").shape == (2, 6)


def test_a_small_network_is_not_carved_again_by_the_same_architecture() -> None:
    network, architecture = strange()
    with pytest.raises(PruningError):
        carve(carve(network, architecture), architecture, other_weights=True)


def test_another_network_is_refused() -> None:
    _, architecture = strange()
    with pytest.raises(PruningError):
        carve(nn.Sequential(nn.Linear(6, 8)), architecture, other_weights=True)


def test_groups_of_a_convolution_go_as_they_were_chosen() -> None:
    """Two of four groups whole, or half of each: the shapes are the same, the number of groups is not."""
    torch.manual_seed(0)
    network = Small(
        lambda n, value: n.b(n.c(n.a(value)).mean((2, 3))),
        a=nn.Conv2d(3, 8, 1),
        c=nn.Conv2d(8, 8, 3, groups=4),
        b=nn.Linear(8, 2),
    ).double()
    whole = prune_network(network, x(2, 3, 5, 5).double(), fraction={"*": 0.5})
    inside = prune_network(network, x(2, 3, 5, 5).double(), fraction=0.5)
    assert whole.verification.verified and inside.verification.verified
    assert (whole.network.c.groups, inside.network.c.groups) == (2, 4)  # type: ignore[union-attr]


def test_what_is_cut_may_be_something_else_than_the_weights() -> None:
    network, architecture = strange()
    shapes: dict[tuple[int, ...], int] = {}

    def zeros(tensor: Tensor, keep: Any) -> Tensor:
        shapes[tuple(tensor.shape)] = len(keep)
        sizes = [int(keep[axis].sum()) if axis in keep else size for axis, size in enumerate(tensor.shape)]
        return torch.zeros(sizes, dtype=tensor.dtype)

    small = carve_tensors(network, architecture, zeros)
    assert not any(tensor.any() for tensor in small.parameters())
    assert shapes[(8, 8)] == 2 and shapes[()] == 0


# ------------------------------------------------------------------ whole blocks


def cut_and_shortened() -> tuple[nn.Module, Architecture]:
    """A network of which half of all channels go, and then the middle one of three blocks; all that is left is half."""
    network = Around(Deep(), Deep(), Deep()).double().eval()
    architecture = prune_network(network, IMAGES.double(), fraction=0.5).architecture
    return network, architecture.without(["blocks.1"])


def test_a_block_goes_whole_and_the_rest_is_cut() -> None:
    network, architecture = cut_and_shortened()
    small, images = carve(network, architecture), torch.randn(2, 3, 8, 8, dtype=torch.float64)
    assert isinstance(small.get_submodule("blocks.1"), nn.Identity)
    assert not any(name.startswith("blocks.1.") for name in small.state_dict())
    stream = architecture.kept[0]
    assert any(part.tensor == "blocks.1.conv.weight" for part in stream.slices)
    assert small.get_submodule("blocks.2.first").weight.shape == (WIDTH, WIDTH // 2, 3, 3)
    narrow = carve(network, replace(architecture, removed=()))
    with silent(narrow, ["blocks.1.conv"]):
        assert torch.equal(small(images), narrow(images))


def test_a_block_of_the_zoo_goes_whole() -> None:
    dense = small_spec("preresnet38")
    network = restless(dense)
    architecture = random_architecture(network, dense).without(["stage1.block3", "stage2.block2"])
    small, images = carve(network, architecture), torch.randn(2, *SHAPE, dtype=torch.float64)
    narrow = carve(network, replace(architecture, removed=()))
    with silent(narrow, ["stage1.block3.conv3", "stage2.block2.conv3"]):
        assert torch.equal(small(images), narrow(images))
    names = [group.name for group in channel_groups(small)]
    assert len(names) == len(architecture.kept) - 4 and "stage1.block3.conv1" not in names
    assert fingerprint(network) == architecture.fingerprint


def test_a_network_that_lost_blocks_is_carved_again() -> None:
    dense = replace(small_spec("resnet20"), removed=("stage1.block2",))
    network = restless(dense)
    kept = tuple(
        KeptChannels(group=group.name, channels=group.channels, indices=tuple(range(group.channels)))
        for group in NETWORKS["resnet20"].groups(dense.width)
    )
    kept = (replace(kept[0], indices=(1, 2)), *kept[1:])
    architecture = Architecture(dense=dense, kept=kept, fingerprint=fingerprint(network), regrow="test")
    small = carve(network, architecture.without(["stage3.block3"]))
    assert small.get_submodule("stage1.block1.conv1").weight.shape[0] == 2
    assert [name for name in NETWORKS["resnet20"].removable if isinstance(small.get_submodule(name), nn.Identity)] == [
        "stage1.block2",
        "stage3.block3",
    ]
    small(torch.randn(2, *SHAPE, dtype=torch.float64)).sum().backward()


def test_hooks_of_a_block_go_with_it() -> None:
    network, architecture = cut_and_shortened()
    called: list[int] = []
    for block in network.blocks:
        block.register_forward_hook(lambda *_: called.append(1))
    carve(network, architecture)(torch.randn(2, 3, 8, 8, dtype=torch.float64))
    assert len(called) == 2


def test_a_block_that_shares_a_tensor_with_what_stays_is_refused() -> None:
    network, architecture = cut_and_shortened()
    network.blocks[1].norm.weight = network.blocks[0].norm.weight
    with pytest.raises(PruningError, match=r"blocks\.1\.norm\.weight is the same tensor as blocks\.0\.norm\.weight"):
        carve(network, architecture, other_weights=True)


def test_modes_are_inherited_by_what_stands_in() -> None:
    network, architecture = cut_and_shortened()
    network.train()
    network.blocks[1].eval()
    small = carve(network, architecture)
    assert [module.training for module in small.blocks] == [True, False, True]  # type: ignore[union-attr]


def test_a_block_that_the_network_lacks_is_refused() -> None:
    network, architecture = cut_and_shortened()
    with pytest.raises(PruningError, match=r"Around has no module blocks\.7.*Known: blocks\.0, blocks\.1, blocks\.2"):
        carve(network, replace(architecture, removed=("blocks.7",)))
