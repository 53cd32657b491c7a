"""The primary contrast in numbers."""

from __future__ import annotations

from regrow.report.contrast import STATISTICS, numbers
from tests.report.example import example


def test_every_statistic_has_one_value_a_verdict() -> None:
    verdicts = example(fractions=(0.5, 0.8))["verdicts"]
    table = numbers(verdicts)
    assert [name for name, _ in table] == list(STATISTICS)
    assert {len(values) for _, values in table} == {2}


def test_statistics_are_written_as_the_report_writes_them() -> None:
    verdict = example()["verdicts"][0] | {
        "mean": -0.25,
        "sd": 0.5,
        "ci95": [-1.0, 0.5],
        "looks": 2,
        "extended": True,
        "correlation": None,
    }
    written = {name: values[0] for name, values in numbers([verdict])}
    assert written["mean difference"] == "−0.25"
    assert written["standard deviation of differences"] == "0.50"
    assert written["95 % interval"] == "−1.00 to +0.50"
    assert written["p of equivalence (Holm)"] == "0.002 (0.004)"
    assert written["looks at the verdict"] == "2, extended"
    assert written["correlation of the pairs"] == "–"


def test_a_case_without_a_verdict_is_a_column_of_dashes() -> None:
    written = dict(numbers([{}]))
    assert written["mean difference"] == written["seeds still needed"] == written["paired seeds"] == ["–"]
    assert written["verdict"] == ["none"]
