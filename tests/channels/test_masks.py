from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from regrow.channels.carve import carve
from regrow.channels.fingerprint import fingerprint
from regrow.channels.masks import axis_masks, mask_only, named_tensors
from regrow.errors import PruningError
from regrow.networks.zoo import NETWORKS

from .by_hand import HALF, Residual, architecture, residual
from .zoo_networks import SHAPE, random_architecture, restless, small_spec

IMAGES = torch.randn(3, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
PHOTOS = torch.randn(4, 3, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def removed_is_zero(network: nn.Module) -> bool:
    masks = axis_masks(network, HALF)
    blocks = [
        parameter.index_select(axis, (~keep).nonzero().flatten())
        for name, parameter in network.named_parameters()
        for axis, keep in masks.get(name, {}).items()
    ]
    assert len(blocks) == 9
    return all(not block.any() for block in blocks)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_masked_network_computes_what_the_carved_one_does(name: str) -> None:
    spec = small_spec(name)
    network = restless(spec)
    pruned = random_architecture(network, spec)
    with torch.no_grad():
        found, expected = mask_only(network, pruned)(IMAGES), carve(network, pruned)(IMAGES)
        assert float((network(IMAGES) - expected).abs().max()) > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_shapes_and_names_are_the_dense_network_s_and_it_is_left_alone() -> None:
    network = residual()
    before = fingerprint(network)
    masked = mask_only(network, HALF)
    assert {name: tensor.shape for name, tensor in named_tensors(masked).items()} == {
        name: tensor.shape for name, tensor in named_tensors(network).items()
    }
    assert masked.state_dict().keys() == network.state_dict().keys()
    masked(PHOTOS).sum().backward()
    assert fingerprint(network) == before
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
        lambda parameters: torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.1),
    ],
)
def test_what_was_removed_stays_zero_through_training_and_the_rest_moves(optimizer: object) -> None:
    masked = mask_only(residual(), HALF)
    start = fingerprint(masked)
    steps = optimizer(masked.parameters())  # type: ignore[operator]
    for _ in range(5):
        steps.zero_grad()
        masked(PHOTOS).square().mean().backward()
        steps.step()
        assert removed_is_zero(masked)
    assert fingerprint(masked) != start
    assert bool(masked.get_parameter("stem.weight")[0].any())


def test_the_gradients_of_what_stays_are_the_small_network_s() -> None:
    masked = mask_only(residual(), HALF)
    masked(PHOTOS).square().sum().backward()
    small = Residual(6, 5).double()
    masks = axis_masks(masked, HALF)
    blocks = {}
    for name, parameter in masked.named_parameters():
        blocks[name] = torch.stack([parameter.detach(), parameter.grad])  # type: ignore[list-item]
        for axis, keep in masks.get(name, {}).items():
            blocks[name] = blocks[name].index_select(axis + 1, keep.nonzero().flatten())
    small.load_state_dict({name: block[0] for name, block in blocks.items()})
    small(PHOTOS).square().sum().backward()
    for name, parameter in small.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(blocks[name][1], parameter.grad)


def test_weights_that_are_loaded_later_are_silenced_too_and_so_are_copies() -> None:
    masked = copy.deepcopy(mask_only(residual(), HALF))
    masked.load_state_dict(residual().state_dict())
    assert not removed_is_zero(masked)
    masked(PHOTOS)
    assert removed_is_zero(masked)


def test_two_forward_passes_before_one_backward_are_fine() -> None:
    masked = mask_only(residual(), HALF)
    (masked(PHOTOS) * masked(2 * PHOTOS)).sum().backward()
    assert masked.get_parameter("stem.weight").grad is not None


def test_frozen_parameters_stay_frozen() -> None:
    network = residual()
    network.get_parameter("stem.weight").requires_grad_(False)
    masked = mask_only(network, HALF)
    masked(PHOTOS).sum().backward()
    assert masked.get_parameter("stem.weight").grad is None


def test_an_architecture_of_another_network_is_refused() -> None:
    with pytest.raises(PruningError, match=r"names the tensor stem\.weight"):
        mask_only(nn.Linear(2, 2), HALF)
    with pytest.raises(
        PruningError, match=r"takes 12 indices from index 0 of axis 0 of stem.weight, whose shape is \(6,"
    ):
        mask_only(Residual(6, 5), HALF)
    spec = small_spec("vgg11")
    with pytest.raises(PruningError, match="made from another network: it has"):
        mask_only(restless(small_spec("resnet20")), random_architecture(restless(spec), spec))


def test_axes_that_no_group_touches_are_left_out() -> None:
    masks = axis_masks(residual(), architecture(inner=(10, (0, 9))))
    assert {name: list(axes) for name, axes in masks.items()} == {
        "inner.weight": [0],
        "inner.bias": [0],
        "outer.weight": [1],
    }
    assert masks["inner.bias"][0].tolist() == [True, *[False] * 8, True]


def test_tensors_of_removed_blocks_have_no_masks_and_cannot_be_shown_as_zeros() -> None:
    spec = small_spec("resnet20")
    network = restless(spec)
    architecture = random_architecture(network, spec)
    without = architecture.without(["stage2.block2"])
    names = {name for name in axis_masks(network, architecture) if name.startswith("stage2.block2.")}
    assert names and axis_masks(network, without).keys() == axis_masks(network, architecture).keys() - names
    with pytest.raises(PruningError, match=r"removes whole blocks \(stage2\.block2"):
        mask_only(network, without)
