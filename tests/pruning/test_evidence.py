from __future__ import annotations

import subprocess
import sys

import pytest

from regrow.errors import UnknownNameError
from regrow.pruning.evidence import EVIDENCE
from regrow.table import load


@pytest.mark.parametrize("name", EVIDENCE)
def test_every_row_says_what_it_is_and_leads_to_what_gathers_it(name: str) -> None:
    row = EVIDENCE[name]
    assert row.summary and not row.summary.endswith(".") and row.shape and row.memory
    assert bool(row.target) is (row.per != "call")
    if row.target:
        assert callable(load(row.target)) and load(row.target).__doc__


def test_what_is_at_hand_needs_no_examples() -> None:
    assert [name for name, row in EVIDENCE.items() if not row.needs_examples] == [
        *("weight", "generator", "unit_sum", "scale", "flow")
    ]


def test_a_misspelt_row_is_answered_with_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'gradient'"):
        EVIDENCE["gradeint"]


def test_the_table_is_read_without_torch() -> None:
    script = "import sys, regrow.pruning.evidence; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
