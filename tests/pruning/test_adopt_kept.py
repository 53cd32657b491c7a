"""Kept channels of whole networks, group after group, and small channels that stand in another order."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from regrow.networks.groups import Group, Slice, output, reads
from regrow.pruning.adopt_kept import kept_channels
from tests.pruning.traced import DIMENSIONS, HEADS, INNER, STREAM, residual

CHAIN = (Group("0", 6, (output("0"), reads("1"))), Group("1", 5, (output("1"), reads("2"))))


def chain(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 6, bias=False), nn.Linear(6, 5, bias=False), nn.Linear(5, 2, bias=False))


def cut_chain(network: nn.Module, first: list[int], second: list[int]) -> dict[str, Tensor]:
    weights = [tensor.detach() for tensor in network.state_dict().values()]
    return {"0.weight": weights[0][first], "1.weight": weights[1][second][:, first], "2.weight": weights[2][:, second]}


def test_a_second_layer_is_read_once_the_first_is_known() -> None:
    network = chain()
    found = kept_channels(CHAIN, (2, 3), network.state_dict(), cut_chain(network, [1, 4], [0, 2, 3]))
    assert found.indices == {"0": (1, 4), "1": (0, 2, 3)}
    assert found.how == {"0": "exact", "1": "exact"}
    assert found.reordered == ()


def test_channels_in_another_order_are_put_back_and_compute_the_same() -> None:
    network, images = chain(), torch.randn(7, 3)
    small = cut_chain(network, [4, 1], [3, 0, 2])
    found = kept_channels(CHAIN, (2, 3), network.state_dict(), small)
    assert found.indices == {"0": (1, 4), "1": (0, 2, 3)}
    assert found.reordered == ("0", "1")
    expected = cut_chain(network, [1, 4], [0, 2, 3])
    assert all(torch.equal(found.tensors[name], expected[name]) for name in expected)
    before, after = images, images
    for name in small:
        before, after = before @ small[name].T, after @ found.tensors[name].T
    torch.testing.assert_close(after, before)


def test_a_layer_that_writes_the_channels_it_reads_does_not_speak_for_them() -> None:
    torch.manual_seed(0)
    group = Group("s", 6, (output("loop"), reads("loop"), output("stem")), producers=1)
    dense = {"loop.weight": torch.randn(6, 6), "stem.weight": torch.randn(6, 3)}
    kept = [5, 0, 2]
    small = {"loop.weight": dense["loop.weight"][kept][:, kept], "stem.weight": dense["stem.weight"][kept]}
    found = kept_channels((group,), (3,), dense, small)
    assert (found.indices, found.how) == ({"s": (0, 2, 5)}, {"s": "exact"})
    assert torch.equal(found.tensors["loop.weight"], dense["loop.weight"][[0, 2, 5]][:, [0, 2, 5]])


def test_what_was_handed_over_is_left_as_it_is() -> None:
    network = chain()
    small = cut_chain(network, [4, 1], [3, 0, 2])
    before = copy.deepcopy(small)
    kept_channels(CHAIN, (2, 3), network.state_dict(), small)
    assert all(torch.equal(small[name], before[name]) for name in small)


def test_other_weights_are_unknown_and_the_first_channels_count_as_kept() -> None:
    found = kept_channels(CHAIN, (2, 3), chain().state_dict(), cut_chain(chain(1), [1, 4], [0, 2, 3]))
    assert found.indices == {"0": (0, 1), "1": (0, 1, 2)}
    assert set(found.how.values()) == {"unknown"}


def test_a_stream_with_two_producers_and_the_block_inside_it_are_found() -> None:
    network = residual()
    tensors = network.state_dict()
    stream, inner = [0, 3, 4, 11], [2, 9]
    small = {
        "stem.weight": tensors["stem.weight"][stream],
        "stem.bias": tensors["stem.bias"][stream],
        "inner.weight": tensors["inner.weight"][inner][:, stream],
        "inner.bias": tensors["inner.bias"][inner],
        "outer.weight": tensors["outer.weight"][stream][:, inner],
        "outer.bias": tensors["outer.bias"][stream],
        "head.weight": tensors["head.weight"][:, stream],
        "head.bias": tensors["head.bias"],
    }
    found = kept_channels((STREAM, INNER), (4, 2), tensors, small)
    assert found.indices == {"stem": tuple(stream), "inner": tuple(inner)}


def test_dimensions_inside_heads_that_all_stay_are_found() -> None:
    torch.manual_seed(0)
    dense = {name: torch.randn(24, 24) for name in ("q.weight", "k.weight", "o.weight")}
    rows = [6 * head + place for head in range(4) for place in (1, 4)]
    small = {
        "q.weight": dense["q.weight"][rows],
        "k.weight": dense["k.weight"][rows],
        "o.weight": dense["o.weight"][:, rows],
    }
    found = kept_channels((HEADS, DIMENSIONS), (4, 2), dense, small)
    assert found.indices == {HEADS.name: (0, 1, 2, 3), DIMENSIONS.name: (1, 4)}
    assert set(found.how.values()) == {"exact"}


def test_heads_and_dimensions_that_were_both_cut_are_found_from_single_rows() -> None:
    torch.manual_seed(0)
    dense = {name: torch.randn(24, 24) for name in ("q.weight", "k.weight", "o.weight")}
    rows = [6 * head + place for head in (1, 3) for place in (0, 2, 5)]
    small = {
        "q.weight": dense["q.weight"][rows],
        "k.weight": dense["k.weight"][rows],
        "o.weight": dense["o.weight"][:, rows],
    }
    found = kept_channels((HEADS, DIMENSIONS), (2, 3), dense, small)
    assert found.indices == {HEADS.name: (1, 3), DIMENSIONS.name: (0, 2, 5)}
    assert set(found.how.values()) == {"exact"}


def test_channels_before_a_flattening_are_put_back_with_all_their_positions() -> None:
    torch.manual_seed(0)
    group = Group("c", 4, (Slice("c.weight", 0), Slice("f.weight", 1, repeat=2)))
    dense = {"c.weight": torch.randn(4, 5), "f.weight": torch.randn(3, 8)}
    small = {"c.weight": dense["c.weight"][[3, 1]], "f.weight": dense["f.weight"][:, [6, 7, 2, 3]]}
    found = kept_channels((group,), (2,), dense, small)
    assert found.indices == {"c": (1, 3)}
    assert torch.equal(found.tensors["f.weight"], dense["f.weight"][:, [2, 3, 6, 7]])
