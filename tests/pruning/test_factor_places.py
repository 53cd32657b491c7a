"""Places of factors: behind which module, along which axis, and into which weights; code that hides them is refused."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import linear
from torchvision.models.convnext import LayerNorm2d

from regrow.channels.blocks import residual_blocks
from regrow.channels.groups import channel_groups
from regrow.channels.trace import trace
from regrow.errors import PruningError
from regrow.networks.groups import Group, Slice
from regrow.pruning.factor_places import evaluated, outputs, places_of_blocks, places_of_channels
from regrow.pruning.structure import structure_of_blocks, structure_of_channels
from tests.pruning.sparse_trainings import zoo


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def transformer(dropout: float) -> nn.Module:
    torch.manual_seed(0)
    return torchvision.models.VisionTransformer(
        image_size=16, patch_size=8, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=12, dropout=dropout, num_classes=4
    )


def ends(network: nn.Module, example: Tensor) -> Mapping[str, tuple[str, ...]]:
    return {block.name: block.ends for block in residual_blocks(network, example)}


def test_norms_of_the_zoo_take_factors_along_axis_one() -> None:
    network = zoo("resnet20", 0.25)
    groups = channel_groups(network)
    places = places_of_channels(network, groups)
    assert [place.name for place in places] == [f"{group.name.removesuffix('.conv1')}.norm1" for group in groups]
    assert {(place.axis, len(place.scaled)) for place in places} == {(1, 2)}
    assert (
        [int(place.numbers[0]) for place in places]
        == [place.first for place in places]
        == [4 * n for n in range(3)] + [12 + 8 * n for n in range(3)] + [36 + 16 * n for n in range(3)]
    )


def test_indices_of_no_group_are_multiplied_by_one() -> None:
    network = zoo("densenet40", 0.25)
    groups = channel_groups(network)[1:]
    (norm,) = [place for place in places_of_channels(network, groups) if place.name == "block1.layer2.norm1"]
    assert norm.first is None
    output = torch.ones(1, len(norm.numbers), 2, 2)
    factors = torch.arange(2.0, 2.0 + sum(group.channels for group in groups))
    stem = channel_groups(network)[0].channels
    assert norm.over(factors, output).flatten().tolist() == [1.0] * stem + [2.0, 3.0, 4.0]


def test_channels_that_two_groups_divide_are_multiplied_by_both_factors() -> None:
    # Two heads of two channels: rows 0 and 1 are of head 0, rows 0 and 2 are channel 0 of their heads.
    network = nn.Sequential(nn.Linear(3, 4, bias=False))
    heads = Group("heads", 2, (Slice("0.weight", 0, repeat=2),), role="heads")
    inner = Group("inner", 2, (Slice("0.weight", 0, tile=2),))
    hand = structure_of_channels(network, (heads, inner), noise(2, 3))
    hand.attach(network)
    hand.factors.data.copy_(torch.tensor([2.0, 3.0, 5.0, 7.0]))
    x = noise(2, 3)
    plain = linear(x, network[0].weight).detach()
    torch.testing.assert_close(network(x), plain * torch.tensor([10.0, 14.0, 15.0, 21.0]))


def test_norms_that_move_the_channel_axis_are_found_by_looking() -> None:
    network = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), LayerNorm2d(6), nn.ReLU(), nn.Conv2d(6, 2, 3))
    group = Group("0", 6, (Slice("0.weight", 0), Slice("1.weight", 0), Slice("1.bias", 0), Slice("3.weight", 1)))
    example = noise(2, 3, 6, 6)
    (place,) = places_of_channels(network, (group,), example)
    assert (place.name, place.axis) == ("1", 1)
    structure_of_channels(network, (group,), example)


def test_a_layer_norm_has_its_channels_last_even_where_both_axes_fit() -> None:
    network = nn.Sequential(nn.Linear(3, 6), nn.LayerNorm(6), nn.Linear(6, 2))
    group = Group("0", 6, (Slice("0.weight", 0), Slice("1.weight", 0)))
    (place,) = places_of_channels(network, (group,), noise(2, 6, 3))
    assert place.axis == -1


class Uncalled(nn.Module):
    """Uses the weights of a layer that it never calls."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.layer.weight, self.layer.bias)


def test_layers_that_are_never_called_are_refused() -> None:
    group = Group("layer", 4, (Slice("layer.weight", 0),))
    with pytest.raises(PruningError, match="uses the weights of layer without calling it"):
        places_of_channels(Uncalled(), (group,), noise(2, 3))


def test_tied_weights_are_refused() -> None:
    network = nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 4, bias=False))
    network[2].weight = network[0].weight
    with pytest.raises(PruningError, match=r"0\.weight and 2\.weight are one tensor"):
        places_of_channels(network, (Group("0", 4, (Slice("0.weight", 0),)),))


def test_weights_with_channels_along_another_axis_are_refused() -> None:
    network = nn.Sequential(nn.ConvTranspose2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1))
    groups = trace(network, noise(1, 3, 5, 5)).groups
    with pytest.raises(PruningError, match=r"are computed by 0\.weight, along its axis 1\. Leave the group out"):
        places_of_channels(network, groups)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_both_branches_of_a_transformers_block_take_its_factor(dropout: float) -> None:
    network, example = transformer(dropout), noise(2, 3, 16, 16)
    places = places_of_blocks(network, ends(network, example))
    assert [int(place.numbers) for place in places] == [0, 0, 1, 1]
    layer = network.encoder.layers.encoder_layer_0  # type: ignore[union-attr]
    found = [{id(parameter) for parameter in place.scaled} for place in places[:2]]
    assert found == [
        {id(one) for one in layer.self_attention.out_proj.parameters()},
        {id(one) for one in layer.mlp[3].parameters()},
    ]
    structure_of_blocks(network, ends(network, example), example)


class Scaled(nn.Module):
    """A branch whose last step is a scale per channel, as in CaiT and ConvNeXt."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((4,), 0.3))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Block(nn.Module):
    """A shortcut around one linear layer and some last step."""

    def __init__(self, last: nn.Module) -> None:
        super().__init__()
        self.layer, self.last = nn.Linear(4, 4), last

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.last(self.layer(x))
        return result


def test_a_layer_scale_takes_the_factor_in() -> None:
    network = nn.Sequential(Block(Scaled()))
    hand = structure_of_blocks(network, {"0": ("0.last",)}, noise(2, 4))
    hand.attach(network)
    hand.factors.data.fill_(0.5)
    hand.finish()
    assert network[0].last.gamma.tolist() == pytest.approx([0.15] * 4)


def test_an_end_that_bends_its_input_is_refused_by_numbers_and_weights_keep_their_bits() -> None:
    network = nn.Sequential(Block(nn.Sequential(nn.Linear(4, 4), nn.Sigmoid())))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(PruningError, match=r"factors behind 0\.last cannot be multiplied into its weights"):
        structure_of_blocks(network, {"0": ("0.last",)}, noise(2, 4))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not network[0].last._forward_hooks


def test_an_end_without_any_weights_before_it_is_refused() -> None:
    network = nn.Sequential(nn.Sequential(nn.Tanh()))
    with pytest.raises(PruningError, match=r"0\.0, the end of block 0, is a Tanh, and neither it"):
        places_of_blocks(network, {"0": ("0.0",)})


def test_looking_leaves_modes_and_statistics_alone() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).train()
    network[1].eval()
    assert outputs(network, ["0"], noise(5, 3)) == {"0": (5, 4)}
    assert [module.training for module in network] == [True, False]
    assert int(network[1].num_batches_tracked) == 0
    assert not evaluated(network, noise(5, 3)).requires_grad


def test_a_branch_that_begins_at_zero_is_tried_as_if_it_did_not() -> None:
    network = nn.Sequential(Block(nn.Sequential(nn.Linear(4, 4), nn.Tanh())))
    for parameter in network[0].last.parameters():
        nn.init.zeros_(parameter)
    with pytest.raises(PruningError, match=r"factors behind 0\.last cannot"):
        structure_of_blocks(network, {"0": ("0.last",)}, torch.zeros(2, 4))
    assert not any(bool(parameter.any()) for parameter in network[0].last.parameters())
