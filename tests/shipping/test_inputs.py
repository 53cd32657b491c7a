from __future__ import annotations

import pytest
import torch

from regrow.errors import ConfigError
from regrow.shipping.inputs import arguments, drawn, with_batch

IDS = torch.tensor([[5, 7, 7], [9, 5, 9]])
CALL = {
    "ids": IDS,
    "images": torch.zeros(2, 4),
    "table": torch.zeros(3, 4),
    "scale": torch.tensor(2.0),
    "cached": False,
}


def test_a_tensor_a_tuple_and_keywords_are_calls() -> None:
    assert arguments(IDS).positional == (IDS,)
    assert arguments((IDS, 3)).positional == (IDS, 3)
    assert arguments(CALL).keywords == CALL


def test_the_batch_is_the_first_axis_of_the_first_tensor_and_of_all_that_are_as_long() -> None:
    call = arguments(CALL)
    assert call.batch == 2
    assert [id(tensor) for tensor in call.batched] == [id(CALL["ids"]), id(CALL["images"])]


def test_tensors_inside_other_values_are_found() -> None:
    call = arguments(([IDS, {"more": torch.zeros(2, 1)}], None))
    assert [tuple(tensor.shape) for tensor in call.batched] == [(2, 3), (2, 1)]


@pytest.mark.parametrize("nothing", [(), {}, (3, "a"), torch.tensor(1.0)])
def test_inputs_without_a_batch_are_refused(nothing: object) -> None:
    with pytest.raises(ConfigError, match="must hold a tensor with at least one axis"):
        arguments(nothing)  # type: ignore[arg-type]


def test_random_inputs_have_the_batch_asked_for_and_numbers_as_valid_as_the_example_s() -> None:
    found = drawn(arguments(CALL), 50, "test").keywords
    assert found["ids"].shape == (50, 3) and found["ids"].dtype == torch.int64
    assert set(found["ids"].flatten().tolist()) == {5, 7, 9}
    assert found["images"].shape == (50, 4) and abs(float(found["images"].std()) - 1) < 0.2
    assert found["table"].shape == (3, 4) and found["scale"].shape == () and found["cached"] is False


def test_random_inputs_keep_their_type_and_follow_their_seed() -> None:
    call = arguments(torch.zeros(2, 3, dtype=torch.float16))
    (one,), (same,), (other,) = (drawn(call, 4, seed).positional for seed in (0, 0, 1))
    assert one.dtype == torch.float16
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_a_batch_is_made_longer_by_repeating_and_shorter_by_cutting() -> None:
    call = arguments(CALL)
    assert torch.equal(with_batch(call, 3).keywords["ids"], IDS[[0, 1, 0]])
    assert torch.equal(with_batch(call, 1).keywords["ids"], IDS[:1])
    assert torch.equal(with_batch(call, 3).keywords["table"], torch.zeros(3, 4))


def test_a_tensor_that_stands_in_two_places_becomes_two() -> None:
    table = torch.zeros(3, 4)
    (one, other, first, second) = with_batch(arguments((IDS, IDS, table, table)), 2).positional
    assert one is not other and first is not second and first is not table
