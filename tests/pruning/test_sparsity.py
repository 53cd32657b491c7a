"""Which weights masks may remove, and putting masks on."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.utils import prune

from regrow.errors import ConfigError, PruningError
from regrow.networks.build import build
from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import dense_spec
from regrow.pruning.sparsity import apply_masks, collapsed, kept_of_masks, maskable, masked_parameters, weights_of
from tests.pruning.masked_networks import WEIGHTS, small


def test_convolutions_and_linear_layers_but_the_last_one_may_lose_weights() -> None:
    assert maskable(small()) == WEIGHTS


def test_a_vgg_of_the_zoo_keeps_norms_biases_and_classifier() -> None:
    network = build(dense_spec(NetworkSettings(name="vgg19", width=0.125), classes=10, shape=(3, 32, 32)), 0)
    assert maskable(network) == tuple(f"features.conv{i}.weight" for i in range(1, 17))


@pytest.mark.parametrize(
    ("name", "weights", "classifier"),
    [
        ("resnet50", 23_454_912, "fc.weight"),
        ("mobilenet_v3_small", 1_501_832, "classifier.3.weight"),
        ("squeezenet1_0", 732_448, "classifier.1.weight"),
        ("vit_b_16", 85_524_480, "heads.head.weight"),
    ],
)
def test_known_networks_offer_every_matrix_and_filter_but_the_classifiers(
    name: str, weights: int, classifier: str
) -> None:
    with torch.device("meta"):
        network = getattr(torchvision.models, name)(weights=None)
    names = maskable(network)
    parameters = dict(network.named_parameters())
    # Biases and norms are vectors; a ViT's class token and positions have three axes.
    assert set(names) | {classifier} == {one for one, parameter in parameters.items() if parameter.ndim in (2, 4)}
    assert classifier not in names
    assert sum(parameters[one].numel() for one in names) == weights


def test_the_projections_inside_attention_are_weights_of_linear_layers() -> None:
    attention = nn.Sequential(nn.MultiheadAttention(8, 2), nn.Linear(8, 2))
    assert maskable(attention) == ("0.in_proj_weight", "0.out_proj.weight")
    apart = nn.Sequential(nn.MultiheadAttention(8, 2, kdim=4, vdim=6), nn.Linear(8, 2))
    assert maskable(apart)[:3] == ("0.q_proj_weight", "0.k_proj_weight", "0.v_proj_weight")


def test_a_weight_that_is_the_classifiers_too_stays_and_tied_ones_are_named_once() -> None:
    network = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6))
    network[1].weight = network[0].weight
    network[2].weight = network[3].weight
    assert maskable(network) == ("0.weight",)


def test_skipped_names_modules_and_patterns_stay_whole() -> None:
    assert maskable(small(), ["0.weight"]) == ("3.weight", "6.weight")
    assert maskable(small(), ["3"]) == ("0.weight", "6.weight")
    assert maskable(small(), ["[03]*"]) == ("6.weight",)


def test_a_skip_that_meets_nothing_is_a_mistake() -> None:
    with pytest.raises(ConfigError) as caught:
        maskable(small(), ["3.weigth", "0"])
    assert [(fault.key, fault.rule) for fault in caught.value.faults] == [
        ("prune.skip", "no weight that a mask may remove is called '3.weigth'")
    ]
    assert "Did you mean '3.weight'?" in str(caught.value)


def test_a_network_with_nothing_to_mask_is_refused() -> None:
    with pytest.raises(PruningError, match="0 tensors besides the classifier's, 0 of them skipped"):
        maskable(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
    with pytest.raises(PruningError, match="3 tensors besides the classifier's, 3 of them skipped"):
        maskable(small(), ["*"])


def test_a_weight_under_torchs_pruning_is_pointed_to_its_reader() -> None:
    network = small()
    prune.l1_unstructured(network[3], "weight", amount=0.5)
    with pytest.raises(PruningError, match=r"3.weight is computed from 3.weight_orig .*from_torch_prune"):
        maskable(network)
    assert set(weights_of(network)) == {"0.weight", "3.weight_orig", "6.weight"}


def masks() -> dict[str, Tensor]:
    torch.manual_seed(1)
    parameters = dict(small().named_parameters())
    return {name: torch.rand(parameters[name].shape) > 0.5 for name in WEIGHTS}


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_masks_zero_what_they_remove_and_nothing_else(layout: torch.memory_format) -> None:
    network, found = small().to(memory_format=layout), masks()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    apply_masks(network, found)
    for name, tensor in network.state_dict().items():
        expected = before[name] * found[name] if name in found else before[name]
        assert torch.equal(tensor, expected)
        assert tensor.stride() == before[name].stride()


def test_masks_of_another_network_are_refused_with_all_that_does_not_fit() -> None:
    wrong = {"0.weight": torch.ones(2, 2, dtype=torch.bool), "9.weight": torch.ones(1, dtype=torch.bool)}
    wrong |= {"3.weight": torch.ones(4, 8, 3, 3)}
    with pytest.raises(PruningError) as caught:
        apply_masks(small(), wrong)
    assert "0.weight has shape [8, 3, 3, 3], its mask [2, 2]" in str(caught.value)
    assert "it has no parameter 9.weight" in str(caught.value)
    assert "the mask of 3.weight must be boolean" in str(caught.value)


def test_a_tied_weight_goes_by_either_name() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    network[1].weight = network[0].weight
    mask = torch.ones(4, 4, dtype=torch.bool)
    assert masked_parameters(network, {"1.weight": mask})["1.weight"] is network[0].weight


def test_counts_of_masks_are_sums() -> None:
    assert kept_of_masks({"a": torch.tensor([[True, False]]), "b": torch.tensor([True, True, False])}) == (3, 5)


def test_layers_that_are_all_but_gone_are_said_and_others_are_not() -> None:
    gone, one, thin = (torch.zeros(4000, dtype=torch.bool) for _ in range(3))
    one[7], thin[:3] = True, True
    healthy = torch.arange(4000) < 40
    few = torch.arange(20) < 1
    whole = torch.tensor([True])
    notes = collapsed({"gone": gone, "one": one, "thin": thin, "healthy": healthy, "few": few, "whole": whole})
    assert [note.partition(":")[0] for note in notes] == [
        "gone keeps 0 of 4000 weights",
        "one keeps 1 of 4000 weights",
        "thin keeps 3 of 4000 weights",
        "few keeps 1 of 20 weights",
    ]
