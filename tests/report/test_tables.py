"""Tables on a terminal and as CSV."""

from __future__ import annotations

import csv
import io
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from regrow.report.tables import COLUMNS, print_plan, print_results, write_csv
from tests.report.example import example
from tests.report.published_example import beside

PLAN: dict[str, Any] = {
    "study": {"name": "digits"},
    "workers": 4,
    "stages": [
        {"kind": "train", "count": 90, "done": 10, "seconds": 75.0},
        {"kind": "evaluate", "count": 64, "done": 0, "seconds": None},
    ],
    "networks": [{"network": "vgg11", "data": "digits", "macs": 19_170_000, "params": 9_228_362}],
    "architectures": [
        {
            "network": "vgg11",
            "data": "digits",
            "method": "l1",
            "fraction": 0.5,
            "design": "50 %",
            "macs": 4_792_500,
            "params": 2_307_090,
            "peak_activation_bytes": 32_768,
            "scratch_epochs": {"E": 30, "B1": 128, "B0-cap": None},
        }
    ],
    "arms": [
        {
            "network": "vgg11",
            "data": "digits",
            "method": "l1",
            "fraction": 0.5,
            "arm": "retrain",
            "epochs": 8,
            "schedule": "step",
            "seeds": 8,
        }
    ],
    "estimated_seconds": 75.0,
    "notes": ["the grid may grow [bold]"],
}


def printed(function: Any, value: Any, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    function(value, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_the_verdict_comes_first() -> None:
    results = example()
    text = printed(print_results, results, width=400)
    assert text.splitlines()[0] == results["verdicts"][0]["sentence"]


def test_every_arm_has_its_line_with_n_accuracy_interval_epochs_lr_macs_params_and_time() -> None:
    results = example()
    line = next(line for line in printed(print_results, results).splitlines() if line.startswith("lr-rewind"))
    cells = line.split()
    assert cells[:3] == ["lr-rewind", "8", "96.64"]
    assert cells[4] == "to"
    assert cells[6:12] == ["15", "0.0316", "4.793", "M", "2.307", "M"]
    assert cells[12:] == ["4.4", "s"]


def test_a_line_fits_a_terminal_of_80_columns_uncut() -> None:
    text = printed(print_results, example(), width=80)
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines())
    assert "…" not in text
    line = next(line for line in text.splitlines() if line.startswith("random-pruned"))
    assert line.rstrip().endswith("2.4 s")


def test_a_narrow_terminal_folds_numbers_and_never_cuts_them() -> None:
    assert "…" not in printed(print_results, example(), width=40)


def test_names_are_never_read_as_markup() -> None:
    results = example(networks=("[red]net[/red]",))
    assert "[red]net[/red] on digits" in printed(print_results, results)


def test_unequal_seconds_are_said() -> None:
    assert "Equal MACs were not equal seconds" in printed(print_results, example())


def test_a_study_without_a_verdict_says_so() -> None:
    text = printed(print_results, example(seeds=1) | {"verdicts": []})
    assert text.startswith("No verdict")
    assert "–" in text


def test_published_numbers_stand_below_the_arms_where_the_study_names_a_table() -> None:
    text = printed(print_results, beside(), width=110)
    assert text.index("beside the published numbers (Table 1") > text.index("training")
    assert "−0.37 (−0.57 to −0.17) recalled" in text
    assert "published" not in printed(print_results, example())


def test_csv_has_one_row_a_run_sorted_and_unrounded(tmp_path: Path) -> None:
    results = example(fractions=(0.8, 0.5), seeds=2)
    write_csv(results, tmp_path / "results.csv")
    rows = read(tmp_path / "results.csv")
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == len(results["runs"])
    keys = [(row["method"], row["fraction"], row["arm"], int(row["seed"])) for row in rows]
    assert keys == sorted(keys)
    assert keys[0] == ("", "", "dense", 0)
    retrain = next(row for row in rows if row["arm"] == "retrain")
    assert float(retrain["test_accuracy"]) in {run["test_accuracy"] for run in results["runs"]}
    assert retrain["tuned"] == "true"


def test_csv_does_not_depend_on_the_order_of_the_rows(tmp_path: Path) -> None:
    results = example(seeds=3)
    write_csv(results, tmp_path / "one.csv")
    write_csv(results | {"runs": results["runs"][::-1]}, tmp_path / "two.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_csv_keeps_its_columns_when_rows_have_more_or_less(tmp_path: Path) -> None:
    results = example(seeds=1)
    results["runs"] = [{k: v for k, v in run.items() if k != "final_lr"} | {"news": 1} for run in results["runs"]]
    write_csv(results, tmp_path / "results.csv")
    row = read(tmp_path / "results.csv")[0]
    assert tuple(row) == COLUMNS
    assert row["final_lr"] == ""


def test_a_plan_shows_architectures_arms_stages_and_the_estimate() -> None:
    text = printed(print_plan, PLAN, width=140)
    assert "nothing (dense)" in text
    line = next(line for line in text.splitlines() if "4.793 M" in line)
    assert line.split() == [
        "vgg11",
        "digits",
        "l1",
        "50",
        "%",
        "4.793",
        "M",
        "2.307",
        "M",
        "32.77",
        "kB",
    ]
    assert "154 stages, 10 already done; about 1 min 15 s to go with 4 workers." in text
    assert "note: the grid may grow [bold]" in text


def test_a_plan_shows_the_epochs_under_every_convention_in_a_table_of_their_own() -> None:
    lines = [line.split() for line in printed(print_plan, PLAN, width=100).splitlines()]
    at = lines.index(["network", "data", "method", "removed", "E", "B1", "B0-cap"])
    assert lines[at + 1] == ["vgg11", "digits", "l1", "50", "%", "30", "128", "–"]


def test_a_plan_of_masks_has_a_column_of_nominal_macs_beside_the_executed_ones() -> None:
    masked = deepcopy(PLAN)
    masked["architectures"][0] |= {"macs": 19_170_000, "nominal_macs": 958_500}
    line = next(line for line in printed(print_plan, masked, width=140).splitlines() if "958.5 k" in line)
    assert line.split()[5:9] == ["19.17", "M", "958.5", "k"]
    assert "nominal" not in printed(print_plan, PLAN, width=140)


@pytest.mark.parametrize(
    "key", ["stages", "networks", "architectures", "arms", "estimated_seconds", "workers", "notes"]
)
def test_a_plan_may_lack_anything(key: str) -> None:
    text = printed(print_plan, {name: value for name, value in PLAN.items() if name != key}, width=140)
    assert "already done" in text


def test_an_empty_plan_is_still_a_sentence() -> None:
    assert printed(print_plan, {}) == "0 stages, 0 already done.\n"
