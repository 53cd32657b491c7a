"""The figures of a family."""

from __future__ import annotations

import pytest

from regrow.report.cases import Family, families
from regrow.report.figures import accuracy_against_compute, accuracy_against_macs, family_pictures, paired_differences
from tests.report.example import example


def family_of(**arguments: object) -> Family:
    (family,) = families(example(**arguments))  # type: ignore[arg-type]
    return family


def test_a_family_has_its_three_figures() -> None:
    assert list(family_pictures(family_of(), "f0")) == ["macs", "compute", "differences"]


def test_arms_of_one_architecture_stand_side_by_side_around_its_macs() -> None:
    figure = accuracy_against_macs(family_of(), "id").figure
    small = [trace.x[0] for trace in figure.data if trace.name not in ("dense", "dense-longer")]
    assert len(set(small)) == 6
    assert sum(small) / 6 == pytest.approx(4_792_500, rel=1e-3)
    assert max(small) - min(small) < 0.1 * 19_170_000 + 1


def test_arms_of_neighbouring_fractions_do_not_mix() -> None:
    figure = accuracy_against_macs(family_of(fractions=(0.8, 0.85), seeds=2), "id").figure
    small = [trace.x for trace in figure.data if trace.name not in ("dense", "dense-longer")]
    assert max(x[1] for x in small) < min(x[0] for x in small)


def test_marks_carry_mean_interval_n_and_real_macs() -> None:
    figure = accuracy_against_macs(family_of(), "id").figure
    retrain = next(trace for trace in figure.data if trace.name == "retrain")
    assert retrain.text[0].startswith("retrain, 50 % of channels removed, 4.793 M MACs: ")
    assert retrain.text[0].endswith("n = 8")
    assert retrain.error_y.array[0] == pytest.approx(retrain.error_y.arrayminus[0], abs=1e-3)


def test_the_dense_accuracy_is_a_line_across() -> None:
    family = family_of()
    figure = accuracy_against_macs(family, "id").figure
    dense = family.cases[0].dense
    assert dense is not None
    assert dense.accuracy is not None
    assert figure.layout.shapes[0].y0 == figure.layout.shapes[0].y1 == pytest.approx(dense.accuracy, abs=1e-3)


def test_compute_counts_the_dense_run_for_those_who_inherit() -> None:
    figure = accuracy_against_compute(family_of(), "id").figure
    spent = {trace.name: trace.x[0] for trace in figure.data}
    assert spent["retrain"] == pytest.approx(6 * 1157 * (30 * 19_170_000 + 8 * 4_792_500), rel=1e-4)
    assert spent["scratch-e"] == pytest.approx(6 * 1157 * 30 * 4_792_500, rel=1e-4)


def test_differences_show_every_seed_both_intervals_the_mean_and_the_margin() -> None:
    family = family_of()
    picture = paired_differences(family, "id")
    seeds, wide, narrow, mean = picture.figure.data
    verdict = family.cases[0].verdict
    assert verdict is not None
    assert len(seeds.x) == 8
    assert list(wide.x) == pytest.approx(verdict["ci95"], abs=1e-4)
    assert list(narrow.x) == pytest.approx(verdict["ci90"], abs=1e-4)
    assert mean.x[0] == pytest.approx(verdict["mean"], abs=1e-4)
    assert sum(seeds.x) / 8 == pytest.approx(verdict["mean"], abs=1e-3)
    assert (picture.figure.layout.shapes[0].x0, picture.figure.layout.shapes[0].x1) == (-1.0, 1.0)
    assert picture.title == "Paired differences: retrain minus scratch-b"


def test_dots_of_equal_differences_are_stacked() -> None:
    results = example(seeds=3)
    results["runs"] = [run | {"test_accuracy": 90.0} for run in results["runs"]]
    (family,) = families(results)
    assert len(set(paired_differences(family, "id").figure.data[0].y)) == 3


def test_a_family_has_one_row_of_differences_a_fraction() -> None:
    figure = paired_differences(family_of(fractions=(0.3, 0.5, 0.8), seeds=3), "id").figure
    assert list(figure.layout.yaxis.ticktext) == ["30 %", "50 %", "80 %"]


def test_without_verdicts_there_is_no_figure_of_differences() -> None:
    (family,) = families(example(seeds=2) | {"verdicts": []})
    assert list(family_pictures(family, "f0")) == ["macs", "compute"]


def test_one_seed_is_drawn_without_whiskers() -> None:
    figure = accuracy_against_macs(family_of(seeds=1), "id").figure
    assert {trace.error_y.array[0] for trace in figure.data} == {0.0}


def test_every_figure_can_be_read_aloud() -> None:
    family = family_of()
    retrain = family.cases[0].find("retrain")
    assert retrain is not None
    for picture in family_pictures(family, "f0").values():
        assert picture.alt
        assert picture.caption
    assert f"retrain {retrain.accuracy:.2f} %" in accuracy_against_macs(family, "id").alt
