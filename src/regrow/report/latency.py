"""The answer of `regrow latency` on a terminal: the numbers in a table, then what they mean in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from regrow.report.words import DASH, plural, quantity, times

_RIGHT = ("MACs", "params", "weights", "activations", "time", "quartiles", "MAC cut", "speed-up", "efficiency")


def print_latency(answer: Mapping[str, Any], console: Console) -> None:
    """Print what `Latency.to_json` gives, with `network`, `shape` and `provenance`. Nothing in it is read as rich markup."""
    console.print(_numbers(answer))
    console.print()
    for sentence in answer["sentences"]:
        console.print(Text(sentence))
    for note in answer["notes"]:
        console.print(Text(f"note: {note}"))
    console.print(Text(_where(answer), style="dim"))


def _numbers(answer: Mapping[str, Any]) -> Table:
    setup = answer["setup"]
    size = "x".join(str(side) for side in answer["shape"])
    layout = ", channels last" if setup["channels_last"] else ""
    title = f"{answer['network']}, {size}, batch {setup['batch']}{layout}"
    table = Table(title=Text(title), title_justify="left", title_style="", box=None, padding=(0, 1, 0, 0))
    for header in ("removed", "backend"):
        table.add_column(header, overflow="fold")
    for header in _RIGHT:
        table.add_column(header, justify="right", overflow="fold")
    for row in answer["rows"]:
        table.add_row(*(Text(cell) for cell in _cells(row)))
    return table


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    memory = row["device_peak_bytes"] if row["device_peak_bytes"] is not None else row["peak_activation_bytes"]
    is_dense = row["fraction"] == 0
    return (
        "nothing (dense)" if is_dense else _removed(row),
        row["backend"],
        quantity(row["macs"]),
        quantity(row["params"]),
        _bytes(row["weight_bytes"]),
        _bytes(memory),
        _milliseconds(row["median_seconds"]),
        f"{_plain(row['first_quartile_seconds'])} to {_plain(row['third_quartile_seconds'])}",
        DASH if is_dense else times(row["mac_cut"]),
        DASH if is_dense else times(row["speed_up"]),
        DASH if is_dense else times(row["efficiency"]),
    )


def _removed(row: Mapping[str, Any]) -> str:
    if row["fraction"] is None:
        return str(row["name"])
    rounded = f", to {row['round_to']}" if row["round_to"] > 1 else ""
    return f"{100 * row['fraction']:g} %{rounded}"


def _bytes(count: int) -> str:
    return f"{quantity(count)}B" if count >= 1000 else f"{count} B"


def _milliseconds(seconds: float) -> str:
    return f"{_plain(seconds)} ms"


def _plain(seconds: float) -> str:
    """Milliseconds in three significant digits.

    >>> [_plain(0.37449), _plain(0.0119), _plain(0.0000421), _plain(2.5)]
    ['374', '11.9', '0.0421', '2500']
    """
    digits = float(f"{1000 * seconds:.3g}")
    return f"{digits:g}" if digits < 1000 else f"{digits:.0f}"


def _where(answer: Mapping[str, Any]) -> str:
    setup, place = answer["setup"], answer["provenance"]
    rounds = min(row["rounds"] for row in answer["rows"])
    used = plural(setup["threads"], "thread") if setup["device"] == "cpu" else setup["device"]
    return (
        f"{place['processor']}, {place['cores']} cores, torch {place['versions']['torch']}; {used}, {rounds} rounds in turns. "
        "Random weights: speed does not depend on them."
    )
