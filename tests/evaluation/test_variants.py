"""Variants: which small networks are measured."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from regrow.errors import ConfigError, PruningError
from regrow.evaluation.variants import Variant, pruned_variants
from tests.evaluation.speed_networks import Separable, images


def variants(network: nn.Module, **changes: Any) -> list[Variant]:
    values: dict[str, Any] = {"fractions": (0.0, 0.5), "round_to": 1, "roundings": (), "options": {}}
    return pruned_variants(network, images(), **(values | changes))


def widths(found: list[Variant]) -> list[int]:
    return [variant.network.get_submodule("stem").weight.shape[0] for variant in found]  # type: ignore[union-attr, index]


def test_the_dense_network_comes_first_and_is_the_very_one() -> None:
    network = Separable(16)
    found = variants(network, fractions=(0.75, 0.25))
    assert found[0].network is network
    assert [variant.name for variant in found] == ["dense", "0.25", "0.75"]
    assert widths(found) == [16, 12, 4]


def test_widths_are_rounded_and_other_roundings_are_tried_at_the_middle() -> None:
    found = variants(Separable(32), fractions=(0.4, 0.9), round_to=2, roundings=(2, 8))
    assert [(variant.name, variant.round_to, variant.compared) for variant in found] == [
        ("dense", 1, False),
        ("0.4", 2, False),
        ("0.9", 2, False),
        ("0.4, to 8", 8, True),
    ]
    assert widths(found)[:3] == [32, 20, 4]
    assert widths(found)[3] % 8 == 0


def test_a_rounding_that_changes_nothing_is_not_measured_again() -> None:
    assert [variant.name for variant in variants(Separable(32), roundings=(4, 8, 16))] == ["dense", "0.5"]


def test_a_rounding_that_fits_no_width_is_left_out_but_not_one_that_was_asked_for() -> None:
    assert [variant.name for variant in variants(Separable(16), roundings=(32,))] == ["dense", "0.5"]
    with pytest.raises(PruningError):
        variants(Separable(16), round_to=32)


def test_options_are_those_of_prune() -> None:
    found = variants(
        Separable(16), options={"ignore": ("stem", "depthwise", "pointwise"), "min_channels": 1}, fractions=(0.0,)
    )
    assert len(found) == 1
    with pytest.raises(ConfigError):
        variants(Separable(16), options={"ignore": ("stemm",)})


def test_wrong_fractions_and_roundings_are_told_all_at_once() -> None:
    with pytest.raises(ConfigError) as told:
        variants(Separable(), fractions=(30, -0.5, 0.5), roundings=(0,))
    assert [fault.key for fault in told.value.faults] == ["fractions", "fractions", "round_to"]
    assert told.value.faults[0].hint == "Did you mean 0.3?"
