"""Weight histograms, against counts by hand and against the normal distribution."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from regrow.evaluation.weights_histogram import EDGES, densities, histogram, histograms


def test_bins_are_symmetric_and_grow_outwards() -> None:
    assert list(EDGES) == [-edge for edge in reversed(EDGES)]
    assert (EDGES[0], EDGES[-1], len(EDGES)) == (-1.0, 1.0, 65)
    widths = [round(high - low, 6) for low, high in pairwise(EDGES) if low >= 0]
    assert widths == sorted(widths)


def test_every_weight_is_counted_once() -> None:
    found = histogram([(torch.tensor([[-2.0, -0.0105], [0.0002, 0.95]]), None), (torch.tensor([3.0]), None)])
    held = {EDGES[place]: share for place, share in enumerate(found["shares"]) if share}
    assert held == {-0.015: 0.2, 0.0: 0.2, 0.9: 0.2}
    assert (found["below"], found["above"], found["near_zero"]) == (0.2, 0.2, 0.2)
    assert (found["weights"], found["masked"]) == (5, 0)
    assert found["std"] == pytest.approx(np.std([-2, -0.0105, 0.0002, 0.95, 3]), rel=1e-6)


def test_a_normal_distribution_has_the_shares_of_its_integral() -> None:
    weight = 0.05 * torch.randn(400_000, generator=torch.Generator().manual_seed(0))
    found = histogram([(weight, None)])
    normal = [0.5 * (math.erf(b / 0.05 / 2**0.5) - math.erf(a / 0.05 / 2**0.5)) for a, b in pairwise(EDGES)]
    assert found["shares"] == pytest.approx(normal, abs=2e-3)
    assert found["std"] == pytest.approx(0.05, rel=0.01)
    assert max(densities(found["shares"])) == pytest.approx(1 / (0.05 * math.sqrt(2 * math.pi)), rel=0.06)


def test_masked_weights_are_apart_and_leave_a_hole() -> None:
    weight = torch.randn(10_000, generator=torch.Generator().manual_seed(0))
    found = histogram([(weight, weight.abs() > 0.1)])
    middle = [share for edge, share in zip(EDGES[:-1], found["shares"], strict=True) if -0.1 <= edge < 0.09]
    assert sum(middle) == 0
    assert found["near_zero"] == 0
    assert found["weights"] + found["masked"] == 10_000
    assert found["masked"] == int((weight.abs() <= 0.1).sum())


def test_a_stage_is_the_histogram_of_its_tensors() -> None:
    weights = {name: torch.randn(6, generator=torch.Generator().manual_seed(i)) for i, name in enumerate("abc")}
    mask = {"b": torch.tensor([True, False] * 3)}
    found = histograms(weights, mask, {"a": 0, "b": 0, "c": 2})
    assert found["stages"].keys() == {"0", "2"}
    assert found["stages"]["2"] == histogram([(weights["c"], None)])
    assert found["stages"]["0"]["masked"] == 3
    assert found["all"]["weights"] == sum(stage["weights"] for stage in found["stages"].values()) == 15
    assert histograms(weights, {}, {})["stages"] == {}


def test_of_no_weight_nothing_is_said() -> None:
    found = histogram([(torch.zeros(3), torch.zeros(3, dtype=torch.bool))])
    assert (found["weights"], found["masked"], found["mean"], found["shares"]) == (0, 3, None, [])
