from __future__ import annotations

from collections import namedtuple

import pytest
import torch
from torch import nn

from regrow.channels.onmeta import as_call, forget, meta_copy, moved, named_tensors, sharing_copy

Pair = namedtuple("Pair", ["a", "b"])


class Tied(nn.Module):
    """Tied weights, a buffer, a buffer that no state holds, and a cache."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        self.other.weight = self.one.weight
        self.one.weight.requires_grad_(False)
        self.register_buffer("mean", torch.ones(3))
        self.register_buffer("table", torch.arange(4), persistent=False)
        self.rope_cache = {"cos": torch.ones(2)}
        self.cache_sizes = {"n": 3}


def test_every_tensor_is_named_once_by_its_first_name() -> None:
    assert [name for name, _ in named_tensors(Tied())] == ["one.weight", "mean", "table"]


def test_a_meta_copy_has_shapes_types_and_ties_but_no_numbers() -> None:
    network = Tied()
    copied, tensors = meta_copy(network)
    assert {name: (tuple(tensor.shape), tensor.dtype, tensor.device.type) for name, tensor in tensors.items()} == {
        "one.weight": ((3, 3), torch.float32, "meta"),
        "mean": ((3,), torch.float32, "meta"),
        "table": ((4,), torch.int64, "meta"),
    }
    assert isinstance(copied, Tied) and copied.one.weight is copied.other.weight is tensors["one.weight"]
    assert isinstance(copied.one.weight, nn.Parameter) and not copied.one.weight.requires_grad
    assert network.one.weight.device.type == "cpu"


def test_a_sharing_copy_holds_the_parameters_numbers_once_and_buffers_of_its_own() -> None:
    network = Tied()
    copied, tensors = sharing_copy(network)
    assert copied.one.weight is copied.other.weight is not network.one.weight
    assert tensors["one.weight"].data_ptr() == network.one.weight.data_ptr()
    assert tensors["mean"].data_ptr() != network.mean.data_ptr()
    tensors["mean"].zero_()
    assert torch.equal(network.mean, torch.ones(3))


@pytest.mark.parametrize("copied", [meta_copy, sharing_copy])
def test_caches_of_tensors_are_forgotten_in_the_copy_alone(copied: object) -> None:
    network = Tied()
    shell, _ = copied(network)  # type: ignore[operator]
    assert shell.rope_cache == {} and shell.cache_sizes == {"n": 3}
    assert list(network.rope_cache) == ["cos"]


def test_forgetting_empties_caches_in_place() -> None:
    network = Tied()
    forget(network)
    assert network.rope_cache == {} and network.cache_sizes == {"n": 3}


def test_arguments_move_with_everything_around_them() -> None:
    value = {"x": [torch.ones(2), 3], "pair": Pair(torch.ones(1), None), "t": (torch.ones(1),)}
    found = moved(value, "meta")
    assert found["x"][0].device.type == "meta" and found["x"][1] == 3
    assert type(found["pair"]) is Pair and found["pair"].a.is_meta and found["pair"].b is None
    assert type(found["t"]) is tuple and value["t"][0].device.type == "cpu"  # type: ignore[index, union-attr]


def test_example_inputs_are_a_tensor_a_tuple_or_keywords() -> None:
    x = torch.ones(1)
    assert as_call(x) == ((x,), {})
    assert as_call((x, 3)) == ((x, 3), {}) == as_call([x, 3])
    assert as_call({"x": x}) == ((), {"x": x})
    pair = Pair(x, x)
    assert as_call(pair) == ((pair,), {})
