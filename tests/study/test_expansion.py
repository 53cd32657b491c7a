"""The expansion's own store of stages: each once, as early as its most urgent use asks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from regrow.config.load import load_study
from regrow.study.expansion import Expander
from regrow.study.stages import data_stage
from regrow.training.compute import Compute
from tests.study.conftest import ground_of, write_tiny


def test_a_stage_that_is_needed_twice_stands_once_at_its_most_urgent(tmp_path: Path) -> None:
    study = load_study(str(write_tiny(tmp_path)))
    owner, stage = Expander(study, {}.get), replace(data_stage(study.datasets[0]), priority=4)
    for priority in (None, 1, 3):
        owner.need(stage, priority=priority)
    assert [one.priority for one in owner.found.stages.values()] == [1]


def test_a_result_is_handed_on(tmp_path: Path) -> None:
    study = load_study(str(write_tiny(tmp_path)))
    stage = data_stage(study.datasets[0])
    assert Expander(study, {stage.key: {"test": 7}}.get).need(stage) == {"test": 7}


def test_arithmetic_that_is_written_down_needs_no_trial(tmp_path: Path) -> None:
    study = load_study(str(write_tiny(tmp_path)))
    owner = Expander(study, {}.get)
    assert owner.compute(ground_of(study).comparison) == Compute()
    open_study = load_study(str(write_tiny(tmp_path)), ['compute.precision="auto"'])
    waiting = Expander(open_study, {}.get)
    assert waiting.compute(ground_of(open_study).comparison) is None
    assert [stage.kind for stage in waiting.found.stages.values()] == ["trial"]
