from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from regrow.channels.fingerprint import fingerprint


def layer(value: float = 0.5) -> nn.Conv2d:
    made = nn.Conv2d(2, 3, 3)
    nn.init.constant_(made.weight, value)
    nn.init.constant_(made.bias, 0.0)  # type: ignore[arg-type]
    return made


def test_equal_weights_have_equal_fingerprints() -> None:
    assert fingerprint(layer()) == fingerprint(layer())
    assert len(fingerprint(layer())) == 64


def test_one_bit_changes_it() -> None:
    other = layer()
    with torch.no_grad():
        other.weight[0, 0, 0, 0] = torch.nextafter(torch.tensor(0.5), torch.tensor(1.0))
    assert fingerprint(other) != fingerprint(layer())


def test_a_running_statistic_changes_it() -> None:
    norm = nn.BatchNorm2d(2)
    before = fingerprint(norm)
    norm(torch.randn(4, 2, 3, 3))
    assert fingerprint(norm) != before


def test_layout_mode_and_order_of_registration_do_not() -> None:
    first, second = nn.Linear(2, 2), layer()
    forward = nn.Sequential(OrderedDict(a=first, b=second))
    backward = nn.Sequential(OrderedDict(b=second, a=first)).eval().to(memory_format=torch.channels_last)
    assert fingerprint(forward) == fingerprint(backward)


def test_a_type_that_holds_the_same_numbers_changes_it() -> None:
    assert fingerprint(layer().double()) != fingerprint(layer())


def test_sixteen_bit_weights_have_one() -> None:
    assert fingerprint(layer().bfloat16()) != fingerprint(layer(0.25).bfloat16())


def test_a_network_without_weights_is_told_by_its_shapes() -> None:
    with torch.device("meta"):
        one, same, other = nn.Linear(2, 3), nn.Linear(2, 3), nn.Linear(3, 2)
    assert fingerprint(one) == fingerprint(same) != fingerprint(other)
    assert fingerprint(one) != fingerprint(nn.Linear(2, 3))
