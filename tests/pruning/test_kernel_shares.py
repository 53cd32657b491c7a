"""Kernel shares: which stage a weight belongs to, and what its masks keep, counted by hand."""

from __future__ import annotations

import pytest
import torch

from regrow.networks.build import build
from regrow.networks.prunable import prunable_of_zoo
from regrow.pruning.kernel_shares import shares_by_position, shares_by_stage, stages_of
from regrow.pruning.sparsity import maskable

from .guides import dense


@pytest.mark.parametrize("name", ["vgg16", "resnet20", "preresnet20", "densenet40", "densenet-bc100"])
def test_every_weight_of_the_zoo_is_of_the_stage_that_its_name_or_its_place_says(name: str) -> None:
    network = build(dense(name))
    groups = prunable_of_zoo(dense(name)).groups
    found = stages_of(maskable(network), groups)
    assert all(found[f"{group.name}.weight"] == group.stage for group in groups)
    for tensor, stage in found.items():
        inside = [word for word in ("stage", "block") if tensor.startswith(word)]
        if inside:
            assert stage == int(tensor[len(inside[0])]) - 1, tensor
    assert sorted(found.values()) == list(found.values())  # stages follow each other in forward order


def test_shares_of_a_stage_are_of_all_its_weights_and_of_a_position_of_its_3x3_kernels() -> None:
    first = torch.zeros(2, 1, 3, 3, dtype=torch.bool)
    first[:, :, 1, 1] = True
    second = torch.ones(2, 3, 1, 1, dtype=torch.bool)
    second[0] = False
    third = torch.zeros(4, 2, 3, 3, dtype=torch.bool)
    third[0, 0, 2, 0] = True
    masks, stages = {"a": first, "b": second, "c": third}, {"a": 0, "b": 0, "c": 1}
    assert shares_by_stage(masks, stages) == {"0": 5 / 24, "1": 1 / 72}
    assert shares_by_position(masks, stages) == {
        "0": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
        "1": [[0, 0, 0], [0, 0, 0], [1 / 8, 0, 0]],
    }
