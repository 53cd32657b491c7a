from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from regrow.channels.laws import Spread, is_plain, law_of, spread_of
from regrow.channels.subblocks import SubBlock

MODULE = nn.Module()
HALF = {"weight": SubBlock((200, 300), {0: torch.arange(200) % 2 == 0, 1: torch.arange(300) % 2 == 0})}


@pytest.mark.parametrize(
    ("std", "formula", "small"),
    [
        (math.sqrt(2 / 300), "sqrt(2 / fan_in)", math.sqrt(2 / 150)),
        (math.sqrt(2 / 200), "sqrt(2 / fan_out)", math.sqrt(2 / 100)),
        (math.sqrt(2 / 500), "sqrt(1 / mean fan)", math.sqrt(2 / 250)),
        (math.sqrt(1 / 300), "sqrt(1 / fan_in)", math.sqrt(1 / 150)),
        (math.sqrt(1 / 900), "sqrt(1/3 / fan_in)", math.sqrt(1 / 450)),
    ],
)
def test_each_law_is_recognised_by_its_standard_deviation(std: float, formula: str, small: float) -> None:
    law = law_of("weight", Spread(std, 60_000), HALF, nn.Linear(300, 200))
    assert law is not None
    assert (law.formula, law.dense, law.small) == (formula, pytest.approx(std), pytest.approx(small))
    at_small = law_of("weight", Spread(small, 60_000), HALF, nn.Linear(300, 200), at_small=True)
    assert at_small is not None
    assert at_small.small == pytest.approx(small)


def test_a_convolution_counts_its_window_and_its_groups() -> None:
    keep = torch.arange(64) < 32
    layer = nn.Conv2d(64, 256, 3, groups=8)
    law = law_of(
        "weight",
        Spread(math.sqrt(2 / (32 * 9)), 18432),
        {"weight": SubBlock((256, 8, 3, 3), {0: keep.repeat(4)})},
        layer,
    )
    assert law is not None
    assert law.small == pytest.approx(math.sqrt(2 / (16 * 9)))
    depthwise = nn.Conv2d(64, 64, 3, groups=64)
    law = law_of("weight", Spread(math.sqrt(2 / 9), 576), {"weight": SubBlock((64, 1, 3, 3), {0: keep})}, depthwise)
    assert law is not None
    assert law.small == pytest.approx(law.dense)


def test_a_bias_follows_the_weight_beside_it() -> None:
    blocks = {**HALF, "bias": SubBlock((200,), {0: torch.arange(200) < 100})}
    law = law_of("bias", Spread(math.sqrt(1 / 900), 200), blocks, nn.Linear(300, 200))
    assert law is not None
    assert law.small == pytest.approx(math.sqrt(1 / 450))


def test_a_number_that_authors_write_down_is_no_law_for_what_is_no_layer_of_torch() -> None:
    std = 0.1  # also sqrt(2 / 200), He's by fan-out
    assert law_of("weight", Spread(std, 60_000), HALF, MODULE) is None
    assert law_of("weight", Spread(std, 60_000), HALF, nn.Linear(300, 200)) is not None


def test_few_numbers_of_what_is_no_layer_of_torch_match_only_the_plainest_law() -> None:
    assert law_of("weight", Spread(math.sqrt(2 / 300), 600), HALF, MODULE) is None
    assert law_of("weight", Spread(math.sqrt(1 / 300), 600), HALF, MODULE) is not None


def test_a_spread_between_the_laws_is_none_of_them() -> None:
    assert law_of("weight", Spread(0.09, 60_000), HALF, nn.Linear(300, 200)) is None


@pytest.mark.parametrize(
    "values",
    [torch.zeros(64), torch.ones(64), torch.full((64,), math.nan), torch.rand(640), torch.arange(64), torch.ones(1)],
)
def test_constants_and_numbers_with_a_mean_have_no_spread(values: torch.Tensor) -> None:
    assert spread_of(values).std == 0
    assert law_of("weight", spread_of(values), HALF, nn.Linear(300, 200)) is None


def test_one_number_at_a_far_bound_does_not_count() -> None:
    values = 0.02 * torch.randn(5000, generator=torch.Generator().manual_seed(0))
    values[7] = 2.0
    assert spread_of(values).std == pytest.approx(0.02, rel=0.05)


def test_the_first_numbers_of_a_large_tensor_are_enough() -> None:
    assert spread_of(torch.ones(1, 1).expand(1000, 1000)).count == 65_536


def test_plain_are_the_numbers_that_authors_write_down() -> None:
    assert is_plain(Spread(0.0201, 5000))
    assert not is_plain(Spread(0.0208, 500_000))
