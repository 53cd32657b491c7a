"""The table of analyses: every row can be asked for, has a stage and somebody who does its work."""

from __future__ import annotations

import pytest

from regrow.evaluation.analyses import ANALYSES
from regrow.study.analysis_stages import STAGES
from regrow.study.analysis_work import WORK


@pytest.mark.parametrize("name", ANALYSES)
def test_every_analysis_is_done_by_somebody(name: str) -> None:
    assert name in WORK
    assert (name in STAGES) == (ANALYSES[name].subject == "network")
    assert "arXiv" in ANALYSES[name].source


def test_an_analysis_is_of_one_network_or_of_the_contrast() -> None:
    assert {row.subject for row in ANALYSES.values()} == {"network", "contrast"}
