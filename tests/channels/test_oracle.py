"""The oracle itself: it must call right surgeries right, by the right name, and every wrong one wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.channels.constructs import CONSTRUCTS
from tests.channels.oracle import NotASubBlockError, call, exactness, leaves, removed_indices, unique_double

KEEP = [0, 3, 4, 7]


class Chain(nn.Module):
    """Linear, whatever stands between, linear."""

    def __init__(self, between: nn.Module) -> None:
        super().__init__()
        self.first, self.between, self.second = nn.Linear(5, 8), between, nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.between(self.first(x)))


def inputs(seed: int) -> Tensor:
    return torch.randn(4, 5, generator=torch.Generator().manual_seed(seed)).double()


def cut(module: nn.Module, name: str, axis: int, keep: list[int] = KEEP) -> None:
    tensor = getattr(module, name)
    tensor.data = tensor.data.index_select(axis, torch.tensor(keep))


def halved(dense: nn.Module, readers: list[int] = KEEP) -> nn.Module:
    """A chain without four of its eight channels."""
    small = copy.deepcopy(dense)
    cut(small.first, "weight", 0)
    cut(small.first, "bias", 0)
    cut(small.second, "weight", 1, readers)
    for name, tensor in [*small.between.named_parameters(), *small.between.named_buffers()]:
        if tensor.ndim:
            cut(small.between, name, 0)
    if hasattr(small.between, "normalized_shape"):
        small.between.normalized_shape = (4,)
    if hasattr(small.between, "num_channels"):
        small.between.num_channels = 4
    return small


def dense(between: nn.Module) -> nn.Module:
    return unique_double(Chain(between), inputs(9))


class OwnRmsNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


class Centre(nn.Module):
    """Not a norm: a mean over channels as a value."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(-1, keepdim=True)


RIGHT: list[tuple[Callable[[], nn.Module], str]] = [
    (nn.ReLU, "exact"),
    (lambda: nn.BatchNorm1d(8), "exact"),
    (lambda: nn.LayerNorm(8), "exact*"),
    (lambda: nn.RMSNorm(8), "exact*"),
    (OwnRmsNorm, "exact*"),
    (lambda: nn.GroupNorm(1, 8), "exact*"),
    (nn.Sigmoid, "exactB"),
    (lambda: nn.BatchNorm1d(8, affine=False), "exact"),
]


@pytest.mark.parametrize(("between", "tier"), RIGHT, ids=[f"{index} {tier}" for index, (_, tier) in enumerate(RIGHT)])
def test_a_right_surgery_gets_its_tier(between: Callable[[], nn.Module], tier: str) -> None:
    network = dense(between())
    found = exactness(network, halved(network), inputs(1), inputs(2))
    assert (found.tier, found.error < 1e-12) == (tier, True)
    assert found.parameters[1] < found.parameters[0]


@pytest.mark.parametrize("between", [between for between, _ in RIGHT])
def test_reading_other_channels_than_were_written_is_wrong(between: Callable[[], nn.Module]) -> None:
    network = dense(between())
    assert exactness(network, halved(network, [0, 3, 4, 6]), inputs(1), inputs(2)).tier == "WRONG"


@pytest.mark.parametrize("between", [lambda: nn.Softmax(-1), Centre], ids=["softmax", "mean as a value"])
def test_a_quantity_over_all_channels_is_wrong(between: Callable[[], nn.Module]) -> None:
    network = dense(between())
    assert exactness(network, halved(network), inputs(1), inputs(2)).tier == "WRONG"


def test_a_rescaled_weight_is_no_sub_block() -> None:
    network = dense(nn.ReLU())
    small = halved(network)
    small.second.weight.data *= 2
    found = exactness(network, small, inputs(1), inputs(2))
    assert (found.tier, "second.weight" in found.reason) == ("WRONG", True)


def test_channels_in_another_order_are_no_sub_block() -> None:
    network = dense(nn.ReLU())
    small = halved(network)
    small.first.weight.data = small.first.weight.data.flip(0)
    assert exactness(network, small, inputs(1), inputs(2)).tier == "WRONG"


def test_nothing_removed_is_said() -> None:
    network = dense(nn.ReLU())
    assert exactness(network, copy.deepcopy(network), inputs(1), inputs(2)).tier == "no-op"


def test_tied_weights_must_stay_tied() -> None:
    build, example = CONSTRUCTS["tied conv weights"]
    network = unique_double(build(), example(0).double())
    small = copy.deepcopy(network)
    small.second.weight = nn.Parameter(small.first.weight.data.clone())
    with pytest.raises(NotASubBlockError, match="one tensor"):
        removed_indices(network, small)


def test_kept_indices_are_found_on_every_axis() -> None:
    network = dense(nn.ReLU())
    removed = removed_indices(network, halved(network))
    gone = [1, 2, 5, 6]
    assert {name: {axis: at.tolist() for axis, at in axes.items()} for name, axes in removed.items()} == {
        "first.weight": {0: gone},
        "first.bias": {0: gone},
        "second.weight": {1: gone},
    }


def halve_heads(name: str, keep: list[int]) -> tuple[nn.Module, nn.Module, Callable[..., Tensor]]:
    """A toy attention whose fused qkv keeps the dimensions `keep` of each of its heads of 6."""
    build, example = CONSTRUCTS[name]
    network = unique_double(build(), example(0).double())
    small = copy.deepcopy(network)
    block = small.get_submodule("attention")
    inside = [6 * head + place for head in range(4) for place in keep]
    rows = [24 * part + index for part in range(3) for index in inside]
    cut(block.qkv, "weight", 0, rows)
    cut(block.qkv, "bias", 0, rows)
    cut(block.proj, "weight", 1, inside)
    block.head_dim = len(keep)
    return network, small, example


def test_a_stored_attention_scale_is_exact_and_a_default_one_needs_its_own_tier() -> None:
    for name, tier in (
        ("fused qkv (head_dim, scale attributes)", "exact"),
        ("fused qkv, default sdpa scale", "exact**"),
    ):
        network, small, example = halve_heads(name, [0, 2, 5])
        assert exactness(network, small, example(1).double(), example(2).double()).tier == tier


def test_head_sizes_that_absorb_a_removal_by_regrouping_are_wrong() -> None:
    network, small, example = halve_heads("fused qkv (head_dim, scale attributes)", [0, 2, 5])
    block = small.get_submodule("attention")
    block.num_heads, block.head_dim = 2, 6
    assert exactness(network, small, example(1).double(), example(2).double()).tier == "WRONG"


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_every_construct_runs_and_depends_on_its_input(name: str) -> None:
    build, example = CONSTRUCTS[name]
    network = build().eval()
    first, second = (leaves(call(network, example(seed))) for seed in (1, 2))
    assert all(tensor.isfinite().all() for tensor in first)
    assert any(not torch.equal(one, two) for one, two in zip(first, second, strict=True))
