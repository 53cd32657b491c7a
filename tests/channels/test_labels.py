from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from regrow.channels.labels import Labels, clear, labels_of, put, tensors_in

IDS = np.arange(1, 4)


def test_a_tensor_without_labels_is_a_constant() -> None:
    labels = labels_of(torch.zeros(2, 3))
    assert labels.axes == [None, None] and labels.live == [] and not labels.zero


def test_labels_stay_with_the_tensor_that_they_were_put_on() -> None:
    tensor = torch.zeros(2, 3)
    put(tensor, [None, IDS], zero=True)
    assert labels_of(tensor).live == [1] and labels_of(tensor).zero
    assert labels_of(tensor).axes[1] is IDS
    assert labels_of(tensor.clone()).axes == [None, None]


def test_an_axis_of_one_position_carries_no_ids() -> None:
    tensor = torch.zeros(1, 3)
    put(tensor, [np.array([7]), IDS])
    assert labels_of(tensor).live == [1]


def test_labels_can_be_taken_off_again() -> None:
    weight = nn.Parameter(torch.zeros(3))
    put(weight, [IDS])
    clear([weight, torch.zeros(1)])
    assert weight.__dict__ == {} and labels_of(weight).axes == [None]


def test_what_is_computed_counts_as_data_unless_it_is_said() -> None:
    assert Labels([None]).data


def test_tensors_are_found_in_nested_collections_in_order() -> None:
    @dataclass
    class Output:
        logits: Tensor
        state: list[Tensor]

    a, b, c, d = (torch.full((1,), float(number)) for number in range(4))
    nested = [a, ("text", {"key": b}), OrderedDict(x=Output(c, [d])), None, 3, Output]
    assert [tensor.item() for tensor in tensors_in(nested)] == [0, 1, 2, 3]
    assert tensors_in(3) == [] and tensors_in(a)[0] is a
