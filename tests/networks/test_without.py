from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn

from regrow.errors import PruningError
from regrow.networks.without import remove_blocks, shared_tensors, stand_ins


def network() -> nn.Module:
    inner = nn.ModuleDict({"first": nn.Linear(3, 3), "second": nn.Linear(3, 3)})
    holder = nn.Module()
    holder.own = nn.Linear(3, 3)
    holder.many = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])
    return nn.Sequential(OrderedDict(line=nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)), inner=inner, holder=holder))


@pytest.mark.parametrize("name", ["line.1", "inner.second", "holder.own", "holder.many.0"])
def test_an_identity_stands_in_every_kind_of_place(name: str) -> None:
    one = network()
    others = {key: tensor for key, tensor in one.state_dict().items() if not key.startswith(f"{name}.")}
    remove_blocks(one, [name])
    assert isinstance(one.get_submodule(name), nn.Identity)
    assert one.state_dict().keys() == others.keys()
    assert all(torch.equal(tensor, others[key]) for key, tensor in one.state_dict().items())
    assert len(others) == len(network().state_dict()) - 2


def test_several_go_at_once_and_a_sequence_still_runs() -> None:
    one = network()
    remove_blocks(one, ("line.0", "line.1"))
    line, images = one.get_submodule("line"), torch.randn(2, 3)
    assert torch.equal(line(images), images)


def test_the_stand_in_is_in_the_mode_of_the_block() -> None:
    one = network()
    one.get_submodule("line.0").eval()
    found = stand_ins(one, ["line.0", "line.1"])
    assert [found["line.0"].training, found["line.1"].training] == [False, True]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["line.2"], r"has no module line\.2.*Did you mean 'line\.\d'.*Known: line\.0, line\.1"),
        (["lime.0"], r"has no module lime\.0.*Known: holder, inner, line"),
        (["line.0.weight"], r"has no module line\.0\.weight"),
        ([""], "dotted name"),
        (["line", "line.0"], "inside another block"),
        (["line.0", "line.0"], "named twice"),
    ],
)
def test_what_cannot_go_is_refused_before_anything_is_changed(names: list[str], message: str) -> None:
    one = network()
    with pytest.raises(PruningError, match=message):
        remove_blocks(one, names)
    assert str(one) == str(network())


def test_a_tensor_that_two_removed_blocks_share_is_no_hindrance_and_one_that_stays_is() -> None:
    one = network()
    line = one.get_submodule("line")
    line[0].weight = line[1].weight  # type: ignore[index]
    assert shared_tensors(one, ("line.0",)) == {"line.0.weight": "line.1.weight"}
    assert shared_tensors(one, ("line.0", "line.1")) == {} == shared_tensors(one, ())
    with pytest.raises(PruningError, match=r"line\.0\.weight is the same tensor as line\.1\.weight, which stays"):
        remove_blocks(one, ["line.0"])
    remove_blocks(one, ["line.0", "line.1"])


def test_a_block_that_is_told_more_is_replaced_by_what_does_not_listen() -> None:
    class Told(nn.Module):
        def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None, *, twice: bool = False) -> torch.Tensor:
            return x if mask is None or twice else x * mask

    found = stand_ins(nn.Sequential(Told(), nn.Linear(3, 3)), ["0", "1"])
    images = torch.randn(2, 3)
    assert found["0"](images, torch.zeros(3), twice=True) is images
    assert isinstance(found["0"], nn.Identity) and type(found["1"]) is nn.Identity
