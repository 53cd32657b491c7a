from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from regrow.channels.architecture import Architecture, KeptChannels
from regrow.channels.carve import carve
from regrow.channels.fingerprint import fingerprint
from regrow.errors import PruningError
from regrow.networks.zoo import NETWORKS

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
