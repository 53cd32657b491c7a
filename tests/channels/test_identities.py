from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from regrow.channels.identities import lively, no_identities, no_stand_ins

from .residual import Around, IntoInput, Looking, Normed, Plain, Rectified, Turned

ENDS = {"blocks.0": ["blocks.0.conv"]}


def run(network: nn.Module) -> Tensor:
    made: Tensor = network(torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    return made


def copies(network: nn.Module) -> Callable[[], nn.Module]:
    return lambda: copy.deepcopy(network).eval()


@pytest.mark.parametrize("block", [Plain(), IntoInput()])
def test_a_block_without_its_branch_is_the_identity(block: nn.Module) -> None:
    assert no_identities(Around(block).eval(), run, ENDS) == {}


def test_all_branches_must_be_silent() -> None:
    network = Around(Turned()).eval()
    assert no_identities(copy.deepcopy(network), run, {"blocks.0": ["blocks.0.conv", "blocks.0.mlp"]}) == {}
    assert list(no_identities(network, run, ENDS)) == ["blocks.0"]


def test_a_relu_behind_the_sum_is_the_identity_where_the_input_comes_from_a_relu() -> None:
    assert no_identities(Around(Rectified(), relu=True).eval(), run, ENDS) == {}
    (reason,) = no_identities(Around(Rectified(), relu=False).eval(), run, ENDS).values()
    assert "changes its input" in reason


def test_the_second_block_is_tried_on_what_it_gets_inside_the_network() -> None:
    ends = {**ENDS, "blocks.1": ["blocks.1.conv"]}
    assert list(no_identities(Around(Rectified(), Rectified()).eval(), run, ends)) == ["blocks.0"]
    assert list(no_identities(Around(Normed(), Rectified()).eval(), run, ends)) == ["blocks.0", "blocks.1"]


def test_trying_does_not_change_what_the_network_computes_meanwhile() -> None:
    network, seen = Around(IntoInput(), Plain()).eval(), []
    expected = run(copy.deepcopy(network))
    no_identities(network, lambda one: seen.append(run(one)), {**ENDS, "blocks.1": ["blocks.1.conv"]})
    assert torch.equal(seen[0], expected)


def test_a_network_that_looks_at_a_block_cannot_do_without_it() -> None:
    assert no_stand_ins(copies(Around(Plain())), run, ENDS) == {}
    (reason,) = no_stand_ins(copies(Looking(Plain())), run, ENDS).values()
    assert reason.startswith("the network cannot run without it (AttributeError: ")


def test_a_network_that_keeps_the_block_elsewhere_still_runs_it() -> None:
    class Hiding(Around):
        def call(self, block: nn.Module, x: Tensor) -> Tensor:
            del block
            made: Tensor = self.hidden[0](x)
            return made

    network = Hiding(Plain())
    network.hidden = [network.blocks[0]]
    (reason,) = no_stand_ins(copies(network), run, ENDS).values()
    assert "computes something else" in reason


def test_of_nothing_there_is_nothing_to_say() -> None:
    assert no_stand_ins(copies(Looking(Plain())), run, {}) == {}


def test_noise_takes_the_place_of_zeros_and_of_nothing_else() -> None:
    words, images = torch.zeros(2, 3, dtype=torch.int64), torch.rand(2, 3)
    made = lively(({"words": words, "images": [images, torch.zeros(4, dtype=torch.float64)]}, 3, None))
    assert made[0]["words"] is words and made[0]["images"][0] is images and made[1:] == (3, None)
    noise = made[0]["images"][1]
    assert noise.dtype == torch.float64 and len(noise.unique()) == 4
    assert torch.equal(lively(torch.zeros(4)), lively(torch.ones(4)))
