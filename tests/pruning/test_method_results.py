"""What a method may return, and what becomes of it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune

import regrow
from regrow.channels.carve import carve
from regrow.channels.trace import trace
from regrow.errors import PruningError
from regrow.networks.build import build
from regrow.networks.settings import NetworkSettings
from regrow.networks.spec import NetworkSpec
from regrow.networks.zoo import dense_spec
from regrow.pruning.adopt import adopt
from regrow.pruning.method_results import MethodResult, understood

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(7))
SPEC = dense_spec(NetworkSettings(name="vgg11", width=0.0625), classes=10, shape=(3, 32, 32))


@pytest.fixture
def network() -> nn.Module:
    return build(SPEC, 0).eval()


def understand(result: Any, network: nn.Module, spec: NetworkSpec | None = SPEC) -> MethodResult:
    traced = None if spec else trace(network, IMAGES)
    groups = network.channel_groups() if traced is None else traced.groups  # type: ignore[operator]
    return understood(result, "mine:shrink", network, IMAGES, groups=groups, dense=spec, traced=traced)


def parts(found: MethodResult) -> tuple[regrow.Architecture, dict[str, tuple[int, ...]]]:
    assert found.architecture is not None and found.masks is None
    return found.architecture, found.architecture.indices


@pytest.mark.parametrize("key", ["features.conv1", "features.conv1.weight"])
@pytest.mark.parametrize(
    "kept", [[2, 0], (0, 2), {0, 2}, torch.tensor([2, 0]), torch.tensor([True, False, True, False])]
)
def test_kept_indices_make_an_architecture_and_other_groups_stay_whole(key: str, kept: Any, network: nn.Module) -> None:
    architecture, indices = parts(understand({key: kept}, network))
    assert indices["features.conv1"] == (0, 2)
    assert architecture.widths[1:] == SPEC.widths[1:]
    assert carve(network, architecture)(IMAGES).shape == (2, 10)
    assert architecture.pruned_spec().widths[0] == 2


def test_kept_indices_of_a_traced_network_carry_its_groups_and_corrections() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.Flatten(), nn.Linear(5 * 28 * 28, 2)
    ).eval()
    architecture, indices = parts(understand({"0": [1, 3]}, network, None))
    assert indices["0"] == (1, 3)
    small = carve(network, architecture)
    assert small[0].out_channels == small[2].in_channels == 2  # type: ignore[index]


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"features.conv9": [0]}, "'features.conv9', which is no group that can be pruned.*Did you mean"),
        ({"features.conv1": []}, "whole numbers from 0 to 3, at least one"),
        ({"features.conv1": [4]}, "from 0 to 3"),
        ({"features.conv1": [-1]}, "from 0 to 3"),
        ({"features.conv1": [1, 1]}, "different whole numbers"),
        ({"features.conv1": [0.5]}, "whole numbers"),
        ({"features.conv1": "01"}, "whole numbers"),
        ({"features.conv1": 2}, "whole numbers"),
        ({"features.conv1": [True, False, True, False]}, "whole numbers"),
        ({"features.conv1": [0], "features.conv1.weight": [1]}, "two choices for the group features.conv1"),
        ({"features.conv1": [0, 1, 2, 3]}, "keeps every channel: it removes nothing"),
        ({}, "returned an empty dict"),
        ({"features.conv1.weight": torch.zeros(2, 3, 3, 3)}, "the small network must have the dense network's tensors"),
        ({1: [0]}, "returned a dict"),
        (0.5, "returned a float. A method returns a smaller torch.nn.Module"),
        ([0, 1], "returned a list"),
    ],
)
def test_wrong_results_are_refused_with_what_is_accepted(result: Any, said: str, network: nn.Module) -> None:
    with pytest.raises(PruningError, match=said) as caught:
        understand(result, network)
    assert str(caught.value).startswith(("mine:shrink", "the small network"))


def test_a_smaller_module_is_adopted_and_its_weights_are_the_dense_ones(network: nn.Module) -> None:
    small, architecture = regrow.prune(network, IMAGES, fraction=0.5)
    found = understand(small, network)
    assert parts(found)[1] == architecture.indices and found.weights is None
    assert parts(found)[0].dense == SPEC


def test_a_smaller_module_with_other_numbers_brings_them(network: nn.Module) -> None:
    small, _ = regrow.prune(network, IMAGES, fraction=0.5)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.mul_(1.25)
    found = understand(small, network)
    assert found.weights is not None
    with torch.no_grad():
        assert torch.equal(found.weights(IMAGES), small(IMAGES))
    assert "by the direction of their weights" in found.notes[0]


def test_tensors_by_name_are_a_smaller_network_too(network: nn.Module) -> None:
    small, architecture = regrow.prune(network, IMAGES, fraction=0.5)
    assert parts(understand(dict(small.state_dict()), network))[1] == architecture.indices


def test_an_architecture_that_was_traced_becomes_one_of_the_zoo(network: nn.Module) -> None:
    small, architecture = regrow.prune(network, IMAGES, fraction=0.5)
    found, indices = parts(understand(architecture, network))
    assert architecture.dense is None and found.dense == SPEC
    assert indices == architecture.indices
    with torch.no_grad():
        assert torch.equal(carve(network, found)(IMAGES), small(IMAGES))


def test_what_regrow_prune_and_adopt_return_can_be_returned(network: nn.Module) -> None:
    pruned = regrow.prune(network, IMAGES, fraction=0.5)
    assert parts(understand(pruned, network))[1] == pruned.architecture.indices
    assert parts(understand(adopt(network, pruned.network, IMAGES), network))[1] == pruned.architecture.indices


def test_masks_of_torch_prune_are_masks(network: nn.Module) -> None:
    masked = copy.deepcopy(network)
    layers = [(module, "weight") for module in masked.modules() if isinstance(module, nn.Conv2d)]
    torch_prune.global_unstructured(layers, pruning_method=torch_prune.L1Unstructured, amount=0.4)
    found = understand(masked, network)
    assert found.masks is not None and found.architecture is None and found.weights is None
    total = sum(module.weight_mask.numel() for module, _ in layers)
    gone = sum(int((~mask).sum()) for mask in found.masks.values())
    assert gone == round(0.4 * total)
    assert all(
        torch.equal(found.masks[f"{name}.weight"], module.weight_mask.bool())
        for name, module in masked.named_modules()
        if isinstance(module, nn.Conv2d)
    )


def test_masks_with_other_numbers_bring_them(network: nn.Module) -> None:
    masked = copy.deepcopy(network)
    conv = masked.get_submodule("features.conv2")
    torch_prune.l1_unstructured(conv, "weight", amount=5)
    with torch.no_grad():
        conv.weight_orig.mul_(2)  # type: ignore[operator, union-attr]
        expected = masked(IMAGES)
    found = understand(masked, network)
    assert found.weights is not None and not hasattr(found.weights.get_submodule("features.conv2"), "weight_orig")
    with torch.no_grad():
        assert torch.equal(found.weights(IMAGES), expected)


def test_plain_zeros_are_masks(network: nn.Module) -> None:
    zeroed = copy.deepcopy(network)
    with torch.no_grad():
        zeroed.get_parameter("features.conv3.weight")[2:5].zero_()
    found = understand(zeroed, network)
    assert found.masks is not None and found.weights is None
    assert (
        int((~found.masks["features.conv3.weight"]).sum()) == zeroed.get_parameter("features.conv3.weight")[2:5].numel()
    )


def test_boolean_tensors_of_full_shape_are_masks(network: nn.Module) -> None:
    mask = torch.ones(network.get_parameter("features.conv2.weight").shape, dtype=torch.bool)
    mask[0, 0] = False
    found = understand({"features.conv2.weight": mask}, network)
    assert found.masks is not None and torch.equal(found.masks["features.conv2.weight"], mask)


def whole_mask(network: nn.Module) -> Tensor:
    return torch.ones_like(network.get_parameter("features.conv2.weight"), dtype=torch.bool)


def test_what_removes_nothing_is_refused(network: nn.Module) -> None:
    with pytest.raises(PruningError, match="without a mask or a zero in its weights: it removes nothing"):
        understand(copy.deepcopy(network), network)
    with pytest.raises(PruningError, match="masks that keep every weight"):
        understand({"features.conv2.weight": whole_mask(network)}, network)


def test_masks_of_another_network_are_refused(network: nn.Module) -> None:
    with pytest.raises(PruningError, match="no parameter elsewhere"):
        understand({"elsewhere": ~whole_mask(network)}, network)
