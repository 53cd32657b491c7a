"""Shapes: what is executed, and what is left under a mask."""

from __future__ import annotations

from regrow.networks.spec import NetworkSpec
from regrow.study.shape import carved_shape, found_spec, masked_shape, supposed_shape

SPEC = NetworkSpec(name="vgg11", width=1.0, widths=(4, 4), classes=10, shape=(3, 32, 32))
COST = {"macs": 1000, "params": 100}


def test_a_small_network_executes_what_is_left() -> None:
    shape = carved_shape(SPEC, COST)
    assert (shape.macs, shape.nominal_macs, shape.masked) == (1000, 1000, False)


def test_a_masked_network_executes_everything() -> None:
    shape = masked_shape(SPEC, COST, {"nominal_macs": 50, "nominal_params": 5, "kept": 4})
    assert (shape.macs, shape.nominal_macs, shape.nominal_params, shape.masked) == (1000, 50, 5, True)


def test_a_pruning_tells_the_small_specification() -> None:
    found = found_spec(SPEC, {"widths": [3, 2], "removed": ["stage1.block1"]})
    assert (found.widths, found.removed) == ((3, 2), ("stage1.block1",))
    assert found_spec(SPEC, {"widths": [3, 2], "removed": []}).removed == ()


def test_what_is_supposed_has_the_share_that_was_asked_for() -> None:
    assert supposed_shape(SPEC, COST, 0.8, masked=False).macs == 200
    mask = supposed_shape(SPEC, COST, 0.8, masked=True)
    assert (mask.macs, mask.nominal_macs, mask.masked) == (1000, 200, True)
