from __future__ import annotations

import dataclasses

import pytest

from regrow.channels.blocks import Block


def test_a_block_is_a_value() -> None:
    block = Block("layer1.1", ("layer1.1.bn2",))
    assert block == Block(name="layer1.1", ends=("layer1.1.bn2",))
    assert len({block, Block("layer1.1", ("layer1.1.bn2",))}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        block.name = "layer1.0"  # type: ignore[misc]
