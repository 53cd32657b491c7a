from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor

from regrow.channels.outputs import contract

A, B, C = torch.zeros(1), torch.zeros(2), torch.zeros(3)


class Record(OrderedDict[str, Any]):
    """An output with names, as transformers makes them."""

    def to_tuple(self) -> tuple[Any, ...]:
        return tuple(self.values())


def sizes(kept: list[tuple[str, Tensor]]) -> list[tuple[str, int]]:
    return [(name, len(tensor)) for name, tensor in kept]


def test_all_tensors_of_plain_outputs_keep_their_width() -> None:
    for result in ([A, (B, None)], {"hidden_states": A, "y": B}, (A, [B])):
        kept, left_out = contract(result)
        assert sizes(kept) == [("", 1), ("", 2)] and left_out == []


def test_the_caller_may_choose() -> None:
    assert sizes(contract({"a": A, "b": B}, lambda result: result["b"])[0]) == [("", 2)]
    assert contract(Record(logits=A), lambda _: None) == ([], [])


def test_of_named_outputs_caches_and_states_may_change() -> None:
    kept, left_out = contract(Record(logits=A, past_key_values=[B], hidden_states=(C, C), loss=None))
    assert sizes(kept) == [("logits", 1)] and left_out == ["past_key_values", "hidden_states"]


def test_the_last_hidden_state_stays_only_where_there_is_no_prediction() -> None:
    assert sizes(contract(Record(last_hidden_state=A, pooler_output=B))[0]) == [
        ("last_hidden_state", 1),
        ("pooler_output", 2),
    ]
    kept, left_out = contract(Record(pred_boxes=A, last_hidden_state=B))
    assert sizes(kept) == [("pred_boxes", 1)] and left_out == ["last_hidden_state"]


def test_a_prediction_is_known_by_a_whole_word_of_its_name() -> None:
    assert [name for name, _ in contract(Record(logitsy=A, last_hidden_state=B))[0]] == ["logitsy", "last_hidden_state"]
    assert [name for name, _ in contract(Record(class_queries_logits=A, last_hidden_state=B))[0]] == [
        "class_queries_logits"
    ]


def test_every_tensor_of_a_named_output_is_kept() -> None:
    assert sizes(contract(Record(logits=(A, B)))[0]) == [("logits", 1), ("logits", 2)]
