from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from regrow.channels.additions import Additions, Call

from .residual import (
    IMAGES,
    Around,
    Called,
    Handed,
    InPlace,
    IntoInput,
    Plain,
    Rectified,
    Shifted,
    Turned,
    Widening,
)


def watched(network: nn.Module, images: Tensor = IMAGES) -> dict[str, Call]:
    watch = Additions(network.eval())
    with torch.no_grad(), watch:
        network(images)
    return {call.name: call for call in watch.calls}


@pytest.mark.parametrize("kind", [Plain, InPlace, IntoInput, Called, Rectified])
def test_an_addition_is_seen_however_it_is_written(kind: type[nn.Module]) -> None:
    call = watched(Around(kind()))["blocks.0"]
    assert (call.ends, call.strange, call.computed, call.same_shape) == (
        ["blocks.0.conv"],
        False,
        [],
        True,
    )


def test_what_only_hands_a_tensor_on_did_not_compute_it() -> None:
    network = nn.Sequential(nn.Sequential(nn.Conv2d(3, 3, 1), nn.Identity(), nn.Dropout()))

    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branch = network

        def forward(self, x: Tensor) -> Tensor:
            made: Tensor = x + self.branch(x)
            return made

    assert watched(nn.Sequential(Sum()))["0"].ends == ["0.branch.0.0"]


def test_a_product_with_a_parameter_is_zero_where_the_module_gives_zeros() -> None:
    class Scaled(Handed):
        def branch(self, x: Tensor) -> Tensor:
            return super().branch(x).mul_(self.scale)

    assert watched(Around(Handed()))["blocks.0"].ends == ["blocks.0.conv"]
    assert watched(Around(Scaled()))["blocks.0"].ends == ["blocks.0.conv"]


def test_where_no_module_computed_it_the_first_that_hands_it_on_is_the_end() -> None:
    class Opposite(Handed):
        def branch(self, x: Tensor) -> Tensor:
            return super().branch(x).neg()

    assert watched(Around(Opposite()))["blocks.0"].ends == ["blocks.0.drop"]


def test_an_activation_that_writes_over_its_input_computes_anew() -> None:
    class Late(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.SiLU(inplace=True)

        def branch(self, x: Tensor) -> Tensor:
            made: Tensor = self.act(super().branch(x))
            return made

    assert watched(Around(Late()))["blocks.0"].ends == ["blocks.0.act"]


def test_views_of_the_running_sum_are_the_shortcut() -> None:
    assert watched(Around(Turned()))["blocks.0"].ends == ["blocks.0.conv", "blocks.0.mlp"]


def test_a_copy_of_the_input_is_the_shortcut() -> None:
    class Copying(Plain):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.clone())

    assert watched(Around(Copying()))["blocks.0"].ends == ["blocks.0.conv"]


def test_an_addition_counts_for_the_innermost_module_whose_shortcut_it_is() -> None:
    calls = watched(Around(nn.Sequential(Plain(), Plain())))
    assert {name: call.ends for name, call in calls.items() if call.ends} == {
        "blocks.0.0": ["blocks.0.0.conv"],
        "blocks.0.1": ["blocks.0.1.conv"],
    }


def test_an_addition_of_two_computed_tensors_is_written_down_as_such() -> None:
    call = watched(Around(Widening()))["blocks.0"]
    assert call.ends == [] and call.computed == ["blocks.0.shortcut", "blocks.0.conv"]


def test_what_no_module_computed_is_strange() -> None:
    call = watched(Around(Shifted()))["blocks.0"]
    assert call.strange and call.ends == ["blocks.0.conv"]


def test_the_first_argument_is_the_shortcut_whatever_else_a_block_is_told() -> None:
    class Told(Plain):
        def forward(self, x: Tensor, shift: Tensor | None = None) -> Tensor:
            assert shift is not None
            return super().forward(x)

    class TellsAll(Around):
        def call(self, block: nn.Module, x: Tensor) -> Tensor:
            made: Tensor = block(x, shift=torch.ones_like(x))
            return made

    assert watched(TellsAll(Told()))["blocks.0"].ends == ["blocks.0.conv"]


def test_a_module_that_only_adds_what_it_is_given_is_no_block() -> None:
    class Add(nn.Module):
        def forward(self, one: Tensor, other: Tensor) -> Tensor:
            return one + other

    class Adding(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.add = Add()

        def forward(self, x: Tensor) -> Tensor:
            made: Tensor = self.add(self.branch(x), x)
            return made

    calls = watched(Around(Adding()))
    assert calls["blocks.0"].ends == ["blocks.0.conv"] and calls["blocks.0.add"].ends == []


def test_numbers_that_are_added_are_no_branch() -> None:
    class Nudged(Plain):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x + 1)

    assert watched(Around(Nudged()))["blocks.0"].ends == []
