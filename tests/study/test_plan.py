"""The plan: every stage and its time before anything is trained; what is done counts as done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from regrow.config.load import load_study
from regrow.errors import ProtocolError
from regrow.study.plan import describe
from tests.study.conftest import Finished, write_tiny


@pytest.fixture(autouse=True)
def _this_process_computes_as_it_did() -> Iterator[None]:
    before = _arithmetic()
    yield
    assert _arithmetic() == before


def _arithmetic() -> tuple[int, bool, int]:
    return (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        int((torch.full((8,), 2e-38) * 0.25).count_nonzero()),
    )


def test_a_plan_counts_every_stage_and_trains_nothing(tmp_path: Path) -> None:
    plan = describe(load_study(str(write_tiny(tmp_path)), []), tmp_path / "out", measure=False)
    counts = {row["kind"]: (row["count"], row["done"]) for row in plan["stages"]}
    # 3 seeds x (dense + 7 arms), and 2 tuning seeds x (dense + 7 arms x 4 values)
    assert counts["train"] == (3 * 8 + 2 * (1 + 7 * 4), 0)
    assert counts["evaluate"] == (3 * (8 + 2), 0)
    assert plan["estimated_seconds"] is None
    assert not list((tmp_path / "out" / "store" / "stages").glob("train-*"))


def test_time_comes_from_timed_steps_and_is_kept(tmp_path: Path) -> None:
    study = load_study(str(write_tiny(tmp_path)), ['arms=["retrain", "scratch-b"]'])
    plan = describe(study, tmp_path / "out")
    assert plan["estimated_seconds"] > 0
    assert len(list((tmp_path / "out" / "store" / "stages").glob("probe-*"))) == 2
    assert describe(study, tmp_path / "out")["estimated_seconds"] == plan["estimated_seconds"]


def test_a_finished_study_has_nothing_left(finished: Finished) -> None:
    plan = describe(finished.study, finished.out, measure=False)
    assert all(row["done"] == row["count"] for row in plan["stages"] if row["kind"] != "probe")
    assert plan["estimated_seconds"] == 0


def test_missing_data_are_a_note(tmp_path: Path) -> None:
    path = write_tiny(tmp_path)
    path.write_text(path.read_text().replace('name = "digits"', 'name = "cifar10-jpeg"\nroot = "nowhere"'))
    plan = describe(load_study(str(path), []), tmp_path / "out", measure=False)
    assert any("nowhere" in note for note in plan["notes"])


def test_what_could_not_be_compared_is_refused_at_plan_time(tmp_path: Path) -> None:
    study = load_study(str(write_tiny(tmp_path)), ['arms=["retrain", "scratch-b", "scratch-b1"]'])
    with pytest.raises(ProtocolError):
        describe(study, tmp_path / "out", measure=False)


def test_a_plan_says_what_it_supposes(tmp_path: Path) -> None:
    found = [
        describe(load_study(str(write_tiny(tmp_path)), [f'prune.method="{method}"']), tmp_path / method, measure=False)
        for method in ("l1", "slimming")
    ]
    assert [any("known when it was scored or drawn" in note for note in plan["notes"]) for plan in found] == [
        False,
        True,
    ]
    assert [plan["architectures"][0]["supposed"] for plan in found] == [False, True]


def test_trainings_over_several_devices_are_planned_as_many_at_once_as_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regrow.study.executor.available_cores", lambda: 4)
    file = str(write_tiny(tmp_path))
    plans = [
        describe(load_study(file, [f"compute.devices={devices}"]), tmp_path / "out", measure=False)
        for devices in (1, 2, 4, 8)
    ]
    assert [plan["workers"] for plan in plans] == [4, 2, 1, 1]
    assert len({plan["study"]["id"] for plan in plans}) == 4


def test_steps_that_devices_share_are_timed_on_one(tmp_path: Path) -> None:
    arms = 'arms=["retrain", "scratch-b"]'
    study = load_study(str(write_tiny(tmp_path)), [arms, "compute.devices=2", "retrain.tune_lr=false"])
    assert describe(study, tmp_path / "out")["estimated_seconds"] > 0
    probes = [
        json.loads(path.read_text()) for path in (tmp_path / "out" / "store" / "stages").glob("probe-*/stage.json")
    ]
    assert [probe["settings"]["compute"]["devices"] for probe in probes] == [2, 2]
