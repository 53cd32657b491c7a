from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from regrow.errors import PruningError
from regrow.networks.groups import Slice
from regrow.pruning.evidence_look import Look
from regrow.pruning.evidence_scale import scale

from .examples import GROUPS, kinds


def test_scales_of_all_norms_of_a_group_are_averaged() -> None:
    network = kinds()
    with torch.no_grad():
        network.norm.weight.copy_(torch.tensor([1.0, -2.0, 0.0, 0.5, 1.0, 1.0]))
    found = scale(Look(network=network, criterion="scale", names=(), groups=GROUPS))
    assert found["first"].tolist() == [1.0, 2.0, 0.0, 0.5, 1.0, 1.0]
    assert list(found) == ["first", "up", "hidden"]


def test_a_group_without_norm_is_named() -> None:
    bare = replace(GROUPS[2], slices=(Slice("hidden.weight", 0), Slice("head.weight", 1)))
    with pytest.raises(PruningError, match="scale reads the scales of norm layers, and no norm layer follows hidden"):
        scale(Look(network=kinds(), criterion="scale", names=(), groups=(GROUPS[0], bare)))
