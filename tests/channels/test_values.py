from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regrow.channels.trace import trace
from regrow.channels.values import LARGEST, know, run

aten = torch.ops.aten


def call(func: Any, *args: Any, **kwargs: Any) -> Any:
    """One operation, as the tracer runs it on the meta device."""
    given = [value for value in args if isinstance(value, Tensor)]
    return run(lambda f, a, k: f(*a, **k), func, args, kwargs, given)


def known(*numbers: int) -> Tensor:
    values = torch.tensor(numbers)
    empty = values.to("meta")
    know(empty, values)
    return empty


def test_values_of_integers_are_worked_out_beside_their_shapes() -> None:
    total = call(aten.sum.default, call(aten.add.Tensor, known(1, 2), known(3, 4)))
    assert total.is_meta
    assert call(aten._local_scalar_dense.default, total) == 10


def test_a_tensor_made_from_sizes_alone_is_known() -> None:
    places = call(aten.arange.default, 5, device=torch.device("meta"))
    assert places.is_meta and call(aten._local_scalar_dense.default, call(aten.max.default, places)) == 4


def test_shapes_that_depend_on_known_values_come_out() -> None:
    assert call(aten.nonzero.default, known(0, 3, 0, 5)).shape == (2, 1)


def test_what_meets_unknown_numbers_is_unknown() -> None:
    mixed = call(aten.mul.Tensor, known(1, 2), torch.empty(2, device="meta"))
    with pytest.raises(RuntimeError, match="item"):
        call(aten._local_scalar_dense.default, call(aten.sum.default, mixed))


def test_writing_unknown_numbers_into_a_known_tensor_forgets_it() -> None:
    target = known(1, 2)
    call(aten.copy_.default, target, torch.empty(2, dtype=torch.int64, device="meta"))
    with pytest.raises(RuntimeError, match="item"):
        call(aten._local_scalar_dense.default, call(aten.sum.default, target))


def test_writing_known_numbers_in_place_keeps_up() -> None:
    target = known(1, 2)
    call(aten.add_.Tensor, target, known(10, 20))
    assert call(aten._local_scalar_dense.default, call(aten.sum.default, target)) == 33


def test_random_numbers_are_never_known() -> None:
    drawn = call(aten.randperm.default, 4, device=torch.device("meta"))
    with pytest.raises(RuntimeError, match="item"):
        call(aten._local_scalar_dense.default, call(aten.sum.default, drawn))


def test_values_of_large_tensors_are_not_kept() -> None:
    values = torch.zeros(LARGEST + 1, dtype=torch.int64)
    empty = values.to("meta")
    know(empty, values)
    with pytest.raises(RuntimeError, match="item"):
        call(aten._local_scalar_dense.default, call(aten.sum.default, empty))


class AsksAboutTokens(nn.Module):
    """Takes another way when a token is 0, as code that looks for padding does."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.plain, self.padded = nn.Embedding(5, 8), nn.Linear(8, 6), nn.Linear(8, 4)
        self.head = nn.Linear(6, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        if bool((tokens == 0).any()):
            y: Tensor = self.padded(x)
        else:
            y = self.head(self.plain(x))
        return y


@pytest.mark.parametrize(("tokens", "free"), [([1, 2], {"embed", "plain"}), ([0, 2], {"embed"})])
def test_code_that_asks_about_tokens_is_traced_on_the_way_that_they_take(tokens: list[int], free: set[str]) -> None:
    tracing = trace(AsksAboutTokens().eval(), torch.tensor([tokens]))
    assert tracing.on == "meta"
    assert {group.name for group in tracing.groups} == free
