from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.nn.utils import parametrizations

from regrow.channels.duplicate import _is_plain, duplicate
from regrow.channels.fingerprint import fingerprint


class Odd(nn.Module):
    """Holds what modules hold now and then: lists of modules, shared values, a way back to itself, its own dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Linear(2, 2), nn.Linear(2, 2)]
        self.first = self.layers[0]
        self.again = self.first
        self.tied = nn.Linear(2, 2)
        self.tied.weight = self.first.weight
        self.settings: dict[str, Any] = {"sizes": [1, 2], "nested": {"a": (1, [2])}}
        self.same_settings = self.settings
        self.notes: dict[str, int] = {}
        self.same_notes = self.notes
        self.order = OrderedDict(b=torch.ones(2), a=torch.zeros(2))
        self.myself = [self]
        self.register_buffer("table", torch.arange(3), persistent=False)
        self.register_forward_hook(lambda *_: None)


class Own(nn.Module):
    """Says itself how it is copied."""

    copied = False

    def __deepcopy__(self, memo: dict[int, Any]) -> Own:
        made = Own()
        made.copied = True
        return made


def tree(module: nn.Module) -> list[Any]:
    """Names and classes of modules, names of all attributes, and where names mean the same object."""
    seen: dict[int, str] = {}
    rows: list[Any] = []
    for name, part in module.named_modules(remove_duplicate=False):
        kinds = sorted((key, type(value).__name__) for key, value in vars(part).items())
        rows.append((name, type(part), kinds, part.training, seen.setdefault(id(part), name)))
    for name, tensor in [
        *module.named_parameters(remove_duplicate=False),
        *module.named_buffers(remove_duplicate=False),
    ]:
        rows.append((name, type(tensor), tensor.requires_grad, seen.setdefault(id(tensor), name)))
    return rows


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet": torchvision.models.resnet18,
    "transformer": lambda: torchvision.models.VisionTransformer(32, 16, 1, 2, 8, 16),
    "recurrent": lambda: nn.Sequential(nn.LSTM(3, 4), nn.GRU(3, 4)),
    "encoder": lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2), 2, enable_nested_tensor=False),
    "parametrized": lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 3))),
    "odd": Odd,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_the_deep_copy(name: str) -> None:
    network = NETWORKS[name]().train(False)
    found, expected = duplicate(network, {}), copy.deepcopy(network)
    assert tree(found) == tree(expected) == tree(network)
    assert fingerprint(found) == fingerprint(network)
    mine = {id(tensor) for tensor in network.state_dict(keep_vars=True).values()}
    assert not mine & {id(tensor) for tensor in found.state_dict(keep_vars=True).values()}
    assert not {id(part) for part in network.modules()} & {id(part) for part in found.modules()}


def test_what_the_memo_holds_is_taken() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    other, layer = nn.Parameter(torch.zeros(1)), nn.Tanh()
    found = duplicate(network, {id(network[0].weight): other, id(network[1]): layer})
    assert found[0].weight is other and found[1] is layer
    assert found[0].bias is not network[0].bias


def test_things_that_are_one_stay_one_and_things_that_change_are_not_shared() -> None:
    odd = Odd()
    found = duplicate(odd, {})
    assert found.first is found.again is found.layers[0]
    assert found.tied.weight is found.first.weight
    assert found.same_settings is found.settings and found.same_notes is found.notes
    assert found.myself[0] is found
    assert list(found.order) == ["b", "a"]
    assert len(found._forward_hooks) == 1 and found._non_persistent_buffers_set == {"table"}
    found.settings["nested"]["a"][1].append(3)
    found.order["b"].zero_()
    assert odd.settings["nested"]["a"] == (1, [2]) and bool(odd.order["b"].all())
    found.register_forward_hook(lambda *_: None)
    found.first.register_forward_hook(lambda *_: None)
    assert len(odd._forward_hooks) == 1 and not odd.first._forward_hooks


def test_a_class_that_says_how_it_is_copied_is_heard() -> None:
    found = duplicate(nn.Sequential(Own()), {})
    assert found[0].copied is True
    assert _is_plain(nn.Linear) and not _is_plain(Own) and not _is_plain(nn.LSTM)


def test_a_tensor_or_an_array_that_is_no_buffer_is_copied() -> None:
    network = nn.Linear(2, 2)
    network.scale, network.steps = torch.ones(3), np.arange(3)  # type: ignore[assignment]
    made: Any = duplicate(network, {})
    assert torch.equal(made.scale, torch.ones(3)) and made.scale is not network.scale
    assert made.steps.tolist() == [0, 1, 2] and made.steps is not network.steps
