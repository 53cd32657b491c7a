from __future__ import annotations

import subprocess
import sys

import pytest

from regrow.networks.removed import in_order, inside, removed_faults


def test_a_part_of_a_block_is_inside_and_a_namesake_is_not() -> None:
    assert [inside(name, ["a.1"]) for name in ("a.1", "a.1.conv.weight", "a.10", "a", "b.a.1")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert not inside("a.1", [])


def test_the_order_in_which_blocks_are_named_does_not_matter() -> None:
    assert in_order(["b.10", "b.9.x", "a", "b.9"]) == ("a", "b.9", "b.9.x", "b.10")
    assert in_order(("stage2.block10", "stage1.block2")) == in_order(("stage1.block2", "stage2.block10"))


@pytest.mark.parametrize("name", ["", ".", "a.", ".a", "a..b", "a b", "a\n"])
def test_what_is_no_dotted_name_is_a_fault(name: str) -> None:
    ((place, rule),) = removed_faults((name,))
    assert place == 0 and repr(name) in rule


def test_a_block_goes_once_and_not_with_the_one_around_it() -> None:
    assert [place for place, _ in removed_faults(("a.1", "a.1"))] == [1]
    ((place, rule),) = removed_faults(("a.1", "a.1.b", "a.10"))
    assert place == 1 and "a.1.b lies inside another block" in rule
    assert removed_faults(("a.1", "a.2")) == []


def test_torch_is_not_needed() -> None:
    code = "import sys, regrow.networks.removed; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
