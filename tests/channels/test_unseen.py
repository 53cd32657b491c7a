from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from regrow.channels.laws import spread_of
from regrow.channels.subblocks import kept_subblocks
from regrow.channels.unseen import Given, bits_of, correct_drawn, correct_given
from regrow.randomness import seeded

from .width_by_hand import between, named_tensors


def _layer(wide: int, std: float, width: int) -> nn.Linear:
    """A linear layer of a width, drawn with a given standard deviation."""
    layer = nn.Linear(width, 400, bias=False)
    nn.init.normal_(layer.weight, std=std)
    return layer


def _corrected(std: Callable[[int], float], *, seen: bool) -> tuple[nn.Linear, list[str], list[str], int]:
    """A layer of width 256 regrown at 64, drawn at the standard deviation of its small shape (seen) or of the dense one."""
    with seeded(0):
        dense, small = _layer(256, std(256), 256), _layer(256, std(64 if seen else 256), 64)
        built: list[nn.Module] = []

        def build() -> nn.Module:
            built.append(_layer(256, std(256), 256))
            return built[-1]

        blocks = kept_subblocks(between(dense, small), named_tensors(dense))
        scaled, unexplained = correct_drawn(small, dense, blocks, build)
    return small, [entry.name for entry in scaled], unexplained, len(built)


class TestWhatWasDrawnInto:
    def test_a_dense_size_in_the_standard_deviation_is_found_and_scaled(self) -> None:
        small, scaled, unexplained, _ = _corrected(lambda width: width**-0.5, seen=False)
        assert (scaled, unexplained) == (["weight"], [])
        assert spread_of(small.weight).std == pytest.approx(64**-0.5, rel=0.03)

    @pytest.mark.parametrize("top", [2, 1, 1 / 3])
    def test_what_saw_its_small_shape_is_left(self, top: float) -> None:
        small, scaled, _, _ = _corrected(lambda width: math.sqrt(top / width), seen=True)
        assert scaled == []
        assert spread_of(small.weight).std == pytest.approx(math.sqrt(top / 64), rel=0.03)

    def test_a_constant_is_left_and_no_dense_network_is_built_for_it(self) -> None:
        _, scaled, _, built = _corrected(lambda _: 0.02, seen=False)
        assert (scaled, built) == ([], 0)

    def test_a_small_law_that_looks_like_a_dense_one_is_told_apart_by_the_dense_network(self) -> None:
        # 0.25 / 64 = 1 / 256: by the numbers alone this could be a dense size.
        _, scaled, _, built = _corrected(lambda width: math.sqrt(0.25 / width), seen=True)
        assert (scaled, built) == ([], 1)

    def test_few_numbers_say_too_little(self) -> None:
        with seeded(0):
            dense, small = nn.Linear(256, 10), nn.Linear(64, 10)
            for layer in (dense, small):
                nn.init.normal_(layer.weight, std=256**-0.5)
        blocks = kept_subblocks(between(dense, small), named_tensors(dense))
        assert correct_drawn(small, dense, blocks, lambda: dense) == ([], [])

    def test_what_no_law_explains_is_named_only_beside_what_one_does(self) -> None:
        odd = 0.03

        def build(width: int) -> nn.Module:
            return nn.Sequential(_layer(256, 256**-0.5, width), _layer(256, odd, width))

        with seeded(0):
            dense, small = build(256), build(64)
            blocks = kept_subblocks(between(dense, small), named_tensors(dense))
            scaled, unexplained = correct_drawn(small, dense, blocks, lambda: build(256))
            assert ([entry.name for entry in scaled], unexplained) == (["0.weight"], ["1.weight"])
            alone = nn.Sequential(nn.Identity(), dense[1]), nn.Sequential(nn.Identity(), small[1])
            assert correct_drawn(alone[1], alone[0], {"1.weight": blocks["1.weight"]}, lambda: alone[0]) == ([], [])


class Matrix(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(100, width) / width**0.5)


class TestWhatCameWithTheRegistration:
    def test_numbers_that_are_still_there_are_scaled(self) -> None:
        with seeded(0):
            dense, small = Matrix(256), Matrix(64)
        blocks = kept_subblocks(between(dense, small), named_tensors(dense))
        small.matrix.data = blocks["matrix"].cut(dense.matrix)
        given = {"matrix": Given(bits_of(small.matrix), spread_of(dense.matrix))}
        assert [str(entry) for entry in correct_given(small, dense, blocks, given)] == [
            "matrix (std as sqrt(1 / fan_in))"
        ]
        assert spread_of(small.matrix).std == pytest.approx(1 / 8, rel=0.05)
        # Once scaled, these are other numbers.
        assert correct_given(small, dense, blocks, given) == []


def test_bits_tell_numbers_apart_and_bear_what_is_no_number() -> None:
    one = torch.full((1000,), math.nan)
    other = one.clone()
    assert torch.equal(bits_of(one), bits_of(other))
    other[0] = 1
    assert not torch.equal(bits_of(one), bits_of(other))
    assert bits_of(torch.ones(10, dtype=torch.bfloat16)).dtype == torch.uint8
