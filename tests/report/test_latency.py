"""The answer of `regrow latency` on a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from regrow.report.latency import print_latency


def row(**changes: Any) -> dict[str, Any]:
    values = {
        "name": "0.5",
        "fraction": 0.5,
        "round_to": 1,
        "compared": False,
        "backend": "eager",
        "macs": 1_030_000_000,
        "params": 6_400_000,
        "weight_bytes": 25_600_000,
        "peak_activation_bytes": 4_800_000,
        "device_peak_bytes": None,
        "mac_cut": 3.97,
        "median_seconds": 0.0302,
        "first_quartile_seconds": 0.03,
        "third_quartile_seconds": 0.0311,
        "examples_per_second": 33.1,
        "rounds": 23,
        "speed_up": 3.1,
        "speed_up_quartiles": [3.0, 3.2],
        "efficiency": 0.781,
    }
    return values | changes


def answer(*rows: dict[str, Any], **setup: Any) -> dict[str, Any]:
    return {
        "network": "torchvision:[red]net",
        "shape": [3, 224, 224],
        "setup": {"backends": ["eager"], "threads": 1, "device": "cpu", "channels_last": False, "batch": 1} | setup,
        "rows": list(rows),
        "sentences": ["Fraction 0.5: it is faster."],
        "notes": ["onnxruntime was left out"],
        "provenance": {"processor": "A Processor", "cores": 4, "versions": {"torch": "2.15.0"}},
    }


def printed(value: dict[str, Any]) -> str:
    text = io.StringIO()
    print_latency(value, Console(file=text, width=160))
    return text.getvalue()


def test_numbers_are_in_a_table_and_what_they_mean_below() -> None:
    text = printed(answer(row(name="dense", fraction=0.0), row()))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == "torchvision:[red]net, 3x224x224, batch 1"
    assert lines[1:3] == ["time middle MAC speed- effi-", "removed backend MACs memory ms half cut up ciency"]
    assert lines[3].startswith("dense eager 1.03 G") and lines[3].endswith("– – –")
    assert lines[4] == "50 % eager 1.03 G 30.4 MB 30.2 30–31.1 3.97 3.10 0.78"
    assert "Fraction 0.5: it is faster.\nnote: onnxruntime was left out\n" in text
    assert "A Processor, 4 cores, torch 2.15.0; 1 thread, 23 rounds in turns." in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"round_to": 16}, "50 % to 16s"), ({"fraction": None, "name": "mine"}, "mine")],
)
def test_small_networks_are_called_by_what_was_done_to_them(changes: dict[str, Any], words: str) -> None:
    assert f"\n{words} " in printed(answer(row(**changes)))


def test_on_a_gpu_the_measured_memory_is_shown() -> None:
    text = printed(answer(row(device_peak_bytes=9_000_000), device="cuda", channels_last=True))
    assert "34.6 MB" in text
    assert "batch 1, channels last" in text and "; cuda, 23 rounds" in text


def test_it_fits_a_terminal_of_eighty_columns() -> None:
    text = io.StringIO()
    rows = (
        row(name="dense", fraction=0.0),
        row(backend="onnxruntime", round_to=16, fraction=0.25, macs=15_470_000_000),
    )
    print_latency(answer(*rows), Console(file=text, width=80))
    assert "25 % to 16s onnxruntime 15.47 G" in text.getvalue()
