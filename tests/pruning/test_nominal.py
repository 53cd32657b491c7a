"""Nominal MACs: positions times kept weights, whatever the layer, against sums by hand and the published ratios."""

from __future__ import annotations

import copy

import pytest
import torch
import torchvision
from torch import Tensor, nn

from regrow.errors import PruningError
from regrow.networks.build import build
from regrow.networks.cost import cost_of
from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import dense_spec
from regrow.pruning.mask_choice import keep_weights
from regrow.pruning.mask_draws import random_masks
from regrow.pruning.nominal import nominal_macs
from regrow.pruning.sparsity import Masks, maskable
from tests.pruning.masked_networks import small


def keeping(shape: tuple[int, ...], count: int) -> Tensor:
    return (torch.arange(int(torch.tensor(shape).prod())) < count).view(shape)


def random_of(network: nn.Module, fraction: float) -> Masks:
    parameters = dict(network.named_parameters())
    scores = {name: torch.rand(parameters[name].shape) for name in maskable(network)}
    return keep_weights(scores, fraction=fraction)


def test_a_sum_by_hand() -> None:
    masks = {
        "0.weight": keeping((8, 3, 3, 3), 50),
        "3.weight": keeping((4, 8, 3, 3), 20),
        "6.weight": keeping((12, 16), 7),
    }
    # 5x5 images: 25 pixels of the first convolution (padded), 9 of the second; then one row each; the classifier is whole.
    assert nominal_macs(small(), masks, (3, 5, 5)) == 25 * 50 + 9 * 20 + 7 + 12 * 4
    assert cost_of(small(), (3, 5, 5)).macs == 25 * 216 + 9 * 288 + 192 + 48


def test_a_mask_that_keeps_all_saves_nothing_and_none_saves_all() -> None:
    network = small()
    assert nominal_macs(network, {}, (3, 5, 5)) == cost_of(network, (3, 5, 5)).macs
    parameters = dict(network.named_parameters())
    whole = {name: torch.ones(parameters[name].shape, dtype=torch.bool) for name in maskable(network)}
    assert nominal_macs(network, whole, (3, 5, 5)) == cost_of(network, (3, 5, 5)).macs
    assert nominal_macs(network, {name: ~mask for name, mask in whole.items()}, (3, 5, 5)) == 48


def test_grouped_strided_and_transposed_convolutions_count_their_own_positions() -> None:
    network = nn.Sequential(
        nn.Conv2d(4, 8, 3, stride=2, groups=2), nn.ConvTranspose2d(8, 6, 2, stride=2, groups=2), nn.Conv2d(6, 2, 1)
    )
    masks = {
        "0.weight": keeping((8, 2, 3, 3), 11),
        "1.weight": keeping((8, 3, 2, 2), 13),
        "2.weight": keeping((2, 6, 1, 1), 5),
    }
    # 9x9 -> 4x4 -> 8x8; a transposed convolution multiplies each weight once per input pixel.
    assert nominal_macs(network, masks, (4, 9, 9)) == 16 * 11 + 16 * 13 + 64 * 5


class Attention(nn.Module):
    """Attention of a sequence to itself or to its first half, which reads the projections as one tensor or in parts."""

    def __init__(self, cross: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.cross = cross
        self.head = nn.Linear(8, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        memory = tokens[:, :3] if self.cross else tokens
        attended: Tensor = self.head(self.attention(tokens, memory, memory)[0])
        return attended


@pytest.mark.parametrize(("cross", "rows"), [(False, 6), (True, 3)])
def test_projections_inside_attention_count_part_by_part(cross: bool, rows: int) -> None:
    network, shape = Attention(cross), (6, 8)
    mask = torch.ones(24, 8, dtype=torch.bool)
    mask[0, :5] = False  # of the queries: 6 rows
    mask[10, :7] = False  # of the keys
    mask[20, 0] = False  # of the values
    executed = cost_of(network, shape).macs
    assert nominal_macs(network, {"attention.in_proj_weight": mask}, shape) == executed - 6 * 5 - rows * 8


def test_parts_of_a_projection_that_lies_in_columns_are_found_in_it() -> None:
    network, mask = Attention(cross=True), torch.ones(24, 8, dtype=torch.bool)
    mask[0, :5] = mask[20, 0] = False
    columns = network.attention.in_proj_weight.data.t().contiguous().t()
    network.attention.in_proj_weight.data = columns
    assert not columns.is_contiguous()
    executed = cost_of(network, (6, 8)).macs
    assert nominal_macs(network, {"attention.in_proj_weight": mask}, (6, 8)) == executed - 6 * 5 - 3 * 1


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_memory_layout_changes_nothing(layout: torch.memory_format) -> None:
    network = small().to(memory_format=layout)
    masks = {"3.weight": keeping((4, 8, 3, 3), 100)}
    assert nominal_macs(network, masks, (3, 5, 5)) == cost_of(network, (3, 5, 5)).macs - 9 * 188


class Looking(nn.Module):
    """A forward that looks at numbers, and so cannot run without them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, values: Tensor) -> Tensor:
        hidden: Tensor = self.first(values)
        return self.second(hidden * 2 if bool(hidden.sum() > 0) else hidden)


def test_a_network_that_looks_at_numbers_is_run_in_earnest() -> None:
    assert nominal_macs(Looking(), {"first.weight": keeping((4, 4), 6)}, (4,)) == 6 + 8


def small_vit() -> nn.Module:
    """A ViT of two blocks."""
    return torchvision.models.VisionTransformer(
        image_size=224, patch_size=32, num_layers=2, num_heads=4, hidden_dim=64, mlp_dim=128
    )


FACTORIES = {
    "resnet18": torchvision.models.resnet18,
    "mobilenet_v3_small": torchvision.models.mobilenet_v3_small,
    "vit": small_vit,
}


@pytest.mark.parametrize("name", FACTORIES)
def test_known_networks_agree_with_hooks_that_count_layer_by_layer(name: str) -> None:
    torch.manual_seed(0)
    network = FACTORIES[name]()
    masks = {one: mask for one, mask in random_of(network, 0.9).items() if "attention" not in one}
    removed = 0

    def note(layer: str) -> object:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            nonlocal removed
            positions = output.numel() // module.weight.shape[0]
            removed += positions * int((~masks[f"{layer}.weight"]).sum())

        return hook

    counted = copy.deepcopy(network)
    for layer, module in counted.named_modules():
        if f"{layer}.weight" in masks:
            module.register_forward_hook(note(layer))
    counted.to("meta").eval()(torch.empty(1, 3, 224, 224, device="meta"))
    executed = cost_of(network, (3, 224, 224)).macs
    assert 0 < removed < executed
    assert nominal_macs(network, masks, (3, 224, 224)) == executed - removed


PUBLISHED = {0.3: 1.43, 0.8: 4.96, 0.95: 19.4}
"""Dense over masked FLOPs of VGG-19 at uniform random sparsity, counted by the paper's program: 228, 793 and 3,111 epochs."""


@pytest.mark.parametrize(("fraction", "ratio"), PUBLISHED.items())
def test_vgg19_at_random_sparsity_costs_what_the_papers_program_counts(fraction: float, ratio: float) -> None:
    network = build(dense_spec(NetworkSettings(name="vgg19"), classes=10, shape=(3, 32, 32)), 0)
    parameters = dict(network.named_parameters())
    whole = {name: torch.ones(parameters[name].shape, dtype=torch.bool) for name in maskable(network)}
    dense = cost_of(network, (3, 32, 32)).macs
    scores = {name: torch.rand(mask.shape, generator=torch.Generator().manual_seed(1)) for name, mask in whole.items()}
    masked = nominal_macs(network, keep_weights(scores, fraction=fraction), (3, 32, 32))
    # Their program also counts, whole: 2 a norm output, 1 a rectifier, 4 a pooled pixel, and the classifier's bias.
    maps = 2 * 64 * 32**2 + 2 * 128 * 16**2 + 4 * 256 * 8**2 + 4 * 512 * 4**2 + 4 * 512 * 2**2
    pooled = 64 * 16**2 + 128 * 8**2 + 256 * 4**2 + 512 * 2**2
    others = 3 * maps + 4 * pooled + 10
    assert (2 * dense + others) / (2 * masked + others) == pytest.approx(ratio, rel=0.01)
    assert 2 * dense + others == pytest.approx(797.3e6, abs=0.05e6)


def test_masks_of_another_network_are_refused() -> None:
    with pytest.raises(PruningError, match="has no parameter x"):
        nominal_macs(small(), {"x": torch.ones(2, dtype=torch.bool)}, (3, 5, 5))


def test_the_network_is_not_touched() -> None:
    network = small().train()
    before = copy.deepcopy(network.state_dict())
    nominal_macs(network, random_masks({"3.weight": keeping((4, 8, 3, 3), 9)}, 0), (3, 5, 5))
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
