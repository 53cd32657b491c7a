"""Packaged studies: every experiment of the paper has a file, whole and with a quick profile, and its cost is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.study_costs import planned

import regrow
from regrow.config.catalog import listing
from regrow.config.load import load_study
from regrow.config.packaged import COSTS, STUDIES, companion, text
from regrow.errors import UnknownNameError
from regrow.networks.sources import is_foreign
from regrow.published.tables import TABLES
from regrow.study.plan import describe

LARGE = ("aggressive-pruning", "architecture-search", "guided-pruning", "lottery-ticket", "table4", "table6")
"""Counting their networks and their thousands of stages takes many seconds."""

CHEAPEST = ("table3",)
"""Their quick profiles take a quarter of a minute; all others run with -m slow."""

EXPERIMENTS = (
    *(f"Table {number}" for number in range(1, 9)),
    *(f"Figure{number}" for number in ("s 3", " 6", " 7")),
    "Appendix: soft filter pruning",
    "Appendix: transfer to detection",
    "Appendix: aggressive pruning",
    "Appendix: longer fine-tuning",
    "Appendix: longer standard training",
    "Appendix: weight distributions",
    "Defect of the released code",
    "Beyond the paper",
)
QUESTIONS = tuple(name for name in STUDIES if STUDIES[name].experiment)


@pytest.mark.parametrize("profile", [None, "quick"])
@pytest.mark.parametrize("name", STUDIES)
def test_every_packaged_study_and_its_quick_profile_are_without_faults(name: str, profile: str | None) -> None:
    study = load_study(name, profile=profile)
    assert study.file == STUDIES[name].file
    assert study.name == (f"{name}-quick" if profile else name)
    assert study.title == STUDIES[name].title + (" [quick profile]" if profile else "")


@pytest.mark.parametrize("name", STUDIES)
def test_every_quick_profile_is_planned_for_data_that_need_no_download(name: str, tmp_path: Path) -> None:
    study = load_study(name, profile="quick")
    assert {data.name for data in study.datasets} == {"digits"}
    assert study.compute.device == "cpu"
    assert not any(is_foreign(network.name) for network in study.networks)
    plan = describe(study, tmp_path, measure=False)
    trainings = next(row["count"] for row in plan["stages"] if row["kind"] == "train")
    assert 0 < trainings <= 150


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in QUESTIONS]
)
def test_the_costs_that_are_listed_are_those_of_the_plan(name: str, tmp_path: Path) -> None:
    if any(is_foreign(network.name) for network in load_study(name).networks):
        pytest.skip("tracing a network for ImageNet takes long; its costs are counted by benchmarks.study_costs")
    found = planned(name, tmp_path)
    assert found["trainings"] == STUDIES[name].trainings
    assert found["training_flops"] == STUDIES[name].training_flops


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=() if one in CHEAPEST else pytest.mark.slow) for one in STUDIES]
)
def test_every_quick_profile_runs_and_reports(name: str, tmp_path: Path) -> None:
    results = regrow.run(name, profile="quick", out=tmp_path, quiet=True, workers=1)
    assert not results.failures
    assert results.verdicts
    assert all(verdict.sentence for verdict in results.verdicts)
    assert "[quick profile]" in results.page.read_text(encoding="utf-8")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_of_the_paper_has_a_study(experiment: str) -> None:
    assert any(experiment in STUDIES[name].experiment for name in STUDIES), experiment


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_file_begins_with_what_it_asks_and_what_the_paper_found(name: str) -> None:
    comment = [line for line in text(STUDIES[name].file).splitlines() if line.startswith("#")]
    assert comment[0] == f"# experiment: {STUDIES[name].experiment}"
    assert len(comment) >= 4
    assert any("aper" in line or "released code" in line for line in comment[1:])


def test_every_published_table_stands_beside_a_study() -> None:
    assert {load_study(name).published for name in QUESTIONS} - {""} == set(TABLES)


def test_the_recipe_of_cifar_is_the_published_one() -> None:
    study, protocol = load_study("table1"), TABLES["table1"].protocol("cifar10", "resnet56")
    assert len(study.seeds) == protocol.runs
    assert study.train.epochs == protocol.epochs
    assert study.train.batch == protocol.batch
    assert study.train.weight_decay == protocol.weight_decay
    assert study.retrain.epochs == protocol.fine_tune_epochs
    assert study.retrain.fine_tune_lr == protocol.fine_tune_lr
    assert study.retrain.convention == protocol.convention


def test_a_listing_says_what_a_study_costs() -> None:
    row = next(row for row in listing("studies") if row["name"] == "table1")
    assert row["experiment"] == "Table 1 (CIFAR-10)"
    # 3 dense networks, 5 small ones with 7 arms each, 5 seeds
    assert row["trainings"] == (3 + 5 * 7) * 5
    assert "(Table 1 (CIFAR-10); 190 trainings, 1.1 EFLOP" in row["summary"]


def test_every_study_has_its_costs() -> None:
    assert set(json.loads(text(COSTS))) == set(STUDIES)


def test_a_guide_of_ones_own_takes_the_place_of_the_packaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    packaged = load_study("guided-pruning")
    assert companion("nothing.json") == "nothing.json"
    guide = json.loads(text("guide-channels.json"))
    guide["channels"][0] = 0.5
    (tmp_path / "guide-channels.json").write_text(json.dumps(guide))
    assert companion("guide-channels.json") == "guide-channels.json"
    assert load_study("guided-pruning").id != packaged.id


def test_digits_is_the_default_study() -> None:
    assert "digits" in STUDIES
    assert load_study("digits").data[0].name == "digits"
    assert 'name       = "digits"' in text("digits.toml")


def test_digits_asks_what_the_main_job_asks() -> None:
    study = load_study("digits")
    assert study.contrast == ("retrain", "scratch-b")
    assert set(study.arms) >= {"fine-tune", "lr-rewind", "retrain", "scratch-e", "scratch-b"}
    assert len(study.seeds) >= 5
    assert study.margin == 1.0
    assert study.retrain.tune_lr


def test_an_unknown_name_teaches() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'digits'"):
        STUDIES["digit"]
    assert "digit" not in STUDIES
    assert 3 not in STUDIES
    assert len(STUDIES) == len(list(STUDIES))
